using System.Buffers.Text;
using System.Diagnostics;
using System.Text;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpNet;
using StackExchange.Redis;

namespace OtpAuthService.Tests.Services;

/// <summary>
/// Promise P7: known keys and OTPs are driven through every RPC, through refusals and through outages, with everything logged and traced; then they are searched for
/// wherever the service or its stores have written. A canary of another kind, planted in each of these places, shows that the search finds what is there.
/// </summary>
[TestFixture]
public sealed class CanaryTests : IDisposable
{
    private const string Marker = "canary-7f3d1c";

    private readonly List<Activity> activities = [];
    private readonly StringBuilder answers = new();
    private readonly HashSet<string> otps = [];
    private PostgresServer postgres = null!;
    private RedisServer redis = null!;
    private StoresUnderTest stores = null!;
    private OtpService service = null!;
    private ActivityListener listener = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        listener = new ActivityListener
        {
            ShouldListenTo = _ => true,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                lock (activities)
                {
                    activities.Add(activity);
                }
            },
        };
        ActivitySource.AddActivityListener(listener);
        postgres = await PostgresServer.StartNewAsync();
        redis = await RedisServer.StartNewAsync();
        stores = await StoresUnderTest.CreateAsync(StoreKind.PostgresRedis, postgres, redis);
        service = await OtpService.StartAsync(
            stores, null, "--Logging:LogLevel:Default=Trace", "--Logging:LogLevel:Microsoft.AspNetCore=Trace", "--Logging:LogLevel:Grpc=Trace", "--OtpAuth:AuditHeadInterval=00:00:01");
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        listener.Dispose();
        await service.DisposeAsync();
        stores.Dispose();
        await redis.DisposeAsync();
        await postgres.DisposeAsync();
    }

    public void Dispose() => listener?.Dispose();

    [Test]
    public async Task KeysAndOtps_AfterEveryRpcAndEveryFault_AreNowhere()
    {
        List<SoftToken> tokens = [.. await DriveAsync(), await ImportAsync()];
        PlantMarker();

        var places = await CollectAsync();
        var needles = await NeedlesAsync(tokens);
        using (Assert.EnterMultipleScope())
        {
            foreach (var (place, content) in places)
            {
                Assert.That(content.AsSpan().IndexOf(Encoding.UTF8.GetBytes(Marker)), Is.Not.Negative, $"the search finds what is in {place}");
                foreach (var (name, needle) in needles)
                {
                    Assert.That(content.AsSpan().IndexOf(needle), Is.Negative, $"{name} in {place}");
                }
            }
        }
    }

    /// <summary>Right, wrong, used, malformed, with every store and the KEK gone in turn. Eight digits, which turn up nowhere by chance.</summary>
    private async Task<List<SoftToken>> DriveAsync()
    {
        var (contractor, token) = await service.RegisteredAsync(digits: 8);
        var (lost, lostToken) = await service.RegisteredAsync(digits: 8);
        var (altered, alteredToken) = await service.RegisteredAsync(digits: 8);
        await EverythingAsync(contractor, token);
        await TryAsync(() => service.Operations.ReportLostAsync(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = lost, Kind = LossKind.Lost, Reason = "a test",
        }));
        await VerifyAsync(lost, lostToken, 1);
        await service.ExecuteAsync($"UPDATE credentials SET wrapped_key = wrapped_key || '\\x00' WHERE credential_id = '{alteredToken.CredentialId}'");
        service.Services.GetRequiredService<OtpAuthService.Credentials.CredentialKeyCache>().ForgetAll();
        await VerifyAsync(altered, alteredToken, 1);

        redis.Hang();
        await EverythingAsync(contractor, token);
        redis.Continue();
        await postgres.HangAsync();
        await EverythingAsync(contractor, token);
        await postgres.ContinueAsync();
        await Eventually.IsTrueAsync(async () => await CodeAsync(() => service.Auth.RequirementAsync(contractor)) == StatusCode.OK, "PostgreSQL is back");
        var kek = stores.Settings["OtpAuth:KekFile"];
        File.Move(kek, kek + ".away");
        service.Clock.Advance(TimeSpan.FromHours(2));
        await EverythingAsync(contractor, token);
        File.Move(kek + ".away", kek);
        await Eventually.IsTrueAsync(async () => await CodeAsync(() => VerifyCallAsync(contractor, token, 0)) == StatusCode.OK, "the KEK is back");
        await EverythingAsync(contractor, token);
        return [token, lostToken, alteredToken];
    }

    private async Task EverythingAsync(string contractor, SoftToken token)
    {
        await VerifyAsync(contractor, token, 0);
        await VerifyAsync(contractor, token, 0);
        await VerifyAsync(contractor, token, 1);
        service.Clock.Advance(TimeSpan.FromSeconds(60));
        var id = Calls.NewRequestId();
        await TryAsync(() => service.Auth.VerifyAsync(contractor, Sent(token.At(Now)), id));
        await TryAsync(() => service.Auth.VerifyAsync(contractor, Sent(token.At(Now, 1)), id));
        await TryAsync(() => service.Auth.VerifyAsync(contractor, Sent(Wrong(token))));
        await TryAsync(() => service.Auth.VerifyAsync(contractor, Sent(token.At(Now, 1)) + "7"));
        await TryAsync(() => service.Auth.VerifyAsync(contractor + Sent(token.At(Now, 1)), " "));
        await TryAsync(() => service.Auth.RegisterAsync(contractor, token.CredentialId, Sent(token.At(Now, 1))));
        await TryAsync(() => service.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, Sent(token.At(Now, 1))));
        await TryAsync(() => service.Auth.RequirementAsync(contractor));
        using (var impatient = new CancellationTokenSource(TimeSpan.FromMilliseconds(1)))
        {
            await TryAsync(() => service.Auth.SuspendAsync(
                new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = Calls.NewContractor(), Channel = Channel.PcBrowser, Otp = Sent(token.At(Now, 1)) },
                cancellationToken: impatient.Token));
        }

        await OperationsAsync(contractor, token);
    }

    private async Task OperationsAsync(string contractor, SoftToken token)
    {
        await TryAsync(() => service.Operations.GetBindingAsync(new() { InstitutionId = "demo", ContractorId = contractor }));
        await TryAsync(() => service.Operations.GetCredentialAsync(new() { InstitutionId = "demo", CredentialId = token.CredentialId }));
        await TryAsync(() => service.Operations.GetInstitutionAsync(new() { InstitutionId = "demo" }));
        await TryAsync(() => service.Operations.StopBypassAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "a test" }));
        await TryAsync(() => service.Operations.ResumeBypassAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "a test" }));
        await TryAsync(() => service.Operations.RotateKeysAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Kind = KeyKind.DataKey, Reason = "a test" }));
        await TryAsync(() => service.Operations.RotateKeysAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Kind = KeyKind.Kek, Reason = "a test" }));
        await TryAsync(() => service.Operations.RaiseFenceAsync(
            new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Until = new Google.Protobuf.WellKnownTypes.Timestamp(), Reason = "a test" }));
        await TryAsync(() => service.Operations.GetFenceAsync(new() { InstitutionId = "demo" }));
        await TryAsync(() => service.Operations.GetKeyStatusAsync(new() { InstitutionId = "demo" }));
        await TryAsync(() => service.Operations.VerifyAuditAsync(new() { InstitutionId = "demo" }));
        await TryAsync(async () =>
        {
            using var call = service.Operations.QueryAudit(new() { InstitutionId = "demo" });
            await foreach (var record in call.ResponseStream.ReadAllAsync())
            {
                answers.Append(record);
            }

            return "all records";
        });
    }

    /// <summary>Plain, encrypted, and refused.</summary>
    private async Task<SoftToken> ImportAsync()
    {
        var key = Encoding.ASCII.GetBytes("planted-canary-key-0");
        var id = OtpAuthService.Credentials.CredentialId.Random().Value;
        var file = $"""
            <?xml version="1.0"?><KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><KeyPackage><Key Id="{id}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
            <AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters><Data><Secret><PlainValue>{Convert.ToBase64String(key)}</PlainValue></Secret>
            <TimeInterval><PlainValue>30</PlainValue></TimeInterval></Data></Key></KeyPackage></KeyContainer>
            """;
        Assert.That((await service.Operations.ImportPskcAsync(file)).Imported, Is.EqualTo(1));
        await TryAsync(() => service.Operations.ImportPskcAsync(file));
        await TryAsync(() => service.Operations.ImportPskcAsync(file.Replace("DECIMAL", "HEXADECIMAL", StringComparison.Ordinal)));
        await TryAsync(() => service.Operations.ImportPskcAsync(file[..^30]));
        return new SoftToken(id, new OtpUri(OtpType.Totp, Base32Encoding.ToString(key), id).ToString());
    }

    private void PlantMarker()
    {
        service.Services.GetRequiredService<ILogger<CanaryTests>>().Log(LogLevel.Trace, default, Marker, null, (marker, _) => marker);
        using var source = new ActivitySource("canary");
        source.StartActivity(Marker)?.Dispose();
        answers.Append(Marker);
        // An institution's name is free text that lies in tables, the WAL and backups.
        service.Operations.SetInstitutionPolicy(new()
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "minato", DisplayName = Marker, Policy = new(), ExpectedVersion = 1, Reason = Marker, OperatorId = Marker,
        });
        redis.AddAsync("otp:canary", Marker).GetAwaiter().GetResult();
    }

    private async Task<List<(string Place, byte[] Content)>> CollectAsync()
    {
        using var http = new HttpClient();
        var places = new List<(string, byte[])>
        {
            ("the log", Encoding.UTF8.GetBytes(service.Errors.All)),
            ("traces", Encoding.UTF8.GetBytes(Traces())),
            ("answers and errors", Encoding.UTF8.GetBytes(answers.ToString())),
            ("metrics", Encoding.UTF8.GetBytes(await http.GetStringAsync(service.ManagementAddress + "/metrics") + Marker)),
            ("Redis", await DumpRedisAsync()),
        };
        // Before the backup, which has the server begin anew with it.
        places.Add(("the WAL", ReadAll(postgres.WalFolder)));
        places.Add(("a base backup", ReadAll(await postgres.BackUpAsync())));
        return places;
    }

    private static byte[] ReadAll(string folder)
    {
        using var all = new MemoryStream();
        foreach (var file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            all.Write(File.ReadAllBytes(file));
        }

        return all.ToArray();
    }

    private string Traces()
    {
        lock (activities)
        {
            return string.Join('\n', activities.Select(a =>
                $"{a.Source.Name} {a.OperationName} {a.DisplayName} {a.StatusDescription} {string.Join(' ', a.TagObjects)} {string.Join(' ', a.Baggage)} "
                + string.Join(' ', a.Events.Select(e => $"{e.Name} {string.Join(' ', e.Tags)}"))));
        }
    }

    private async Task<byte[]> DumpRedisAsync()
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.ConnectionString);
        using var all = new MemoryStream();
        var keys = 0;
        await foreach (var key in connection.GetServers()[0].KeysAsync())
        {
            keys++;
            all.Write((byte[])key!);
            foreach (var member in await connection.GetDatabase().SetMembersAsync(key))
            {
                all.Write((byte[])member!);
                all.WriteByte(0);
            }
        }

        Assert.That(keys, Is.GreaterThan(1), "Redis was used");
        return all.ToArray();
    }

    private async Task<List<(string Name, byte[] Needle)>> NeedlesAsync(List<SoftToken> tokens)
    {
        var keys = tokens.Select(t => ($"the key of {t.CredentialId}", t.Key)).ToList();
        using var kek = new FileKek(stores.Settings["OtpAuth:KekFile"]);
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        foreach (var row in await service.DataKeysAsync())
        {
            using var key = await kek.OpenAsync(row, default);
            keys.Add(($"data key {row.Version}", key.Bytes.ToArray()));
        }

        keys.Add(("the KEK", Convert.FromBase64String((await File.ReadAllTextAsync(stores.Settings["OtpAuth:KekFile"])).Trim())));
        Assert.That(otps, Has.Count.GreaterThan(8));
        return
        [
            .. keys.SelectMany(k => FormsOf(k.Item2).Select(form => (k.Item1, form))),
            .. otps.Select(otp => ($"OTP {otp}", Encoding.ASCII.GetBytes(otp))),
        ];
    }

    private static IEnumerable<byte[]> FormsOf(byte[] key) =>
    [
        key,
        Encoding.ASCII.GetBytes(Convert.ToHexString(key)),
        Encoding.ASCII.GetBytes(Convert.ToHexStringLower(key)),
        Encoding.ASCII.GetBytes(Base32Encoding.ToString(key).TrimEnd('=')),
        Encoding.ASCII.GetBytes(Convert.ToBase64String(key).TrimEnd('=')),
        Encoding.ASCII.GetBytes(Base64Url.EncodeToString(key)),
    ];

    /// <summary>Digits that turn up nowhere else, and that no step near shows.</summary>
    private string Wrong(SoftToken token) => $"{(int.Parse(token.At(Now)) + 12_345_678) % 100_000_000:D8}";

    private string Sent(string otp)
    {
        if (otp.Length == 8)
        {
            otps.Add(otp);
        }

        return otp;
    }

    private AsyncUnaryCall<VerifyResponse> VerifyCallAsync(string contractor, SoftToken token, int steps) => service.Auth.VerifyAsync(contractor, Sent(token.At(Now, steps)));

    private Task VerifyAsync(string contractor, SoftToken token, int steps) => TryAsync(() => VerifyCallAsync(contractor, token, steps));

    private Task TryAsync<T>(Func<AsyncUnaryCall<T>> call) => TryAsync(async () => await call());

    /// <summary>What comes back, whichever it is, is searched too.</summary>
    private async Task TryAsync<T>(Func<Task<T>> call)
    {
        try
        {
            answers.Append(await call()).Append('\n');
        }
        catch (RpcException refused)
        {
            answers.Append(refused.Status).Append(refused.GetRpcStatus()).Append('\n');
            foreach (var trailer in refused.Trailers)
            {
                answers.Append(trailer.Key).Append(trailer.IsBinary ? Encoding.Latin1.GetString(trailer.ValueBytes) : trailer.Value).Append('\n');
            }
        }
    }

    private static async Task<StatusCode> CodeAsync<T>(Func<AsyncUnaryCall<T>> call)
    {
        try
        {
            await call();
            return StatusCode.OK;
        }
        catch (RpcException refused)
        {
            return refused.StatusCode;
        }
    }
}
