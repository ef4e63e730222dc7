using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Callers;

/// <summary>Few guesses at each of many contractors: none of them is locked, but the caller they come through is noticed and then stopped (promise P5).</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.PostgresRedis)]
public class SprayingTests(StoreKind kind)
{
    private const int Signal = 5;
    private const int Stop = 8;

    private CallersUnderTest callers = null!;
    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [SetUp]
    public async Task StartAsync()
    {
        var budget = new { signal = Signal, stop = Stop };
        callers = new CallersUnderTest(
            CallerRow.Frontend("sprayed", "demo", "minato") with { FailureBudget = budget },
            CallerRow.Frontend("neighbour", "demo") with { FailureBudget = budget },
            CallerRow.Frontend("slow", "demo") with { CallsPerSecond = 5 },
            CallerRow.Operator("help-desk", "demo") with { FailureBudget = budget });
        service = await OtpService.StartAsync(kind, [.. callers.Settings, "--OtpAuth:InstitutionFailureSignal=10"]);
    }

    [TearDown]
    public async Task StopAsync()
    {
        await service.DisposeAsync();
        callers.Dispose();
    }

    [Test]
    public async Task Caller_WhoseOtpsAreWrong_IsSignalledThenStoppedAndNobodyElse()
    {
        using var sprayed = callers.Connect(service, "sprayed");
        using var neighbour = callers.Connect(service, "neighbour");
        var victims = await RegisteredAsync(Stop + 1);
        for (var i = 0; i < Stop; i++)
        {
            Assert.That(service.Errors.All.Contains("FAILURES_OF_CALLER", StringComparison.Ordinal), Is.EqualTo(i >= Signal), $"after {i}");
            await WrongAsync(sprayed, victims[i]);
        }

        var (contractor, token) = victims[^1];
        var before = await service.TracesAsync();
        await StoppedAsync(async () => await sprayed.Auth.VerifyAsync(contractor, token.At(Now)));
        await StoppedAsync(async () => await sprayed.Auth.RegisterAsync(Calls.NewContractor(), token.CredentialId, token.At(Now)));
        await StoppedAsync(async () => await sprayed.Auth.SuspendAsync(contractor, token.At(Now)));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before), "nothing was evaluated, claimed or counted");

        Assert.That((await neighbour.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "another caller");
        Assert.That((await neighbour.Auth.VerifyAsync(victims[0].Contractor, victims[0].Token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "a victim");
        Assert.That((await sprayed.Auth.VerifyAsync("C-1", "000000", institution: "minato")).Outcome, Is.EqualTo(Outcome.NotRegistered), "another institution");
        Assert.That(await SecurityEventsAsync("FAILURES_OF_CALLER", "sprayed"), Is.EqualTo(1));
        Assert.That(await SecurityEventsAsync("FAILURE_BUDGET_SPENT", "sprayed"), Is.EqualTo(1));
    }

    /// <summary>An operator's access is no way to find out OTPs by trying.</summary>
    [Test]
    public async Task Operator_WhoChecksWrongOtps_IsStoppedLikeAnyCaller()
    {
        using var helpDesk = callers.Connect(service, "help-desk");
        var (contractor, token) = (await RegisteredAsync(1)).Single();
        for (var guess = 0; guess < Stop; guess++)
        {
            Assert.That((await helpDesk.Operations.CheckOtpAsync(contractor, token.WrongAt(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
        }

        await StoppedAsync(async () => await helpDesk.Operations.CheckOtpAsync(contractor, token.At(Now)));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "the contractor's own budget is whole");
    }

    [Test]
    public async Task Caller_Stopped_GoesOnWhenTheWindowHasMovedOn()
    {
        using var sprayed = callers.Connect(service, "sprayed");
        foreach (var victim in await RegisteredAsync(Stop))
        {
            await WrongAsync(sprayed, victim);
        }

        var (contractor, token) = (await RegisteredAsync(1)).Single();
        await StoppedAsync(async () => await sprayed.Auth.VerifyAsync(contractor, token.At(Now)));
        // What a replica knows of itself goes to the table first, under the minute in which it does.
        await Eventually.IsTrueAsync(async () => await service.FailureMinutesAsync() == Stop, "the table has all of them");
        service.Clock.Advance(TimeSpan.FromMinutes(11));
        await Eventually.IsTrueAsync(async () => await IsLetInAsync(sprayed, contractor, token), "the caller is let in again");
    }

    /// <summary>Parallel guesses do not slip past: at most those that were under way when the budget was spent.</summary>
    [Test]
    public async Task Caller_GuessingInParallel_IsStoppedAsWell()
    {
        using var sprayed = callers.Connect(service, "sprayed");
        var victims = await RegisteredAsync(40);
        await Task.WhenAll(victims.Take(20).Select(v => CodeOfAsync(() => WrongAsync(sprayed, v))));
        var counted = (await service.TracesAsync()).Failures;
        Assert.That(counted, Is.InRange(Stop, 20));
        await Task.WhenAll(victims.Skip(20).Select(v => StoppedAsync(() => WrongAsync(sprayed, v))));
        Assert.That((await service.TracesAsync()).Failures, Is.EqualTo(counted));
    }

    /// <summary>What is being written to the table is not forgotten meanwhile.</summary>
    [Test]
    public async Task Caller_WhoseFailuresAreBeingWritten_IsStoppedAsWell()
    {
        if (kind == StoreKind.Sqlite)
        {
            Assert.Pass("SQLite has no rows to hold.");
        }

        using var sprayed = callers.Connect(service, "sprayed");
        var victims = await RegisteredAsync(Stop + 1);
        await WrongAsync(sprayed, victims[0]);
        await Eventually.IsTrueAsync(async () => await service.FailureMinutesAsync() == 1, "the table has the first");
        await using var held = await HeldRow.FailuresAsync(service.Stores, "sprayed");
        foreach (var victim in victims.Skip(1).Take(Stop - 1))
        {
            await WrongAsync(sprayed, victim);
        }

        await HeldRow.IsWaitedForAsync(service.Stores);
        await StoppedAsync(() => WrongAsync(sprayed, victims[^1]));
    }

    [Test]
    public async Task Replicas_ShareWhatTheyCount()
    {
        if (kind == StoreKind.Sqlite)
        {
            Assert.Pass("The embedded default has one replica.");
        }

        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock, callers.Settings);
        using var here = callers.Connect(service, "sprayed");
        using var there = callers.Connect(replica, "sprayed");
        var victims = await RegisteredAsync(Stop + 1);
        for (var i = 0; i < Stop; i++)
        {
            await WrongAsync(i % 2 == 0 ? here : there, victims[i]);
        }

        var (contractor, token) = victims[^1];
        await Eventually.IsTrueAsync(async () => !await IsLetInAsync(here, contractor, token, wrong: true), "stopped here", seconds: 5);
        await Eventually.IsTrueAsync(async () => !await IsLetInAsync(there, contractor, token, wrong: true), "stopped there", seconds: 5);
        await using var later = await OtpService.StartAsync(service.Stores, service.Clock, callers.Settings);
        using var after = callers.Connect(later, "sprayed");
        await Eventually.IsTrueAsync(async () => !await IsLetInAsync(after, contractor, token, wrong: true), "and on one that has just started", seconds: 5);
    }

    [Test]
    public async Task Institution_WhoseOtpsAreWrongOverAllCallers_IsSignalled()
    {
        using var sprayed = callers.Connect(service, "sprayed");
        using var neighbour = callers.Connect(service, "neighbour");
        foreach (var (victim, i) in (await RegisteredAsync(10)).Select((v, i) => (v, i)))
        {
            Assert.That(service.Errors.All, Does.Not.Contain("FAILURES_AT_INSTITUTION"));
            await WrongAsync(i % 2 == 0 ? sprayed : neighbour, victim);
        }

        Assert.That(service.Errors.All, Does.Contain("FAILURES_AT_INSTITUTION"));
    }

    /// <summary>What is no guess is not one here either.</summary>
    [Test]
    public async Task Caller_WithReplaysMalformedOtpsAndRetries_IsNotSignalled()
    {
        using var sprayed = callers.Connect(service, "sprayed");
        var (contractor, token) = (await RegisteredAsync(1)).Single();
        await sprayed.Auth.VerifyAsync(contractor, token.At(Now));
        var id = Calls.NewRequestId();
        var wrong = token.WrongAt(Now);
        for (var i = 0; i < Stop + 1; i++)
        {
            Assert.That((await sprayed.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
            await Refusal.OfAsync(async () => await sprayed.Auth.VerifyAsync(contractor, "12345"));
            Assert.That((await sprayed.Auth.VerifyAsync(contractor, wrong, id)).Outcome, Is.EqualTo(Outcome.Mismatch));
        }

        Assert.That(service.Errors.All, Does.Not.Contain("FAILURES_OF_CALLER"));
    }

    [Test]
    public async Task Caller_BeyondItsRate_IsExhaustedAndNobodyElse()
    {
        using var slow = callers.Connect(service, "slow");
        using var neighbour = callers.Connect(service, "neighbour");
        var codes = new List<StatusCode>();
        for (var i = 0; i < 30; i++)
        {
            codes.Add(await CodeOfAsync(() => slow.Auth.RequirementAsync("C-1").ResponseAsync));
        }

        Assert.That(codes.Distinct(), Is.EquivalentTo(new[] { StatusCode.OK, StatusCode.ResourceExhausted }));
        Assert.That(codes.Take(5), Is.All.EqualTo(StatusCode.OK), "as many at once as a second has");
        var refusal = await Refusal.OfAsync(async () =>
        {
            for (var i = 0; i < 30; i++)
            {
                await slow.Auth.RequirementAsync("C-1");
            }
        });
        Assert.That((refusal.Info, refusal.RetryDelay > TimeSpan.Zero), Is.EqualTo((("RATE_EXCEEDED", "otpauth.v1"), true)));
        await neighbour.Auth.RequirementAsync("C-1");
        await Eventually.IsTrueAsync(
            async () => await CodeOfAsync(() => slow.Auth.RequirementAsync("C-1").ResponseAsync) == StatusCode.OK, "a second later it is let in again");
    }

    private async Task<List<(string Contractor, SoftToken Token)>> RegisteredAsync(int count)
    {
        var registered = new List<(string, SoftToken)>();
        for (var i = 0; i < count; i++)
        {
            registered.Add(await service.RegisteredAsync());
        }

        return registered;
    }

    private async Task WrongAsync(CallerConnection caller, (string Contractor, SoftToken Token) victim) =>
        Assert.That((await caller.Auth.VerifyAsync(victim.Contractor, victim.Token.WrongAt(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));

    private async Task<bool> IsLetInAsync(CallerConnection caller, string contractor, SoftToken token, bool wrong = false) =>
        await CodeOfAsync(() => caller.Auth.VerifyAsync(contractor, wrong ? token.WrongAt(Now) : token.At(Now)).ResponseAsync) == StatusCode.OK;

    private static async Task<StatusCode> CodeOfAsync(Func<Task> call)
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

    private static async Task StoppedAsync(Func<Task> call)
    {
        var refusal = await Refusal.OfAsync(call);
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.ResourceExhausted, ("FAILURE_BUDGET_SPENT", "otpauth.v1"))));
        Assert.That(refusal.RetryDelay, Is.EqualTo(TimeSpan.FromMinutes(1)));
    }

    private Task<double> SecurityEventsAsync(string reason, string caller) =>
        service.MetricAsync("otp_security_events_total", ("reason", reason), ("caller", caller));
}
