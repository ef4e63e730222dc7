using Google.Protobuf;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpNet;

namespace OtpAuthService.Tests.Credentials;

/// <summary>IssueCredential and ImportCredentials over gRPC; what PSKC files may hold is PskcReaderTests' matter.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class CredentialSupplyTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    [Test]
    public async Task Issue_Defaults_GivesTheVipFormAnd160Bits()
    {
        var token = await service.Operations.IssueAsync();
        Assert.That(token.CredentialId, Does.Match("^[A-Z]{4}[0-9]{8}$"));
        Assert.That(token.Key, Has.Length.EqualTo(20));
    }

    [TestCase(6, 30, Algorithm.Sha1)]
    [TestCase(8, 30, Algorithm.Sha256)]
    [TestCase(8, 60, Algorithm.Sha512)]
    public async Task Issue_EveryKind_RegistersAndVerifies(int digits, int period, Algorithm algorithm)
    {
        var (contractor, token) = await service.RegisteredAsync(digits: digits, period: period, algorithm: algorithm);
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        var shown = (await service.Operations.GetCredentialAsync(new() { InstitutionId = "demo", CredentialId = token.CredentialId }));
        Assert.That(
            (shown.Credential.Digits, shown.Credential.PeriodSeconds, shown.Credential.Algorithm, shown.ContractorId),
            Is.EqualTo((digits, period, algorithm, contractor)));
    }

    [Test]
    public async Task Import_PskcFile_RegistersAndVerifies()
    {
        var (id, key) = (NewId(), "12345678901234567890"u8.ToArray());
        var imported = await ImportAsync(PskcFiles.WithPlainKeys((id, key)));
        Assert.That((imported.Imported, imported.Repeated), Is.EqualTo((1, false)));

        var contractor = Calls.NewContractor();
        var totp = new Totp(key);
        Assert.That((await service.Auth.RegisterAsync(contractor, id, totp.ComputeTotp(Now.UtcDateTime))).Outcome, Is.EqualTo(Outcome.Accepted));
        var shown = await service.Operations.GetCredentialAsync(new() { InstitutionId = "demo", CredentialId = id });
        Assert.That(shown.Credential.Supplier, Is.EqualTo("Manufacturer"));
    }

    [Test]
    public async Task Import_Retried_TakesTheFileInOnce()
    {
        var (requestId, file) = (Calls.NewRequestId(), PskcFiles.WithPlainKeys((NewId(), new byte[20])));
        await ImportAsync(file, requestId);
        var again = await ImportAsync(file, requestId);
        Assert.That((again.Imported, again.Repeated), Is.EqualTo((1, true)));
    }

    [Test]
    public async Task Import_FileWithOneKnownCredential_TakesInNothing()
    {
        var (known, fresh) = (NewId(), NewId());
        await ImportAsync(PskcFiles.WithPlainKeys((known, new byte[20])));

        var error = await ExpectErrorAsync(StatusCode.AlreadyExists, () => ImportAsync(PskcFiles.WithPlainKeys((fresh, new byte[20]), (known, new byte[20]))));

        Assert.That(error.Status.Detail, Does.Contain(known));
        await ExpectErrorAsync(
            StatusCode.NotFound, async () => await service.Operations.GetCredentialAsync(new() { InstitutionId = "demo", CredentialId = fresh }));
    }

    [TestCase("this is not XML", "")]
    [TestCase("<!DOCTYPE x [<!ENTITY a \"b\">]><x/>", "")]
    [TestCase("", "")]
    public async Task Import_SomethingElse_IsInvalid(string file, string supplier) =>
        await ExpectErrorAsync(StatusCode.InvalidArgument, () => ImportAsync(file, supplier: supplier));

    [Test]
    public async Task Import_WithoutHeader_IsInvalid()
    {
        await ExpectErrorAsync(StatusCode.InvalidArgument, async () =>
        {
            using var call = service.Operations.ImportCredentials();
            await call.RequestStream.WriteAsync(new ImportCredentialsRequest { Chunk = ByteString.CopyFromUtf8("<x/>") });
            await call.RequestStream.CompleteAsync();
            await call;
        });
        await ExpectErrorAsync(StatusCode.InvalidArgument, async () =>
        {
            using var call = service.Operations.ImportCredentials();
            await call.RequestStream.CompleteAsync();
            await call;
        });
    }

    [TestCase(7, 0, Algorithm.Unspecified)]
    [TestCase(0, 45, Algorithm.Unspecified)]
    [TestCase(0, 0, (Algorithm)9)]
    public async Task Issue_UnknownParameters_IsInvalid(int digits, int period, Algorithm algorithm) =>
        await ExpectErrorAsync(StatusCode.InvalidArgument, () => service.Operations.IssueAsync(digits, period, algorithm));

    private Task<ImportCredentialsResponse> ImportAsync(string file, string? requestId = null, string supplier = "") =>
        service.Operations.ImportPskcAsync(file, requestId, supplier);

    private static async Task<RpcException> ExpectErrorAsync(StatusCode status, Func<Task> call)
    {
        var error = await Assert.ThrowsAsync<RpcException>(async () => await call());
        Assert.That(error!.StatusCode, Is.EqualTo(status));
        return error;
    }

    private static string NewId() => "TEST" + Guid.NewGuid().ToString("N")[..20].ToUpperInvariant();
}
