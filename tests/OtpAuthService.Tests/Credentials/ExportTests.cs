using System.Text;
using Google.Protobuf;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Credentials;

/// <summary>A bank leaves with its credentials: two people, one encrypted file, once; what it holds is what was here.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class ExportTests(StoreKind kind)
{
    private const string PreSharedKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    private const string Password = "correct horse battery";

    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [TearDown]
    public async Task StopAsync()
    {
        Assert.That(service.Errors.Errors, Is.Empty);
        await service.DisposeAsync();
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task Export_Imported_IsEqualAtAnotherService(bool byKey)
    {
        var registered = new List<(string Contractor, SoftToken Token)>
        {
            await service.RegisteredAsync(),
            await service.RegisteredAsync(digits: 8, period: 60, algorithm: Algorithm.Sha256),
            await service.RegisteredAsync(digits: 6, algorithm: Algorithm.Sha512),
        };
        var drifted = registered[0];
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        await service.Auth.ResynchronizeAsync(drifted.Contractor, drifted.Token.At(Now, 5), drifted.Token.At(Now, 6));

        var (file, total) = await ExportAsync(byKey);

        Assert.That(total, Is.EqualTo(3));
        await using var other = await OtpService.StartAsync(StoreKind.Sqlite);
        other.Clock.SetUtcNow(Now.AddMinutes(10));
        await other.Operations.ImportAsync(Header(byKey, PreSharedKey), file);
        foreach (var (_, token) in registered)
        {
            var request = new GetCredentialRequest { InstitutionId = "demo", CredentialId = token.CredentialId };
            Assert.That((await other.Operations.GetCredentialAsync(request)).Credential, Is.EqualTo((await service.Operations.GetCredentialAsync(request)).Credential));
            var drift = token == drifted.Token ? 6 : 0;
            var register = await other.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(other.Clock.GetUtcNow(), drift));
            Assert.That(register.Outcome, Is.EqualTo(Outcome.Accepted), "the key is the same");
        }
    }

    /// <summary>Independent implementations read it: libpskc finds it valid, python-pskc checks its MACs and opens its keys.</summary>
    [TestCase(true)]
    [TestCase(false)]
    public async Task Export_ReadByOthers_OpensToTheSameKeys(bool byKey)
    {
        var (_, first) = await service.RegisteredAsync();
        var (_, second) = await service.RegisteredAsync(digits: 8, period: 60);
        var path = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():N}.xml");
        await File.WriteAllTextAsync(path, (await ExportAsync(byKey)).File);
        try
        {
            await ChildProcess.RunAsync("pskctool", ["--validate", path]);
            Assert.That(await ChildProcess.RunAsync("pskctool", ["--info", path]), Does.Contain($"Id: {first.CredentialId}\n").And.Contain($"Id: {second.CredentialId}\n"));
            string[] secret = byKey ? ["--secret", PreSharedKey] : ["--password", Password];
            Assert.That(
                await ChildProcess.RunAsync("pskc2csv", [.. secret, "--secret-encoding", "hex", "--columns", "id,secret,manufacturer,response_length,time_interval", path]),
                Does.Contain($"{first.CredentialId},{Convert.ToHexStringLower(first.Key)},issued,6,30")
                    .And.Contain($"{second.CredentialId},{Convert.ToHexStringLower(second.Key)},issued,8,60"));
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>And the other way: what python-pskc encrypts is taken in with the right key.</summary>
    [TestCase(true)]
    [TestCase(false)]
    public async Task Import_OfAFileThatOthersEncrypted_TakesInTheRightKey(bool byKey)
    {
        var keys = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():N}.csv");
        await File.WriteAllTextAsync(keys, $"id,secret\nPYPSKC000001,{Convert.ToHexString("12345678901234567890"u8)}\n");
        try
        {
            string[] secret = byKey ? ["--secret", PreSharedKey[..32]] : ["--password", Password];
            string[] form = ["-x", "algorithm=urn:ietf:params:xml:ns:keyprov:pskc:totp", "-x", "response_length=8", "-x", "response_encoding=DECIMAL", "-x", "time_interval=30"];
            var file = await ChildProcess.RunAsync("csv2pskc", [.. secret, "--columns", "id,secret", .. form, keys]);
            await service.Operations.ImportAsync(Header(byKey, PreSharedKey[..32]), file);
        }
        finally
        {
            File.Delete(keys);
        }

        // RFC 6238 appendix B.
        service.Clock.SetUtcNow(DateTimeOffset.FromUnixTimeSeconds(2_000_000_000));
        Assert.That((await service.Auth.RegisterAsync(Calls.NewContractor(), "PYPSKC000001", "69279037")).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Export_OfAScope_HoldsThatAndNothingElse()
    {
        var (_, mine) = await service.RegisteredAsync();
        var (_, others) = await service.RegisteredAsync("minato");
        var (left, former) = await service.RegisteredAsync();
        await service.Auth.SuspendAsync(left, former.At(Now, 1));
        var unused = await service.Operations.IssueAsync();
        await service.Operations.ImportPskcAsync(PskcFiles.WithPlainKeys(("SUPPLIED0001", new byte[20])), supplier: "acme");

        var (registered, _) = await ExportAsync(byKey: true);
        var (all, _) = await ExportAsync(byKey: true, ExportScope.RegisteredAndUnused);
        var (supplied, total) = await ExportAsync(byKey: true, ExportScope.RegisteredAndUnused, "acme");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(registered, Does.Contain(mine.CredentialId));
            foreach (var not in new[] { others.CredentialId, former.CredentialId, unused.CredentialId, "SUPPLIED0001" })
            {
                Assert.That(registered, Does.Not.Contain(not));
            }

            Assert.That(all, Does.Contain(mine.CredentialId).And.Contain(unused.CredentialId).And.Contain("SUPPLIED0001"));
            Assert.That(all, Does.Not.Contain(others.CredentialId).And.Not.Contain(former.CredentialId));
            Assert.That((total, supplied.Contains("SUPPLIED0001", StringComparison.Ordinal)), Is.EqualTo((1L, true)));
        }
    }

    /// <summary>A credential in a drawer is of the bank that had it issued or imported; in use, of whose contractors use it.</summary>
    [Test]
    public async Task Export_OfUnusedOnes_HoldsTheInstitutionsOwn()
    {
        var issued = await service.Operations.IssueAsync();
        await service.Operations.ImportPskcAsync(PskcFiles.WithPlainKeys(("SUPPLIED0003", new byte[20])));
        var foreign = await service.Operations.IssueCredentialAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "minato" });
        var ofBefore = await service.InsertCredentialAsync(new byte[20]);
        var (_, registered) = await service.RegisteredAsync();
        var registeredOfBefore = await service.InsertCredentialAsync(new byte[20]);
        Assert.That(
            (await service.Auth.RegisterAsync(Calls.NewContractor(), registeredOfBefore.CredentialId, registeredOfBefore.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        var (file, _) = await ExportAsync(byKey: true, ExportScope.RegisteredAndUnused);

        using (Assert.EnterMultipleScope())
        {
            foreach (var own in new[] { issued.CredentialId, "SUPPLIED0003", registered.CredentialId, registeredOfBefore.CredentialId })
            {
                Assert.That(file, Does.Contain(own));
            }

            Assert.That(file, Does.Not.Contain(foreign.CredentialId), "another bank's");
            Assert.That(file, Does.Not.Contain(ofBefore.CredentialId), "nobody knows whose");
        }
    }

    /// <summary>With a character of two UTF-16 units, too.</summary>
    [Test]
    public async Task Export_OfASupplierInAnyScript_NamesIt()
    {
        const string supplier = "東京🔑 <&> 株式会社";
        await service.Operations.ImportPskcAsync(PskcFiles.WithPlainKeys(("SUPPLIED0002", new byte[20])), supplier: supplier);

        var (file, total) = await ExportAsync(byKey: true, ExportScope.RegisteredAndUnused, supplier);

        Assert.That((total, System.Xml.Linq.XDocument.Parse(file.TrimStart('\uFEFF')).Descendants().Single(e => e.Name.LocalName == "Manufacturer").Value), Is.EqualTo((1L, supplier)));
    }

    [Test]
    public async Task Export_FetchedAgain_IsRefused()
    {
        await service.RegisteredAsync();
        var id = await ConfirmedAsync();
        var request = Fetch(id);
        await ReadAsync(request);
        await FetchRefusedAsync("EXPORT_FETCHED", request);
        await FetchRefusedAsync("EXPORT_FETCHED", Fetch(id));
        Assert.That((await service.AuditOfAsync("ExportCredentials")).Select(r => (r.OperatorId, r.Outcome)), Is.EquivalentTo(new[] { ("h.sato", Outcome.Accepted), ("h.sato", Outcome.AlreadyUsed) }));
    }

    [Test]
    public async Task Export_InParallel_IsHandedOutOnce()
    {
        await service.RegisteredAsync();
        var id = await ConfirmedAsync();
        var results = await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            try
            {
                return (await ReadAsync(Fetch(id))).File.Length;
            }
            catch (RpcException)
            {
                return 0;
            }
        }));
        Assert.That(results.Count(length => length > 0), Is.EqualTo(1));
    }

    [Test]
    public async Task Export_WithoutTheSecondPerson_OrOfAnother_OrTooLate_IsRefusedAndOnRecord()
    {
        var id = (await RequestAsync()).ExportId;
        await FetchRefusedAsync("EXPORT_NOT_CONFIRMED", Fetch(id));
        await ConfirmRefusedAsync("SECOND_PERSON_NEEDED", id, "h.sato");
        await ConfirmRefusedAsync("SECOND_PERSON_NEEDED", id, "");
        await ConfirmAsync(id, "m.ito");
        await ConfirmRefusedAsync("NOTHING_TO_CONFIRM", id, "t.abe");
        await FetchRefusedAsync("EXPORT_OF_ANOTHER", Fetch(id, person: "m.ito"));
        await FetchRefusedAsync("EXPORT_UNKNOWN", Fetch(Guid.NewGuid().ToString("N")));
        await FetchRefusedAsync("EXPORT_UNKNOWN", Fetch(id, institution: "minato"));
        await ConfirmRefusedAsync("EXPORT_UNKNOWN", Guid.NewGuid().ToString("N"), "x.guess");
        service.Clock.Advance(TimeSpan.FromHours(24));
        await FetchRefusedAsync("EXPORT_EXPIRED", Fetch(id));
        var late = (await RequestAsync()).ExportId;
        service.Clock.Advance(TimeSpan.FromHours(24));
        await ConfirmRefusedAsync("EXPORT_EXPIRED", late, "m.ito");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(await RecordsAsync("ConfirmExport"), Is.EquivalentTo(new[]
            {
                ("demo", "h.sato", Outcome.Mismatch, Decision.Deny),
                ("demo", null, Outcome.Mismatch, Decision.Deny),
                ("demo", "m.ito", Outcome.Accepted, Decision.Allow),
                ("demo", "t.abe", Outcome.AlreadyUsed, Decision.Deny),
                ("demo", "x.guess", Outcome.CredentialUnknown, Decision.Deny),
                ("demo", "m.ito", Outcome.CredentialUnusable, Decision.Deny),
            }));
            Assert.That(await RecordsAsync("ExportCredentials"), Is.EquivalentTo(new[]
            {
                ("demo", "h.sato", Outcome.NotRegistered, Decision.Deny),
                ("demo", "m.ito", Outcome.Mismatch, Decision.Deny),
                ("demo", "h.sato", Outcome.CredentialUnknown, Decision.Deny),
                ("minato", "h.sato", Outcome.CredentialUnknown, Decision.Deny),
                ("demo", "h.sato", Outcome.CredentialUnusable, Decision.Deny),
            }));
        }

        async Task<IEnumerable<(string, string?, Outcome, Decision)>> RecordsAsync(string rpc) =>
            (await service.AuditOfAsync(rpc)).Select(r => (r.InstitutionId.Value, r.OperatorId, r.Outcome, r.Decision));
    }

    /// <summary>Also where it would succeed by now: it is one submission, which was decided.</summary>
    [Test]
    public async Task Refusal_Retried_IsTheSameAndOnRecordOnce()
    {
        var id = (await RequestAsync()).ExportId;
        var early = Fetch(id);
        await FetchRefusedAsync("EXPORT_NOT_CONFIRMED", early);
        await ConfirmAsync(id, "m.ito");
        await FetchRefusedAsync("EXPORT_NOT_CONFIRMED", early);
        Assert.That((await service.AuditOfAsync("ExportCredentials")).Select(r => r.Outcome), Is.EqualTo(new[] { Outcome.NotRegistered }));
        Assert.That((await ReadAsync(Fetch(id))).File, Does.Contain("KeyContainer"));
    }

    [TestCase(0, 0, "password")]
    [TestCase(32, 12, "password")]
    [TestCase(15, 0, "pre_shared_key")]
    [TestCase(0, 11, "password")]
    [TestCase(0, 129, "password")]
    public async Task Export_WithoutOneGoodSecret_IsRefusedAndStaysToBeFetched(int key, int password, string field)
    {
        var id = await ConfirmedAsync();
        var request = Fetch(id);
        (request.PreSharedKey, request.Password) = (ByteString.CopyFrom(new byte[key]), ByteString.CopyFromUtf8(new string('p', password)));
        var refusal = await Refusal.OfAsync(() => ReadAsync(request));
        Assert.That((refusal.Code, refusal.Fields), Is.EqualTo((StatusCode.InvalidArgument, new[] { field })));
        Assert.That((await ReadAsync(Fetch(id))).File, Does.Contain("KeyContainer"));
    }

    [Test]
    public async Task Request_Repeated_IsTheSameExport()
    {
        var id = Calls.NewRequestId();
        var first = await RequestAsync(requestId: id);
        var repeated = await RequestAsync(requestId: id);
        Assert.That((repeated.ExportId, repeated.ExpiresAt, repeated.Repeated), Is.EqualTo((first.ExportId, first.ExpiresAt, true)));
    }

    private static ImportCredentialsHeader Header(bool byKey, string key) => new()
    {
        Format = ImportFormat.Pskc,
        PreSharedKey = byKey ? ByteString.CopyFrom(Convert.FromHexString(key)) : ByteString.Empty,
        Password = byKey ? ByteString.Empty : ByteString.CopyFromUtf8(Password),
    };

    private async Task<(string File, long Total)> ExportAsync(bool byKey, ExportScope scope = ExportScope.Registered, string supplier = "") =>
        await ReadAsync(Fetch(await ConfirmedAsync(scope, supplier), byKey));

    private async Task<string> ConfirmedAsync(ExportScope scope = ExportScope.Registered, string supplier = "")
    {
        var id = (await RequestAsync(scope, supplier)).ExportId;
        await ConfirmAsync(id, "m.ito");
        return id;
    }

    private async Task<RequestExportResponse> RequestAsync(ExportScope scope = ExportScope.Registered, string supplier = "", string? requestId = null) =>
        await service.Operations.RequestExportAsync(new()
        {
            RequestId = requestId ?? Calls.NewRequestId(),
            InstitutionId = "demo",
            Scope = scope,
            Supplier = supplier,
            Reason = "the bank moves",
            OperatorId = "h.sato",
        });

    private async Task ConfirmAsync(string id, string person) => await service.Operations.ConfirmExportAsync(new()
    {
        RequestId = Calls.NewRequestId(), InstitutionId = "demo", ExportId = id, Reason = "agreed", OperatorId = person,
    });

    private static ExportCredentialsRequest Fetch(string id, bool byKey = true, string person = "h.sato", string institution = "demo") => new()
    {
        RequestId = Calls.NewRequestId(),
        InstitutionId = institution,
        ExportId = id,
        PreSharedKey = byKey ? ByteString.CopyFrom(Convert.FromHexString(PreSharedKey)) : ByteString.Empty,
        Password = byKey ? ByteString.Empty : ByteString.CopyFromUtf8(Password),
        OperatorId = person,
    };

    private async Task<(string File, long Total)> ReadAsync(ExportCredentialsRequest request)
    {
        using var call = service.Operations.ExportCredentials(request);
        using var file = new MemoryStream();
        var total = 0L;
        await foreach (var piece in call.ResponseStream.ReadAllAsync())
        {
            Assert.That(piece.Chunk, Has.Length.LessThanOrEqualTo(32 * 1024));
            piece.Chunk.WriteTo(file);
            total = piece.Total;
        }

        return (Encoding.UTF8.GetString(file.ToArray()), total);
    }

    private async Task FetchRefusedAsync(string reason, ExportCredentialsRequest request)
    {
        var refusal = await Refusal.OfAsync(() => ReadAsync(request));
        Assert.That(refusal.Info!.Value.Reason, Is.EqualTo(reason));
    }

    private async Task ConfirmRefusedAsync(string reason, string id, string person)
    {
        var refusal = await Refusal.OfAsync(() => ConfirmAsync(id, person));
        Assert.That(refusal.Info!.Value.Reason, Is.EqualTo(reason));
    }
}
