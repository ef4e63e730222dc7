using Grpc.Core;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Submissions;

/// <summary>Promise P4: the same request id gets the first answer again for 120 s, is counted once and recorded once.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class RetryTests(StoreKind kind)
{
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task Retry_OfEveryOutcome_GetsTheFirstAnswerAndOneRecord()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var stranger = Calls.NewContractor();
        var otp = token.At(Now);
        await ExpectSameTwiceAsync(id => service.Auth.VerifyAsync(contractor, token.WrongAt(Now), id), Outcome.Mismatch);
        await ExpectSameTwiceAsync(id => service.Auth.VerifyAsync(contractor, otp, id), Outcome.Accepted);
        await ExpectSameTwiceAsync(id => service.Auth.VerifyAsync(contractor, otp, id), Outcome.AlreadyUsed);
        await ExpectSameTwiceAsync(id => service.Auth.VerifyAsync(stranger, otp, id), Outcome.NotRegistered);
        await ExpectSameTwiceAsync(id => service.Auth.VerifyAsync(contractor, "", id, channel: Channel.FeaturePhone), Outcome.Bypassed);
        await ExpectSameTwiceAsync(id => service.Auth.SuspendAsync(contractor, token.At(Now, 1), id), Outcome.Accepted);
        service.Clock.Advance(TimeSpan.FromSeconds(60));
        await ExpectSameTwiceAsync(id => service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now), id), Outcome.Accepted);
        Assert.That((await service.Operations.BindingAsync(contractor)).ConsecutiveFailures, Is.Zero);
    }

    [Test]
    public async Task Retry_AfterTheBindingHasChanged_StillGetsTheFirstAnswer()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());
        await service.Auth.VerifyAsync(contractor, otp, requestId);
        await service.Auth.SuspendAsync(contractor, token.At(Now, 1));

        var retried = await service.Auth.VerifyAsync(contractor, otp, requestId);

        Assert.That((retried.Outcome, retried.Repeated), Is.EqualTo((Outcome.Accepted, true)));
    }

    [Test]
    public async Task Retry_AfterTheContractorWasLocked_StillGetsTheFirstAnswer()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());
        await service.Auth.VerifyAsync(contractor, otp, requestId);
        for (var i = 0; i < 5; i++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        var retried = await service.Auth.VerifyAsync(contractor, otp, requestId);

        Assert.That((retried.Outcome, retried.Repeated), Is.EqualTo((Outcome.Accepted, true)));
    }

    [Test]
    public async Task Retry_Within120Seconds_IsRepeated_AfterwardsDecidedAnew()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (otp, requestId) = (token.At(Now), Calls.NewRequestId());
        await service.Auth.VerifyAsync(contractor, otp, requestId);

        service.Clock.Advance(TimeSpan.FromSeconds(119));
        Assert.That((await service.Auth.VerifyAsync(contractor, otp, requestId)).Repeated, Is.True);
        service.Clock.Advance(TimeSpan.FromSeconds(1));
        var anew = await service.Auth.VerifyAsync(contractor, otp, requestId);

        // Four steps old by now.
        Assert.That((anew.Outcome, anew.Repeated), Is.EqualTo((Outcome.Mismatch, false)));
    }

    [Test]
    public async Task RequestId_WithOtherContent_IsInvalid()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var requestId = Calls.NewRequestId();
        await service.Auth.VerifyAsync(contractor, token.At(Now), requestId);

        await ExpectInvalidAsync(async () => await service.Auth.VerifyAsync(contractor, token.At(Now, 1), requestId));
        await ExpectInvalidAsync(async () => await service.Auth.VerifyAsync(contractor, token.At(Now), requestId, purpose: Purpose.Transfer));
        await ExpectInvalidAsync(async () => await service.Auth.VerifyAsync(Calls.NewContractor(), token.At(Now), requestId));
        await ExpectInvalidAsync(async () => await service.Auth.SuspendAsync(contractor, token.At(Now), requestId));
        await ExpectInvalidAsync(async () => await service.Operations.IssueCredentialAsync(new() { RequestId = requestId, InstitutionId = "demo" }));
    }

    [Test]
    public async Task Issue_Retried_HandsOutTheSameCredential()
    {
        var request = new IssueCredentialRequest { RequestId = Calls.NewRequestId(), InstitutionId = "demo" };
        var first = await service.Operations.IssueCredentialAsync(request);
        var second = await service.Operations.IssueCredentialAsync(request);
        Assert.That((second.CredentialId, second.OtpauthUri, second.Repeated), Is.EqualTo((first.CredentialId, first.OtpauthUri, true)));
    }

    [Test]
    public async Task Answers_LongAfterTheirTime_AreSwept()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await Eventually.IsTrueAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromSeconds(60));
                return await CountAsync(db => db.Answers.CountAsync()) == 0;
            },
            "stored answers are swept");
    }

    private async Task ExpectSameTwiceAsync<T>(Func<string, AsyncUnaryCall<T>> call, Outcome outcome)
        where T : IOtpAnswer
    {
        var requestId = Calls.NewRequestId();
        var first = await call(requestId);
        var second = await call(requestId);
        Assert.That((first.Outcome, first.Repeated), Is.EqualTo((outcome, false)));
        second.Repeated = false;
        Assert.That(second, Is.EqualTo(first));
        Assert.That(await CountAsync(db => db.AuditRecords.CountAsync(r => r.RequestId == requestId)), Is.EqualTo(1));
    }

    private static async Task ExpectInvalidAsync(Func<Task> call)
    {
        var error = await Assert.ThrowsAsync<RpcException>(async () => await call());
        Assert.That(error!.StatusCode, Is.EqualTo(StatusCode.InvalidArgument));
    }

    private async Task<int> CountAsync(Func<OtpDbContext, Task<int>> count)
    {
        await using var db = service.Services.GetRequiredService<StoreSet>().CreateContext();
        return await count(db);
    }
}
