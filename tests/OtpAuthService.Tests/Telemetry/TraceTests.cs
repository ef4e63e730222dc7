using System.Collections.Concurrent;
using System.Diagnostics;
using Grpc.Core;
using OtpAuthService.Telemetry;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Telemetry;

/// <summary>A trace of one call shows its steps, under the caller's own span, and nothing that is secret or about a person (promise P7).</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.PostgresRedis)]
public class TraceTests(StoreKind kind)
{
    private readonly ConcurrentQueue<Activity> ended = new();
    private ActivityListener listener = null!;
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync()
    {
        listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == Spans.SourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> call) =>
                call.Parent == default || (call.Parent.TraceFlags & ActivityTraceFlags.Recorded) != 0 ? ActivitySamplingResult.AllDataAndRecorded : ActivitySamplingResult.None,
            ActivityStopped = ended.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        service = await OtpService.StartAsync(kind);
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        listener.Dispose();
    }

    [Test]
    public async Task Verify_UnderACallersTrace_ShowsEachStepOfItsOwn()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (trace, parent) = (ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom());
        await VerifyAsync(contractor, token.At(Now), $"00-{trace}-{parent}-01");

        var spans = await SpansAsync(trace);
        var call = spans.Single(span => span.Kind == ActivityKind.Server);
        Assert.That((call.DisplayName, call.ParentSpanId), Is.EqualTo(("otpauth.v1.OtpAuth/Verify", parent)));
        Assert.That(
            new[] { "rpc.response.status_code", "otp.outcome", "otp.decision", "otp.repeated" }.Select(tag => $"{call.GetTagItem(tag)}"),
            Is.EqualTo(new[] { "OK", "Accepted", "Allow", "False" }));
        var steps = spans.Where(span => span != call).OrderBy(span => span.StartTimeUtc).ToList();
        Assert.That(steps.Select(span => span.DisplayName), Is.SupersetOf(new[] { "find binding", "match", "wait", "ask replay cache", "decide" }));
        Assert.That(steps.Select(span => span.ParentSpanId), Is.All.EqualTo(call.SpanId));
        Assert.That(steps.Select(span => span.StartTimeUtc), Is.All.InRange(call.StartTimeUtc, call.StartTimeUtc + call.Duration));
        Assert.That(steps.Single(span => span.DisplayName == "match").GetTagItem("otp.window"), Is.EqualTo(3));
    }

    [Test]
    public async Task Verify_WithoutATrace_BeginsOneOfItsOwn()
    {
        var (contractor, token) = await service.RegisteredAsync();
        ended.Clear();
        await VerifyAsync(contractor, token.WrongAt(Now));

        await Eventually.IsTrueAsync(() => Task.FromResult(ended.Any(span => $"{span.GetTagItem("otp.outcome")}" == "Mismatch")), "a call with its outcome");
        Assert.That(ended.Where(span => span.Kind == ActivityKind.Server).Select(span => span.ParentSpanId), Is.All.EqualTo(default(ActivitySpanId)));
    }

    [Test]
    public async Task Verify_ThatTheCallerDoesNotSample_IsNotTraced()
    {
        var (contractor, token) = await service.RegisteredAsync();
        ended.Clear();
        await VerifyAsync(contractor, token.At(Now), $"00-{ActivityTraceId.CreateRandom()}-{ActivitySpanId.CreateRandom()}-00");

        Assert.That(ended, Is.Empty);
    }

    [Test]
    public async Task Refusal_OfTheCallersMaking_IsNoErrorOfTheService()
    {
        var trace = ActivityTraceId.CreateRandom();
        await Refusal.OfAsync(() => VerifyAsync("C-1", "12x456", $"00-{trace}-{ActivitySpanId.CreateRandom()}-01"));

        var call = (await SpansAsync(trace)).Single();
        Assert.That((call.GetTagItem("rpc.response.status_code"), call.Status), Is.EqualTo(((object)"InvalidArgument", ActivityStatusCode.Unset)));
    }

    [Test]
    public async Task Spans_OfAllKinds_TellOfNoPersonAndNoSecret()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await VerifyAsync(contractor, token.WrongAt(Now));
        await VerifyAsync(contractor, token.At(Now));
        await service.Auth.SuspendAsync(contractor, token.At(Now, 1));

        await Eventually.IsTrueAsync(() => Task.FromResult(ended.Any(span => span.DisplayName == "otpauth.v1.OtpAuth/Suspend")), "all have ended");
        var told = string.Join('\n', ended.SelectMany(span => span.TagObjects.Select(tag => $"{tag.Key}={tag.Value}").Append(span.DisplayName)));
        foreach (var secret in new[] { contractor, token.CredentialId, token.At(Now), token.WrongAt(Now), Convert.ToHexString(token.Key) })
        {
            Assert.That(told, Does.Not.Contain(secret).IgnoreCase);
        }
    }

    private async Task VerifyAsync(string contractor, string otp, string? traceparent = null) => await service.Auth.VerifyAsync(
        new VerifyRequest
        {
            RequestId = Calls.NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Channel = Channel.PcBrowser, Purpose = Purpose.Login, Otp = otp,
        },
        traceparent is null ? [] : new Metadata { { "traceparent", traceparent } });

    /// <summary>The call's own span ends after its answer has left.</summary>
    private async Task<List<Activity>> SpansAsync(ActivityTraceId trace)
    {
        await Eventually.IsTrueAsync(() => Task.FromResult(ended.Any(span => span.TraceId == trace && span.Kind == ActivityKind.Server)), "the call has ended");
        return [.. ended.Where(span => span.TraceId == trace)];
    }
}
