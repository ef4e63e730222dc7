using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Bindings;

/// <summary>
/// Every arrow of a binding's state diagram and every one that is not there. An act goes to one replica, and the other, which remembers the state before,
/// is asked at once (promise P2).
/// </summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class BindingLifeTests(StoreKind kind)
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

    /// <summary>The diagram as a table: what an act comes to in a state, and the state afterwards.</summary>
    [TestCase("Register", "None: Accepted > Active; Active: AlreadyRegistered; Suspended: Accepted > Active; Lost: Lost; Reopened: CredentialUnusable; Stopped: Suspended")]
    [TestCase("RegisterOther", "None: Accepted > Active; Active: AlreadyRegistered; Suspended: Accepted > Active; Lost: Lost; Reopened: Accepted > Active; Stopped: Suspended")]
    [TestCase("Verify", "None: NotRegistered; Active: Accepted; Suspended: Suspended; Lost: Lost; Reopened: Lost; Stopped: Suspended")]
    [TestCase("Suspend", "None: NotRegistered; Active: Accepted > Suspended; Suspended: Suspended; Lost: Lost; Reopened: Lost; Stopped: Suspended")]
    [TestCase("Replace", "None: NotRegistered; Active: Accepted; Suspended: Suspended; Lost: Lost; Reopened: Lost; Stopped: Suspended")]
    [TestCase("Resynchronize", "None: NotRegistered; Active: Accepted; Suspended: Suspended; Lost: Lost; Reopened: Lost; Stopped: Suspended")]
    [TestCase("ReportLost", "None: BINDING_NOT_ACTIVE; Active: done > Lost; Suspended: done; Lost: done; Reopened: done > Lost; Stopped: done > Lost")]
    [TestCase("OpenReregistration", "None: BINDING_NOT_LOST; Active: BINDING_NOT_LOST; Suspended: BINDING_NOT_LOST; Lost: done > Reopened; Reopened: done; Stopped: BINDING_NOT_LOST")]
    [TestCase("SuspendBinding", "None: BINDING_NOT_ACTIVE; Active: done > Stopped; Suspended: BINDING_NOT_ACTIVE; Lost: BINDING_NOT_ACTIVE; Reopened: BINDING_NOT_ACTIVE; Stopped: done")]
    [TestCase("ResumeBinding", "None: BINDING_NOT_STOPPED; Active: done; Suspended: BINDING_NOT_STOPPED; Lost: BINDING_NOT_STOPPED; Reopened: BINDING_NOT_STOPPED; Stopped: done > Active")]
    [TestCase("Unlock", "None: NOT_FOUND; Active: done; Suspended: done; Lost: done; Reopened: done; Stopped: done")]
    public async Task Act_InEveryState_ComesToWhatTheDiagramSaysOnEveryReplica(string act, string expected)
    {
        foreach (var cell in expected.Split("; "))
        {
            var (state, result, after) = Read(cell);
            var customer = await BroughtToAsync(state);
            await ExpectAsync(customer, state, $"before {act}");
            here.Clock.Advance(TimeSpan.FromMinutes(2));

            Assert.That(await ActAsync(act, customer), Is.EqualTo(result), $"{act} of {state}");

            if (result == "Accepted" && act is "RegisterOther" or "Replace" && after == "Active")
            {
                (customer.Token, customer.Other) = (customer.Other, customer.Token);
            }

            here.Clock.Advance(TimeSpan.FromMinutes(2));
            await ExpectAsync(customer, after, $"{act} of {state}");
        }
    }

    [Test]
    public async Task Replace_Done_LeavesTheOldBindingInTheHistoryAndItsTokenRefused()
    {
        var customer = await BroughtToAsync("Active");
        here.Clock.Advance(TimeSpan.FromMinutes(2));
        Assert.That(await ActAsync("Replace", customer), Is.EqualTo("Accepted"));

        var history = (await there.Operations.BindingAsync(customer.Contractor)).History;
        Assert.That(history.Select(b => (b.State, b.CredentialId)), Is.EqualTo(new[]
        {
            (BindingState.Active, customer.Other.CredentialId), (BindingState.Replaced, customer.Token.CredentialId),
        }));
        here.Clock.Advance(TimeSpan.FromMinutes(2));
        Assert.That((await there.Auth.VerifyAsync(customer.Contractor, customer.Token.At(Now))).Outcome, Is.EqualTo(Outcome.Mismatch));
    }

    /// <summary>Unlike the contractor's own 利用停止, after which logins go on without OTPs.</summary>
    [Test]
    public async Task Stopped_ByTheBank_IsDeniedForEveryPurposeAndOnEveryChannel()
    {
        var customer = await BroughtToAsync("Stopped");
        foreach (var purpose in new[] { Purpose.Login, Purpose.Transfer })
        {
            var answer = await there.Auth.VerifyAsync(customer.Contractor, customer.Token.At(Now, 1), purpose: purpose);
            Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((Outcome.Suspended, Decision.Deny)));
        }

        var phone = await there.Auth.VerifyAsync(customer.Contractor, "", channel: Channel.FeaturePhone);
        Assert.That((phone.Outcome, phone.Decision), Is.EqualTo((Outcome.Suspended, Decision.Deny)));
        Assert.That((await there.Auth.RequirementAsync(customer.Contractor, Channel.FeaturePhone)).Requirement, Is.EqualTo(Requirement.Blocked));
        await here.Operations.ResumeBindingAsync(customer.Contractor);
        Assert.That((await there.Auth.VerifyAsync(customer.Contractor, "", channel: Channel.FeaturePhone)).Outcome, Is.EqualTo(Outcome.Bypassed));
        Assert.That((await there.Auth.VerifyAsync(customer.Contractor, customer.Token.At(Now, 1))).Outcome, Is.EqualTo(Outcome.Accepted), "nothing was claimed while it was stopped");
    }

    [Test]
    public async Task Credential_OfAStoppedBinding_IsNobodyElses()
    {
        var customer = await BroughtToAsync("Stopped");
        here.Clock.Advance(TimeSpan.FromMinutes(2));
        var register = await there.Auth.RegisterAsync(Calls.NewContractor(), customer.Token.CredentialId, customer.Token.At(Now));
        Assert.That(register.Outcome, Is.EqualTo(Outcome.CredentialInUse));
    }

    [Test]
    public async Task Stop_RacingWithVerifies_LetsNoneThroughAfterItsAnswer()
    {
        var customers = new List<Customer>();
        for (var i = 0; i < 20; i++)
        {
            customers.Add(await BroughtToAsync("Active"));
        }

        here.Clock.Advance(TimeSpan.FromMinutes(2));
        await Task.WhenAll(customers.Select(async customer =>
        {
            var (first, stop, second) = (Calls.NewRequestId(), Calls.NewRequestId(), Calls.NewRequestId());
            var racing = Calls.DecidedAsync(() => there.Auth.VerifyAsync(customer.Contractor, customer.Token.At(Now), first));
            await Calls.DecidedAsync(() => here.Operations.SuspendBindingAsync(customer.Contractor, stop));
            var after = await Calls.DecidedAsync(() => there.Auth.VerifyAsync(customer.Contractor, customer.Token.At(Now, 1), second));
            Assert.That(after.Outcome, Is.EqualTo(Outcome.Suspended));
            Assert.That((await racing).Outcome, Is.EqualTo(Outcome.Accepted).Or.EqualTo(Outcome.Suspended));
        }));
    }

    private static (string State, string Result, string After) Read(string cell)
    {
        var parts = cell.Split(": ");
        var result = parts[1].Split(" > ");
        return (parts[0], result[0], result.Length == 2 ? result[1] : parts[0]);
    }

    private async Task<Customer> BroughtToAsync(string state)
    {
        var customer = new Customer(Calls.NewContractor()) { Token = await here.Operations.IssueAsync(), Other = await here.Operations.IssueAsync() };
        if (state == "None")
        {
            return customer;
        }

        var (contractor, token) = (customer.Contractor, customer.Token);
        await here.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now, -1));
        // So that the other replica remembers.
        Assert.That((await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        switch (state)
        {
            case "Suspended":
                await here.Auth.SuspendAsync(contractor, token.At(Now, 1));
                break;
            case "Lost" or "Reopened":
                await here.Operations.ReportLostAsync(contractor);
                if (state == "Reopened")
                {
                    await here.Operations.OpenReregistrationAsync(contractor);
                }

                break;
            case "Stopped":
                await here.Operations.SuspendBindingAsync(contractor);
                break;
        }

        return customer;
    }

    /// <returns>The outcome, or "done", or the reason of the error.</returns>
    private async Task<string> ActAsync(string act, Customer customer)
    {
        var (contractor, token, other) = (customer.Contractor, customer.Token, customer.Other);
        try
        {
            switch (act)
            {
                case "Register":
                    return (await here.Auth.RegisterAsync(contractor, token.CredentialId, token.At(Now))).Outcome.ToString();
                case "RegisterOther":
                    return (await here.Auth.RegisterAsync(contractor, other.CredentialId, other.At(Now))).Outcome.ToString();
                case "Verify":
                    return (await here.Auth.VerifyAsync(contractor, token.At(Now))).Outcome.ToString();
                case "Suspend":
                    return (await here.Auth.SuspendAsync(contractor, token.At(Now))).Outcome.ToString();
                case "Replace":
                    return (await here.Auth.ReplaceAsync(contractor, token.At(Now), other.CredentialId, other.At(Now))).Outcome.ToString();
                case "Resynchronize":
                    return (await here.Auth.ResynchronizeAsync(contractor, token.At(Now), token.At(Now, 1))).Outcome.ToString();
                case "ReportLost":
                    await here.Operations.ReportLostAsync(contractor);
                    break;
                case "OpenReregistration":
                    await here.Operations.OpenReregistrationAsync(contractor);
                    break;
                case "SuspendBinding":
                    await here.Operations.SuspendBindingAsync(contractor);
                    break;
                case "ResumeBinding":
                    await here.Operations.ResumeBindingAsync(contractor);
                    break;
                case "Unlock":
                    await here.Operations.UnlockAsync(contractor);
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(act), act, "Not an act of the table.");
            }

            return "done";
        }
        catch (RpcException refused)
        {
            return (await Refusal.OfAsync(() => throw refused)).Info!.Value.Reason;
        }
    }

    /// <summary>The other replica decides as the state says, also where it remembers another one.</summary>
    private async Task ExpectAsync(Customer customer, string state, string what)
    {
        var (requirement, outcome, decision, stored) = state switch
        {
            "None" => (Requirement.NotRegistered, Outcome.NotRegistered, Decision.Allow, (BindingState?)null),
            "Active" => (Requirement.Required, Outcome.Accepted, Decision.Allow, BindingState.Active),
            "Suspended" => (Requirement.NotRegistered, Outcome.Suspended, Decision.Allow, BindingState.Suspended),
            "Lost" => (Requirement.Blocked, Outcome.Lost, Decision.Deny, BindingState.Lost),
            "Reopened" => (Requirement.NotRegistered, Outcome.Lost, Decision.Deny, BindingState.Lost),
            "Stopped" => (Requirement.Blocked, Outcome.Suspended, Decision.Deny, BindingState.Stopped),
            _ => throw new ArgumentOutOfRangeException(nameof(state), state, "Not a state of the table."),
        };
        using (Assert.EnterMultipleScope())
        {
            Assert.That((await there.Auth.RequirementAsync(customer.Contractor)).Requirement, Is.EqualTo(requirement), what);
            var answer = await there.Auth.VerifyAsync(customer.Contractor, customer.Token.At(Now, 1));
            Assert.That((answer.Outcome, answer.Decision), Is.EqualTo((outcome, decision)), what);
            if (stored is not null)
            {
                Assert.That((await there.Operations.BindingAsync(customer.Contractor)).History[0].State, Is.EqualTo(stored), what);
            }
        }
    }

    private sealed record Customer(string Contractor)
    {
        public required SoftToken Token { get; set; }

        public required SoftToken Other { get; set; }
    }
}
