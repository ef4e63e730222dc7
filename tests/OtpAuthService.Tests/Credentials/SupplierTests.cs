using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Credentials;

/// <summary>Until when a supplier's credentials are taken: as when a bank moves from one kind of token to another.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
[TestFixture(StoreKind.PostgresRedis)]
public class SupplierTests(StoreKind kind)
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
    public async Task Credential_WhoseSupplierTakesNoRegistrations_VerifiesOnAndCannotBeBoundAnew()
    {
        var (contractor, token) = await service.RegisteredAsync();
        var (late, itsToken) = (Calls.NewContractor(), await service.Operations.IssueAsync());
        await SetAsync(noRegistrationFrom: Now.AddMinutes(1));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "before the date");

        service.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.That((await service.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));
        var register = await service.Auth.RegisterAsync(late, itsToken.CredentialId, itsToken.At(Now));
        Assert.That((register.Outcome, register.Decision), Is.EqualTo((Outcome.CredentialUnusable, Decision.Deny)));
        var replace = await service.Auth.ReplaceAsync(contractor, token.At(Now, 1), itsToken.CredentialId, itsToken.At(Now, 1));
        Assert.That(replace.Outcome, Is.EqualTo(Outcome.CredentialUnusable));
        Assert.That((await service.Operations.BindingAsync(contractor)).History[0].CredentialId, Is.EqualTo(token.CredentialId));

        await SetAsync();
        var again = await service.Auth.RegisterAsync(late, itsToken.CredentialId, itsToken.At(Now, 1));
        Assert.That(again.Outcome, Is.EqualTo(Outcome.AlreadyUsed), "refused, and still burned");
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.That((await service.Auth.RegisterAsync(late, itsToken.CredentialId, itsToken.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted), "the dates were taken away");
    }

    /// <summary>Also where all that a Verify needs is remembered: the replica reads the dates with its institution's policy.</summary>
    [Test]
    public async Task Credential_WhoseSupplierHasEnded_IsRefusedByEveryReplicaWithinASecond()
    {
        await using var replica = kind == StoreKind.Sqlite ? null : await OtpService.StartAsync(service.Stores, service.Clock);
        var there = replica ?? service;
        var (contractor, token) = await service.RegisteredAsync();
        Assert.That((await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome, Is.EqualTo(Outcome.Accepted));

        await SetAsync(verifyUntil: Now);
        await Eventually.IsTrueAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromSeconds(30));
                var answer = await there.Auth.VerifyAsync(contractor, token.At(Now));
                return (answer.Outcome, answer.Decision) == (Outcome.CredentialUnusable, Decision.Deny);
            },
            "its OTPs are refused");
        var suspended = await service.Auth.SuspendAsync(contractor, token.WrongAt(Now));
        Assert.That((suspended.Outcome, suspended.AttemptsLeft), Is.EqualTo((Outcome.Mismatch, 4)), "wrong ones are counted as ever");

        await SetAsync(verifyUntil: Now.AddDays(1));
        await Eventually.IsTrueAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromSeconds(30));
                return (await there.Auth.VerifyAsync(contractor, token.At(Now))).Outcome == Outcome.Accepted;
            },
            "its OTPs are taken again");
    }

    /// <summary>Each bank decides for itself, also on what another has closed.</summary>
    [Test]
    public async Task Supplier_EndedAtOneInstitution_GoesOnAtTheOthers()
    {
        var (theirs, token) = await service.RegisteredAsync("minato");
        var (ours, ourToken) = await service.RegisteredAsync();
        await SetAsync(noRegistrationFrom: Now, verifyUntil: Now);
        service.Services.GetRequiredService<InstitutionDirectory>().Forget(InstitutionId.Parse("minato"));

        Assert.That((await service.Auth.VerifyAsync(ours, ourToken.At(Now))).Outcome, Is.EqualTo(Outcome.CredentialUnusable));
        Assert.That((await service.Auth.VerifyAsync(theirs, token.At(Now), institution: "minato")).Outcome, Is.EqualTo(Outcome.Accepted));
        var fresh = await service.Operations.IssueAsync();
        Assert.That(
            (await service.Auth.RegisterAsync(Calls.NewContractor(), fresh.CredentialId, fresh.At(Now), institution: "minato")).Outcome, Is.EqualTo(Outcome.Accepted));
        Assert.That((await ShownAsync("minato")).Any(s => s.NoRegistrationFrom is not null || s.VerifyUntil is not null), Is.False);

        await SetAsync(verifyUntil: Now.AddDays(1), institution: "minato");
        Assert.That((await ShownAsync()).Single(s => s.Name == "issued").NoRegistrationFrom, Is.Not.Null, "as we have set it");
        Assert.That((await ShownAsync("minato")).Single(s => s.Name == "issued").VerifyUntil, Is.EqualTo(Now.AddDays(1).ToTimestamp()));
    }

    /// <summary>While a release is rolled out, the version before sets dates that name no institution, and means all of them.</summary>
    [Test]
    public async Task Supplier_EndedByTheVersionBefore_HasEndedEverywhere()
    {
        var (ours, token) = await service.RegisteredAsync();
        await SetAsync(verifyUntil: Now.AddDays(1));
        await service.Services.GetRequiredService<OtpStore>().WriteAsync(
            (db, stop) =>
            {
                db.SupplierDates.Add(new()
                {
                    InstitutionId = null, Supplier = "issued", VerifyUntil = Now, CallerId = "before", Reason = "moving on", SetAt = Now,
                });
                return db.SaveChangesAsync(stop);
            },
            CancellationToken.None);

        foreach (var institution in (string[])["demo", "minato"])
        {
            Assert.That((await ShownAsync(institution)).Single(s => s.Name == "issued").VerifyUntil, Is.EqualTo(Now.ToTimestamp()), institution);
        }

        await Eventually.IsTrueAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromSeconds(30));
                return (await service.Auth.VerifyAsync(ours, token.At(Now))).Outcome == Outcome.CredentialUnusable;
            },
            "its OTPs are refused");
    }

    [Test]
    public async Task Suppliers_WithAndWithoutDates_AreShownWithTheirCredentials()
    {
        // The embedded service comes with one.
        var issued = (await ShownAsync()).SingleOrDefault()?.Credentials ?? 0;
        await service.Operations.IssueAsync();
        await service.Operations.IssueAsync();
        var (closing, ending) = (Now.AddDays(30), Now.AddDays(90));
        await SetAsync("vip", closing, ending);
        await SetAsync("acme", verifyUntil: ending);
        await SetAsync("acme", closing);

        Assert.That(await ShownAsync(), Is.EqualTo(new[]
        {
            new Supplier { Name = "acme", NoRegistrationFrom = closing.ToTimestamp() },
            new Supplier { Name = "issued", Credentials = issued + 2 },
            new Supplier { Name = "vip", NoRegistrationFrom = closing.ToTimestamp(), VerifyUntil = ending.ToTimestamp() },
        }));
        var records = await service.AuditOfAsync("SetSupplier");
        Assert.That(records.Select(r => r.Reason), Is.EqualTo(new[] { "moving on", "moving on", "moving on" }));
    }

    [Test]
    public async Task SetSupplier_Repeated_IsSetOnceAndAnsweredAlike()
    {
        var request = Request("issued", verifyUntil: Now.AddDays(1));
        var first = await service.Operations.SetSupplierAsync(request);
        await SetAsync();

        var repeated = await service.Operations.SetSupplierAsync(request);

        Assert.That((repeated.Repeated, repeated.DecidedAt), Is.EqualTo((true, first.DecidedAt)));
        Assert.That((await ShownAsync()).Single().VerifyUntil, Is.Null, "the retry of an older change undoes no newer one");
    }

    [TestCase("", 0L, 0L, "supplier.name")]
    [TestCase("line\nbreak", 0L, 0L, "supplier.name")]
    [TestCase("issued", -1L, 0L, "supplier.no_registration_from")]
    [TestCase("issued", 2_000_000_000L, 1_999_999_999L, "supplier.verify_until")]
    public async Task SetSupplier_WithABadField_IsRefused(string name, long noRegistrationFrom, long verifyUntil, string field)
    {
        var request = Request(name);
        request.Supplier.NoRegistrationFrom = noRegistrationFrom == 0 ? null : new Timestamp { Seconds = noRegistrationFrom };
        request.Supplier.VerifyUntil = verifyUntil == 0 ? null : new Timestamp { Seconds = verifyUntil };

        var refusal = await Refusal.OfAsync(async () => await service.Operations.SetSupplierAsync(request));

        Assert.That((refusal.Code, refusal.Fields.Single()), Is.EqualTo((StatusCode.InvalidArgument, field)));
        Assert.That((await ShownAsync()).Any(s => s.NoRegistrationFrom is not null || s.VerifyUntil is not null), Is.False);
    }

    private async Task<IReadOnlyList<Supplier>> ShownAsync(string institution = "demo") =>
        (await service.Operations.GetSuppliersAsync(new GetSuppliersRequest { InstitutionId = institution })).Suppliers;

    private async Task SetAsync(
        string supplier = "issued", DateTimeOffset? noRegistrationFrom = null, DateTimeOffset? verifyUntil = null, string institution = "demo") =>
        await service.Operations.SetSupplierAsync(Request(supplier, noRegistrationFrom, verifyUntil, institution));

    private static SetSupplierRequest Request(
        string supplier, DateTimeOffset? noRegistrationFrom = null, DateTimeOffset? verifyUntil = null, string institution = "demo") => new()
    {
        RequestId = Calls.NewRequestId(),
        InstitutionId = institution,
        Supplier = new Supplier { Name = supplier, NoRegistrationFrom = noRegistrationFrom?.ToTimestamp(), VerifyUntil = verifyUntil?.ToTimestamp() },
        Reason = "moving on",
    };
}
