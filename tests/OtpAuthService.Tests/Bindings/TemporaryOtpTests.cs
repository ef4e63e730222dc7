using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Callers;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Bindings;

/// <summary>A temporary OTP lets a contractor in whose token is away: as often as it says and not once more, however it is tried.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class TemporaryOtpTests(StoreKind kind)
{
    private OtpService here = null!;
    private OtpService there = null!;

    private DateTimeOffset Now => here.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        here = await OtpService.StartAsync(kind);
        there = kind == StoreKind.Sqlite ? here : await OtpService.StartAsync(here.Stores, here.Clock);
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        if (there != here)
        {
            await there.DisposeAsync();
        }

        await here.DisposeAsync();
    }

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(here.Errors.Errors.Concat(there.Errors.Errors), Is.Empty);

    [Test]
    public async Task TemporaryOtp_Used_LetsInOnceAndNeverAgain()
    {
        var (contractor, _) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor);
        Assert.That((issued.TemporaryOtp, issued.ExpiresAt.ToDateTimeOffset() - issued.DecidedAt.ToDateTimeOffset(), issued.AwaitsConfirmation),
            Is.EqualTo((issued.TemporaryOtp, TimeSpan.FromHours(4), false)));
        Assert.That(issued.TemporaryOtp, Does.Match("^[0-9]{8}$"));

        var first = await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp);
        Assert.That((first.Outcome, first.Decision), Is.EqualTo((Outcome.Accepted, Decision.Allow)));
        Assert.That(await RefusedAsync(here, contractor, issued.TemporaryOtp), Is.EqualTo("otp"), "no temporary OTP is left, and the token shows six digits");
        Assert.That(await RefusedAsync(there, contractor, issued.TemporaryOtp), Is.EqualTo("otp"));
        var record = (await here.AuditOfAsync("Verify")).Last(r => r.ContractorId == contractor);
        Assert.That((record.Outcome, record.Reason, record.TimeStep), Is.EqualTo((Outcome.Accepted, "temporary OTP", (object?)null)));
    }

    [Test]
    public async Task TemporaryOtp_OfSeveralUses_LetsInThatOftenUnderParallelUseOnTwoReplicas()
    {
        var (contractor, _) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor, uses: 3);

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(async n =>
        {
            try
            {
                return (await (n % 2 == 0 ? here : there).Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome.ToString();
            }
            catch (RpcException refused)
            {
                return refused.StatusCode.ToString();
            }
        }));

        Assert.That(answers.Count(a => a == "Accepted"), Is.EqualTo(3));
        Assert.That(answers.Count(a => a == "InvalidArgument"), Is.EqualTo(17));
    }

    [Test]
    public async Task TemporaryOtp_Expired_IsRefused()
    {
        var (contractor, token) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor, validFor: TimeSpan.FromMinutes(10));
        here.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.That(await RefusedAsync(there, contractor, issued.TemporaryOtp), Is.EqualTo("otp"));
        Assert.That((await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>Whoever has the token again needs it no more; whoever found the note with it has nothing.</summary>
    [TestCase("Verify")]
    [TestCase("Resynchronize")]
    [TestCase("Replace")]
    public async Task TemporaryOtp_AfterARealOtp_IsRefused(string act)
    {
        var (contractor, token) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor, uses: 5);
        Assert.That((await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
        here.Clock.Advance(TimeSpan.FromMinutes(2));

        var other = await here.Operations.IssueAsync();
        var outcome = act switch
        {
            "Verify" => (await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome,
            "Resynchronize" => (await there.Auth.ResynchronizeAsync(contractor, token.At(Now), token.At(Now, 1))).Outcome,
            _ => (await there.Auth.ReplaceAsync(contractor, token.At(Now), other.CredentialId, other.At(Now))).Outcome,
        };

        Assert.That(outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That(await RefusedAsync(here, contractor, issued.TemporaryOtp), Is.EqualTo("otp"));
        Assert.That((await here.Operations.BindingAsync(contractor)).TemporaryOtp, Is.Null);
    }

    [Test]
    public async Task TemporaryOtp_Guessed_DrawsOnTheSameBudgetAsAnyOtp()
    {
        var (contractor, token) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor);
        var guesses = new List<(Outcome, int)>();
        for (var guess = 0; guess < 3; guess++)
        {
            var wrong = await there.Auth.VerifyAsync(contractor, OtherThan(issued.TemporaryOtp, guess));
            guesses.Add((wrong.Outcome, wrong.AttemptsLeft));
        }

        guesses.Add(await MissAsync());
        guesses.Add(await MissAsync());
        Assert.That(guesses, Is.EqualTo(new[]
        {
            (Outcome.Mismatch, 4), (Outcome.Mismatch, 3), (Outcome.Mismatch, 2), (Outcome.Mismatch, 1), (Outcome.Mismatch, 0),
        }));
        Assert.That((await here.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.LockedOut), "it is not evaluated while locked");
        await here.Operations.UnlockAsync(contractor);
        Assert.That((await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted), "and not used up by that");

        async Task<(Outcome, int)> MissAsync()
        {
            var wrong = await here.Auth.VerifyAsync(contractor, token.WrongAt(Now));
            return (wrong.Outcome, wrong.AttemptsLeft);
        }
    }

    /// <summary>Parallel guesses on two replicas get no more tries than one after the other.</summary>
    [Test]
    public async Task TemporaryOtp_GuessedInParallel_IsLockedAfterFive()
    {
        var (contractor, _) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor);
        var answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(async n =>
            (await (n % 2 == 0 ? here : there).Auth.VerifyAsync(contractor, OtherThan(issued.TemporaryOtp, n))).Outcome));
        Assert.That(answers.Count(a => a == Outcome.Mismatch), Is.EqualTo(5));
        Assert.That(answers.Count(a => a == Outcome.LockedOut), Is.EqualTo(35));
    }

    [Test]
    public async Task TemporaryOtp_OfAContractorWhoseTokenIsLost_LetsInAndOnlyIt()
    {
        var (contractor, token) = await RememberedAsync();
        await here.Operations.ReportLostAsync(contractor);
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor, uses: 2);

        Assert.That((await there.Auth.RequirementAsync(contractor)).Requirement, Is.EqualTo(Requirement.Required));
        Assert.That((await there.Auth.VerifyAsync(contractor, token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Lost));
        var wrong = await there.Auth.VerifyAsync(contractor, OtherThan(issued.TemporaryOtp, 0));
        Assert.That((wrong.Outcome, wrong.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 4)));
        Assert.That((await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await here.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await here.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Lost));
    }

    [Test]
    public async Task TemporaryOtp_OfATokenWithEightDigits_AndTheTokensOwn_AreBothTaken()
    {
        var (contractor, token) = await here.RegisteredAsync(digits: 8);
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor);
        Assert.That((await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Mismatch));
        Assert.That((await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [Test]
    public async Task Retry_OfTheIssue_IsToldTheSameOtpUntilAnotherWasIssued()
    {
        var (contractor, _) = await RememberedAsync();
        var id = Calls.NewRequestId();
        var first = await here.Operations.IssueTemporaryOtpAsync(contractor, requestId: id);
        var retried = await there.Operations.IssueTemporaryOtpAsync(contractor, requestId: id);
        Assert.That((retried.TemporaryOtp, retried.ExpiresAt, retried.Repeated), Is.EqualTo((first.TemporaryOtp, first.ExpiresAt, true)));

        var second = await here.Operations.IssueTemporaryOtpAsync(contractor);
        Assert.That(second.TemporaryOtp, Is.Not.EqualTo(first.TemporaryOtp));
        var refusal = await Refusal.OfAsync(async () => await there.Operations.IssueTemporaryOtpAsync(contractor, requestId: id));
        Assert.That((refusal.Code, refusal.Info!.Value.Reason), Is.EqualTo((StatusCode.FailedPrecondition, "TEMPORARY_OTP_REPLACED")));
        Assert.That((await here.Auth.VerifyAsync(contractor, first.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Mismatch), "it is void");
        Assert.That((await here.Auth.VerifyAsync(contractor, second.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [TestCase("Suspended", "BINDING_NOT_ACTIVE")]
    [TestCase("Stopped", "BINDING_NOT_ACTIVE")]
    [TestCase("None", "BINDING_NOT_ACTIVE")]
    public async Task Issue_WithoutABindingThatItWouldOpen_IsRefused(string state, string reason)
    {
        var (contractor, token) = state == "None" ? (Calls.NewContractor(), null) : await RememberedAsync();
        switch (state)
        {
            case "Suspended":
                await here.Auth.SuspendAsync(contractor, token!.At(Now, 1));
                break;
            case "Stopped":
                await here.Operations.SuspendBindingAsync(contractor);
                break;
        }

        var refusal = await Refusal.OfAsync(async () => await here.Operations.IssueTemporaryOtpAsync(contractor));
        Assert.That((refusal.Code, refusal.Info!.Value.Reason), Is.EqualTo((StatusCode.FailedPrecondition, reason)));
    }

    [Test]
    public async Task TemporaryOtp_IssuedBeforeTheBanksStop_IsRefusedWhileItLasts()
    {
        var (contractor, _) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor);
        await here.Operations.SuspendBindingAsync(contractor);
        Assert.That((await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Suspended));
        await here.Operations.ResumeBindingAsync(contractor);
        Assert.That((await there.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [TestCase(6, null, "uses")]
    [TestCase(-1, null, "uses")]
    [TestCase(0, 599, "valid_for")]
    [TestCase(0, 259_201, "valid_for")]
    public async Task Issue_BeyondTheBounds_IsRefused(int uses, int? seconds, string field)
    {
        var (contractor, _) = await RememberedAsync();
        var refusal = await Refusal.OfAsync(async () => await here.Operations.IssueTemporaryOtpAsync(
            contractor, uses, seconds is { } s ? TimeSpan.FromSeconds(s) : null));
        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, field)));
    }

    /// <summary>What is stored gives nobody the OTP who has only the database.</summary>
    [Test]
    public async Task TemporaryOtp_Stored_IsItsSaltAlone()
    {
        var (contractor, _) = await RememberedAsync();
        var issued = await here.Operations.IssueTemporaryOtpAsync(contractor);
        var stored = (await here.ContractorAsync(contractor)).TemporaryOtp!;
        Assert.That(stored.Salt, Has.Length.EqualTo(16));
        Assert.That(here.Errors.All + there.Errors.All, Does.Not.Contain(issued.TemporaryOtp));
    }

    private static string OtherThan(string otp, int n) =>
        ((int.Parse(otp) + n + 1) % 100_000_000).ToString("D8");

    /// <returns>The field that the refusal names.</returns>
    private static async Task<string> RefusedAsync(OtpService service, string contractor, string otp)
    {
        var refusal = await Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, otp));
        Assert.That(refusal.Code, Is.EqualTo(StatusCode.InvalidArgument));
        return refusal.Fields.Single();
    }

    /// <summary>A contractor whose binding both replicas remember.</summary>
    private async Task<(string Contractor, SoftToken Token)> RememberedAsync()
    {
        var (contractor, token) = await here.RegisteredAsync();
        await there.Auth.VerifyAsync(contractor, token.At(Now));
        return (contractor, token);
    }
}

/// <summary>By policy a temporary OTP takes two people.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class TemporaryOtpConfirmationTests(StoreKind kind)
{
    private OtpService service = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        service = await OtpService.StartAsync(kind);
        await service.Operations.SetInstitutionPolicyAsync(new()
        {
            RequestId = Calls.NewRequestId(),
            InstitutionId = "demo",
            DisplayName = "Demo Shinkin Bank",
            Policy = new InstitutionPolicy { TemporaryOtpNeedsConfirmation = true },
            ExpectedVersion = 1,
            Reason = "asked for by the auditors",
        });
    }

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [Test]
    public async Task TemporaryOtp_BeforeASecondPersonsWord_IsRefused()
    {
        var (contractor, _) = await service.RegisteredAsync();
        var issued = await service.Operations.IssueTemporaryOtpAsync(contractor, person: "h.sato");
        Assert.That(issued.AwaitsConfirmation, Is.True);
        var early = await Refusal.OfAsync(async () => await service.Auth.VerifyAsync(contractor, issued.TemporaryOtp));
        Assert.That(early.Code, Is.EqualTo(StatusCode.InvalidArgument));

        await service.Operations.ConfirmTemporaryOtpAsync(contractor, issued, "m.ito");
        Assert.That((await service.Auth.VerifyAsync(contractor, issued.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    [TestCase("h.sato", "h.sato", TestName = "{m}(the same person)")]
    [TestCase("h.sato", "H.Sato", TestName = "{m}(the same person in capitals)")]
    [TestCase("h.sato", "", TestName = "{m}(nobody named)")]
    [TestCase("", "m.ito", TestName = "{m}(nobody named at the issue)")]
    public async Task Confirm_ByWhoMayBeTheIssuer_IsRefusedAndOnRecord(string issuer, string person)
    {
        var (contractor, _) = await service.RegisteredAsync();
        var issued = await service.Operations.IssueTemporaryOtpAsync(contractor, person: issuer);
        var refusal = await Refusal.OfAsync(async () => await service.Operations.ConfirmTemporaryOtpAsync(contractor, issued, person));
        Assert.That((refusal.Code, refusal.Info!.Value.Reason), Is.EqualTo((StatusCode.FailedPrecondition, "SECOND_PERSON_NEEDED")));
        var record = (await service.AuditOfAsync("ConfirmTemporaryOtp")).Last();
        Assert.That((record.ContractorId, record.Decision), Is.EqualTo((contractor, Decision.Deny)));
        Assert.That(await service.FailureMinutesAsync(), Is.Zero, "no OTP was wrong");
        Assert.That((await service.Operations.BindingAsync(contractor)).TemporaryOtp.AwaitsConfirmation, Is.True);
    }

    [Test]
    public async Task Confirm_WhereNothingAwaitsIt_IsRefused()
    {
        var (contractor, token) = await service.RegisteredAsync();
        await ExpectNothingAsync(new() { ExpiresAt = service.Clock.GetUtcNow().AddHours(1).ToTimestamp() });
        var brief = await service.Operations.IssueTemporaryOtpAsync(contractor, validFor: TimeSpan.FromMinutes(10), person: "h.sato");
        service.Clock.Advance(TimeSpan.FromMinutes(10));
        await ExpectNothingAsync(brief);
        var ended = await service.Operations.IssueTemporaryOtpAsync(contractor, person: "h.sato");
        await service.Auth.VerifyAsync(contractor, token.At(service.Clock.GetUtcNow()));
        await ExpectNothingAsync(ended);

        async Task ExpectNothingAsync(IssueTemporaryOtpResponse issued)
        {
            var refusal = await Refusal.OfAsync(async () => await service.Operations.ConfirmTemporaryOtpAsync(contractor, issued, "m.ito"));
            Assert.That((refusal.Code, refusal.Info!.Value.Reason), Is.EqualTo((StatusCode.FailedPrecondition, "NOTHING_TO_CONFIRM")));
        }
    }

    /// <summary>One that is as long but may be used more often, or as often but for longer, is not the one that the second person was asked about.</summary>
    [TestCase(1, 5, 60, TestName = "{m}(more often)")]
    [TestCase(1, 1, 120, TestName = "{m}(longer)")]
    public async Task Confirm_OfOneThatWasIssuedAnewSince_IsRefused(int uses, int usesNow, int minutesNow)
    {
        var (contractor, _) = await service.RegisteredAsync();
        var asked = await service.Operations.IssueTemporaryOtpAsync(contractor, uses, TimeSpan.FromMinutes(60), person: "h.sato");
        var anew = await service.Operations.IssueTemporaryOtpAsync(contractor, usesNow, TimeSpan.FromMinutes(minutesNow), person: "h.sato");

        var refusal = await Refusal.OfAsync(async () => await service.Operations.ConfirmTemporaryOtpAsync(contractor, asked, "m.ito", uses));
        Assert.That((refusal.Code, refusal.Info!.Value.Reason), Is.EqualTo((StatusCode.FailedPrecondition, "NOTHING_TO_CONFIRM")));
        await service.Operations.ConfirmTemporaryOtpAsync(contractor, anew, "m.ito", usesNow);
        Assert.That((await service.Auth.VerifyAsync(contractor, anew.TemporaryOtp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    /// <summary>Who confirms has seen what.</summary>
    [Test]
    public async Task Confirm_OfNothingInParticular_IsInvalid()
    {
        var (contractor, _) = await service.RegisteredAsync();
        var refusal = await Refusal.OfAsync(async () => await service.Operations.ConfirmTemporaryOtpAsync(contractor, new() { ExpiresAt = null }, "m.ito", uses: 0));
        Assert.That((refusal.Code, refusal.Fields), Is.EqualTo((StatusCode.InvalidArgument, new[] { "expires_at", "uses" })));
    }
}

/// <summary>Two certificates are two people only where neither names one, or each another.</summary>
public sealed class ActorTests
{
    [TestCase("desk-1", null, "desk-2", null, false)]
    [TestCase("desk-1", null, "desk-1", null, true)]
    [TestCase("desk-1", "h.sato", "desk-1", "m.ito", false)]
    [TestCase("desk-1", "h.sato", "desk-2", "m.ito", false)]
    [TestCase("desk-1", "h.sato", "desk-2", "h.sato", true)]
    [TestCase("desk-1", "h.sato", "desk-2", "H.SATO", true)]
    [TestCase("desk-1", "h.sato", "desk-2", null, true)]
    [TestCase("desk-1", null, "desk-2", "h.sato", true)]
    public void Actors_MayBeOnePerson(string caller, string? person, string otherCaller, string? otherPerson, bool mayBe) =>
        Assert.That(new Actor(caller, person).MayBe(new Actor(otherCaller, otherPerson)), Is.EqualTo(mayBe));
}
