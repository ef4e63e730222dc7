using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Events;

/// <summary>What a bank is told of its contractors: each event exactly where its decision was made, in order, at least once.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class EventStreamTests(StoreKind kind)
{
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

    [Test]
    public async Task Life_OfACredential_IsToldAsItHappened()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        for (var guess = 0; guess < 6; guess++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        await service.Operations.UnlockAsync(contractor);
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        await service.Auth.ResynchronizeAsync(contractor, token.At(Now, 3), token.At(Now, 4));
        await service.Operations.SuspendBindingAsync(contractor);
        await service.Operations.ResumeBindingAsync(contractor);
        var temporary = await service.Operations.IssueTemporaryOtpAsync(contractor);
        await service.Auth.VerifyAsync(contractor, temporary.TemporaryOtp);
        await service.Auth.VerifyAsync(contractor, "", channel: Channel.FeaturePhone);
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        var second = await service.Operations.IssueAsync();
        await service.Auth.ReplaceAsync(contractor, token.At(Now, 4), second.CredentialId, second.At(Now));
        await service.Operations.ReportLostAsync(contractor);
        await service.Operations.OpenReregistrationAsync(contractor);
        var third = await service.Operations.IssueAsync();
        await service.Auth.RegisterAsync(contractor, third.CredentialId, third.At(Now));
        await service.Auth.SuspendAsync(contractor, third.At(Now, 1));

        var (a, b, c) = (token.CredentialId, second.CredentialId, third.CredentialId);
        Assert.That((await ReadAsync()).Select(e => (e.Kind, e.Rpc, e.CredentialId)), Is.EqualTo(new[]
        {
            (EventKind.Registered, "Register", a),
            (EventKind.DuplicateUse, "Verify", a),
            (EventKind.Locked, "Verify", a),
            (EventKind.Unlocked, "Unlock", a),
            (EventKind.Resynchronized, "Resynchronize", a),
            (EventKind.Stopped, "SuspendBinding", a),
            (EventKind.Resumed, "ResumeBinding", a),
            (EventKind.TemporaryOtpIssued, "IssueTemporaryOtp", a),
            (EventKind.TemporaryOtpUsed, "Verify", a),
            (EventKind.Bypassed, "Verify", ""),
            (EventKind.Replaced, "Replace", b),
            (EventKind.Lost, "ReportLost", b),
            (EventKind.ReregistrationOpened, "OpenReregistration", b),
            (EventKind.Registered, "Register", c),
            (EventKind.Suspended, "Suspend", c),
        }));
    }

    /// <summary>Both ends: the request that is on record, and a moment in UTC.</summary>
    [Test]
    public async Task Event_NamesItsRequest()
    {
        var token = await service.Operations.IssueAsync();
        var (contractor, requestId) = (Calls.NewContractor(), Calls.NewRequestId());
        var answer = await service.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now), requestId);

        var told = (await ReadAsync()).Single();
        Assert.That((told.ContractorId, told.RequestId, told.OccurredAt, told.LockedUntil), Is.EqualTo((contractor, requestId, answer.DecidedAt, (Google.Protobuf.WellKnownTypes.Timestamp?)null)));
        Assert.That(told.EventId, Does.Match("^[0-9a-f]{32}$"));
        Assert.That((await ReadAsync()).Single(), Is.EqualTo(told), "told again, it is the same");
    }

    /// <summary>Five in a row lock for half an hour; the ones after it lock until an operator helps.</summary>
    [Test]
    public async Task Lock_OfEachKind_IsToldOnceWithItsEnd()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await MissAsync(6);
        var locked = (await ReadAsync(EventKind.Locked)).Single();
        Assert.That(locked.LockedUntil.ToDateTimeOffset(), Is.EqualTo(locked.OccurredAt.ToDateTimeOffset().AddMinutes(30)));
        service.Clock.Advance(TimeSpan.FromMinutes(31));
        await MissAsync(6);
        Assert.That((await ReadAsync(EventKind.Locked)).Select(e => e.LockedUntil is null), Is.EqualTo(new[] { false, true }));

        async Task MissAsync(int times)
        {
            for (var guess = 0; guess < times; guess++)
            {
                await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
            }
        }
    }

    /// <summary>By policy a pair of OTPs ends the lock: two things happened. A wrong pair while locked begins no lock that was not there.</summary>
    [Test]
    public async Task Resynchronisation_ThatEndsALock_IsToldAsBoth()
    {
        await SetPolicyAsync(new() { ContractorMayUnlock = true });
        var (contractor, token) = await service.RegisteredAsync();
        for (var guess = 0; guess < 5; guess++)
        {
            await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        }

        await service.Auth.ResynchronizeAsync(contractor, token.WrongAt(Now), token.WrongAt(Now));
        await service.Auth.ResynchronizeAsync(contractor, token.At(Now, 2), token.At(Now, 3));

        Assert.That(
            (await ReadAsync()).Select(e => e.Kind), Is.EqualTo(new[] { EventKind.Registered, EventKind.Locked, EventKind.Resynchronized, EventKind.Unlocked }));
    }

    [Test]
    public async Task Act_ThatChangesNothing_IsNoEvent()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await service.Auth.VerifyAsync(contractor, token.WrongAt(Now));
        await service.Operations.UnlockAsync(contractor);
        await service.Operations.CheckOtpAsync(contractor, token.At(Now));
        await service.Operations.SuspendBindingAsync(contractor);
        var stopped = (await ReadAsync()).Count;

        await service.Operations.SuspendBindingAsync(contractor);
        await service.Operations.ResumeBindingAsync(contractor);
        await service.Operations.ResumeBindingAsync(contractor);
        await service.Operations.ReportLostAsync(contractor);
        await service.Operations.ReportLostAsync(contractor);
        await service.Auth.VerifyAsync(contractor, token.At(Now, 1));

        Assert.That(stopped, Is.EqualTo(2));
        Assert.That(
            (await ReadAsync()).Select(e => e.Kind), Is.EqualTo(new[] { EventKind.Registered, EventKind.Stopped, EventKind.Resumed, EventKind.Lost }));
    }

    [Test]
    public async Task Retry_IsNoSecondEvent()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var otp = token.At(Now, -1);
        var requestId = Calls.NewRequestId();
        var first = await service.Auth.VerifyAsync(contractor, otp, requestId);
        var again = await service.Auth.VerifyAsync(contractor, otp, requestId);

        Assert.That((first.Outcome, again.Repeated), Is.EqualTo((Outcome.AlreadyUsed, true)));
        Assert.That((await ReadAsync()).Select(e => e.Kind), Is.EqualTo(new[] { EventKind.Registered, EventKind.DuplicateUse }));
    }

    /// <summary>Nobody has used these, as far as is known: the database may only have forgotten it.</summary>
    [Test]
    public async Task Otp_ThatOnlyTheFenceRefuses_IsNoDuplicateUse()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        await service.Operations.RaiseFenceAsync(new() { RequestId = Calls.NewRequestId(), InstitutionId = "demo", Reason = "a test" });

        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await service.Auth.ResynchronizeAsync(contractor, token.At(Now, 2), token.At(Now, 3))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await ReadAsync()).Select(e => e.Kind), Is.EqualTo(new[] { EventKind.Registered }));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.AlreadyUsed));
        Assert.That((await ReadAsync()).Select(e => e.Kind), Is.EqualTo(new[] { EventKind.Registered, EventKind.DuplicateUse }));
    }

    /// <summary>Also where records name contractors by a hash, and where the refusals of many come with one statement.</summary>
    [Test]
    public async Task DuplicateUses_OfManyAtOnce_NameTheirContractors()
    {
        await SetPolicyAsync(new() { AuditContractorIds = AuditContractorIds.KeyedHash });
        var registered = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => service.RegisteredAsync()));
        await Task.WhenAll(registered.Select(r => service.Auth.VerifyAsync(r.Contractor, r.Token.At(Now)).ResponseAsync));

        var again = await Task.WhenAll(registered.Concat(registered).Select(r => service.Auth.VerifyAsync(r.Contractor, r.Token.At(Now)).ResponseAsync));

        Assert.That(again.Select(a => a.Outcome), Is.All.EqualTo(Outcome.AlreadyUsed));
        Assert.That(
            (await ReadAsync(EventKind.DuplicateUse)).Select(e => (e.ContractorId, e.CredentialId)),
            Is.EquivalentTo(registered.Concat(registered).Select(r => (r.Contractor, r.Token.CredentialId))));
    }

    [Test]
    public async Task Reader_WhoGoesOn_IsToldWhatFollowed()
    {
        for (var i = 0; i < 3; i++)
        {
            await service.RegisteredAsync();
        }

        var all = await ReadAsync();
        foreach (var (told, index) in all.Select((e, i) => (e, i)))
        {
            Assert.That(await ReadAfterAsync(told.ResumeToken), Is.EqualTo(all.Skip(index + 1)));
        }

        var (later, _) = await service.RegisteredAsync();
        Assert.That((await ReadAfterAsync(all[^1].ResumeToken)).Single().ContractorId, Is.EqualTo(later));
    }

    /// <summary>More than are read with one statement.</summary>
    [Test]
    public async Task Reader_OfManyEvents_IsToldAllInOrder()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        var requests = Enumerable.Range(0, 1100).Select(_ => Calls.NewRequestId()).ToList();
        foreach (var some in requests.Chunk(100))
        {
            await Task.WhenAll(some.Select(id => service.Auth.VerifyAsync(contractor, token.At(Now), id).ResponseAsync));
        }

        var told = await ReadAsync(EventKind.DuplicateUse);
        Assert.That(told.Select(e => e.RequestId), Is.EquivalentTo(requests));
        Assert.That((await ReadAfterAsync(told[549].ResumeToken)).Select(e => e.EventId), Is.EqualTo(told.Skip(550).Select(e => e.EventId)));
    }

    [Test]
    public async Task Reader_WhoListens_IsToldAsItHappens()
    {
        using var call = service.Operations.StreamEvents(new() { InstitutionId = "demo" });
        var (first, _) = await service.RegisteredAsync();
        Assert.That((await call.NextAsync()).ContractorId, Is.EqualTo(first));
        var (second, _) = await service.RegisteredAsync();
        Assert.That((await call.NextAsync()).ContractorId, Is.EqualTo(second));
    }

    [Test]
    public async Task Events_OfOtherInstitutions_AreNotTold()
    {
        var (here, _) = await service.RegisteredAsync();
        var (there, _) = await service.RegisteredAsync("minato");
        Assert.That((await ReadAsync()).Select(e => e.ContractorId), Is.EqualTo(new[] { here }));
        var others = await ReadAsync(institution: "minato");
        Assert.That(others.Select(e => e.ContractorId), Is.EqualTo(new[] { there }));
        Assert.That((await RefusalOfAsync(others[0].ResumeToken)).Info, Is.EqualTo(("EVENTS_GONE", "otpauth.v1")));
    }

    /// <summary>A token of an event that the database has lost, or that was never given: the number is there, but has another name.</summary>
    [Test]
    public async Task Reader_WhoseEventIsGone_IsToldSo()
    {
        await service.RegisteredAsync();
        var token = (await ReadAsync())[0].ResumeToken;
        await service.ExecuteAsync(kind == StoreKind.Sqlite ? "UPDATE events SET event_id = upper(hex(randomblob(16)))" : "UPDATE events SET event_id = gen_random_uuid()");
        var refusal = await RefusalOfAsync(token);
        Assert.That((refusal.Code, refusal.Info), Is.EqualTo((StatusCode.OutOfRange, ("EVENTS_GONE", "otpauth.v1"))));
        await service.ExecuteAsync("DELETE FROM events");
        Assert.That((await RefusalOfAsync(token)).Code, Is.EqualTo(StatusCode.OutOfRange));
        Assert.That(await ReadAsync(), Is.Empty);
    }

    /// <summary>A database that is taken back under a listener: what comes next has numbers that were told before, and would never be told.</summary>
    [Test]
    public async Task Listener_WhoseEventIsGone_IsToldSo()
    {
        await service.RegisteredAsync();
        using var call = service.Operations.StreamEvents(new() { InstitutionId = "demo" });
        await call.NextAsync();
        await service.ExecuteAsync("DELETE FROM events");
        Assert.That((await Refusal.OfAsync(call.NextAsync)).Info, Is.EqualTo(("EVENTS_GONE", "otpauth.v1")));
    }

    [TestCase("x")]
    [TestCase("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    [TestCase("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [TestCase("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAé")]
    [TestCase("AAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAA")]
    public async Task ResumeToken_ThatIsNone_IsInvalid(string token)
    {
        var refusal = await RefusalOfAsync(token);
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, "resume_token")));
    }

    [Test]
    public async Task Events_OfAMonthAgo_AreNotKept()
    {
        await service.RegisteredAsync();
        service.Clock.Advance(TimeSpan.FromDays(29));
        await service.RegisteredAsync();
        service.Clock.Advance(TimeSpan.FromDays(1));
        await Eventually.IsTrueAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromSeconds(31));
                return (await ReadAsync()).Count == 1;
            },
            "the older one is swept");
    }

    [Test]
    public async Task Readers_InTooManyPlaces_AreRefusedUntilOneLeaves()
    {
        await service.RegisteredAsync();
        var open = new List<AsyncServerStreamingCall<StreamEventsResponse>>();
        for (var i = 0; i < 4; i++)
        {
            open.Add(service.Operations.StreamEvents(new() { InstitutionId = "demo" }));
            await open[i].NextAsync();
        }

        var refusal = await RefusalOfAsync("");
        Assert.That((refusal.Code, refusal.Info?.Reason, refusal.RetryDelay), Is.EqualTo((StatusCode.ResourceExhausted, "STREAMS_BUSY", TimeSpan.FromSeconds(10))));
        Assert.That(await ReadAsync(institution: "minato"), Is.Empty, "others are not concerned");
        open[0].Dispose();
        await Eventually.IsTrueAsync(
            async () =>
            {
                try
                {
                    return (await ReadAsync()).Count == 1;
                }
                catch (RpcException busy) when (busy.StatusCode == StatusCode.ResourceExhausted)
                {
                    return false;
                }
            },
            "there is a place again");
        open.ForEach(call => call.Dispose());
    }

    /// <summary>A replica that stops does not wait for its listeners, and does not leave them alone either.</summary>
    [Test]
    public async Task Reader_WhoseReplicaStops_IsSentToAnother()
    {
        await service.RegisteredAsync();
        await using var replica = await OtpService.StartAsync(service.Stores, service.Clock);
        using var call = replica.Operations.StreamEvents(new() { InstitutionId = "demo" });
        var told = await call.NextAsync();
        var stopping = replica.StopAsync();
        var refusal = await Refusal.OfAsync(call.NextAsync);
        await stopping.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.That((refusal.Code, refusal.Info?.Reason), Is.EqualTo((StatusCode.Unavailable, "SERVICE_STOPPING")));
        Assert.That(await ReadAfterAsync(told.ResumeToken), Is.Empty);
    }

    /// <summary>They stand in one transaction: without the one there is not the other, on the way of turns and on that of shared statements.</summary>
    [Test]
    public async Task Decision_WhoseEventCannotBeWritten_IsNotMade()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await service.Auth.VerifyAsync(contractor, token.At(Now));
        var another = await service.Operations.IssueAsync();
        var before = await service.TracesAsync();
        await service.ExecuteAsync("ALTER TABLE events RENAME TO elsewhere");

        var (newcomer, registering) = (Calls.NewContractor(), Calls.NewRequestId());
        Assert.That((await Refusal.OfAsync(async () => await service.Auth.RegisterAsync(newcomer, another.CredentialId, another.At(Now), registering))).Code, Is.EqualTo(StatusCode.Internal));
        Assert.That((await Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, token.At(Now)))).Code, Is.EqualTo(StatusCode.Internal));
        await service.ExecuteAsync("ALTER TABLE elsewhere RENAME TO events");
        service.Errors.Clear();

        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
        Assert.That((await service.Auth.RegisterAsync(newcomer, another.CredentialId, another.At(Now), registering)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await ReadAsync()).Select(e => (e.Kind, e.ContractorId)), Is.EqualTo(new[] { (EventKind.Registered, contractor), (EventKind.Registered, newcomer) }));
    }

    private async Task SetPolicyAsync(InstitutionPolicy policy) => await service.Operations.SetInstitutionPolicyAsync(new()
    {
        RequestId = Calls.NewRequestId(), InstitutionId = "demo", DisplayName = "Demo", Policy = policy, ExpectedVersion = 1, Reason = "a test",
    });

    private Task<Refusal> RefusalOfAsync(string resumeToken) => Refusal.OfAsync(() => ReadAfterAsync(resumeToken));

    private async Task<List<StreamEventsResponse>> ReadAsync(EventKind only) => [.. (await ReadAsync()).Where(e => e.Kind == only)];

    private Task<List<StreamEventsResponse>> ReadAsync(string institution = "demo") => ReadAfterAsync("", institution);

    private Task<List<StreamEventsResponse>> ReadAfterAsync(string resumeToken, string institution = "demo") =>
        service.Operations.EventsUntilNowAsync(resumeToken, institution);
}
