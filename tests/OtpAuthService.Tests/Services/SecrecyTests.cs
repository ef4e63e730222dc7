using Grpc.Core;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Services;

/// <summary>Promise P7: known keys and OTPs are driven through every RPC, then searched for wherever the service writes.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.PostgresRedis)]
public class SecrecyTests(StoreKind kind)
{
    [Test]
    public async Task LogsMetricsErrorsAndTables_AfterEveryRpc_HoldNoOtpAndNoKey()
    {
        await using var service = await OtpService.StartAsync(
            kind,
            "--Logging:LogLevel:Default=Trace",
            "--Logging:LogLevel:Microsoft.AspNetCore=Trace",
            "--Logging:LogLevel:Grpc=Trace");
        var now = service.Clock.GetUtcNow();
        var (contractor, token) = await service.RegisteredAsync();
        var wrong = token.WrongAt(now);
        var written = new List<string>();
        await service.Auth.VerifyAsync(contractor, token.At(now));
        await service.Auth.VerifyAsync(contractor, token.At(now));
        await service.Auth.VerifyAsync(contractor, wrong);
        foreach (var malformed in new[] { token.At(now, 1) + "7", "x" + token.At(now, 1), token.At(now, 1) + "12" })
        {
            var error = await Assert.ThrowsAsync<RpcException>(async () => await service.Auth.VerifyAsync(contractor, malformed));
            written.Add($"{error!.Status} {error.GetRpcStatus()}");
        }

        await service.Auth.SuspendAsync(contractor, token.At(now, 1));
        written.Add((await service.Operations.BindingAsync(contractor)).ToString());
        written.Add((await service.Operations.GetCredentialAsync(new() { InstitutionId = "demo", CredentialId = token.CredentialId })).ToString());
        using var http = new HttpClient();
        written.Add(await http.GetStringAsync(service.ManagementAddress + "/metrics"));
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        written.AddRange((await db.AuditRecords.AsNoTracking().ToListAsync()).Select(r => System.Text.Json.JsonSerializer.Serialize(r)));
        written.AddRange((await db.Answers.AsNoTracking().ToListAsync()).Select(a => System.Text.Json.JsonSerializer.Serialize(a)));

        Assert.That(service.Errors.All, Does.Contain("Deserializing"), "the log was on at its most talkative");
        var everything = string.Join('\n', [service.Errors.All, .. written]);
        // OTPs as whole words: six digits also turn up inside ports, times and row numbers.
        foreach (var otp in new[] { token.At(now, -1), token.At(now), token.At(now, 1), wrong })
        {
            Assert.That(everything, Does.Not.Match($@"(?<![0-9a-fA-F]){otp}(?![0-9a-fA-F])"));
        }

        Assert.That(everything, Does.Not.Contain(OtpNet.Base32Encoding.ToString(token.Key).TrimEnd('=')));
        Assert.That(everything, Does.Not.Contain(Convert.ToHexString(token.Key)).IgnoreCase);
        Assert.That(everything, Does.Not.Contain(Convert.ToBase64String(token.Key)));
    }
}
