using OtpAuthService.Bench.Client;
using OtpAuthService.Bench.Lab;
using OtpAuthService.Bench.Populations;
using OtpAuthService.Bench.Reporting;
using OtpAuthService.Client;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Timing;

/// <summary>The published service on stores of its own, asked over mutual TLS: first with full detail, for contrast, then with a generic policy.</summary>
/// <param name="samples">Of each question, with the generic policy.</param>
/// <param name="progress">Told how far it is.</param>
internal sealed class TimingBench(int samples, ProgressLine progress) : IAsyncDisposable
{
    /// <summary>
    /// Few enough that the server has time left: where calls wait for its processors, each measures the others. Enough that tens of thousands
    /// of answers of 50 ms take four minutes.
    /// </summary>
    public const int InFlight = 16;

    /// <summary>With full detail nobody waits for anything but the server: fewer of these keep it as busy.</summary>
    public const int InFlightInContrast = 2;

    /// <summary>With full detail, a tenth: the differences are plain.</summary>
    private const int ContrastShare = 10;

    private readonly string folder = Directory.CreateTempSubdirectory("otpauth-timing-").FullName;
    private readonly TestAuthority authority = new();
    private MeasuredServer? server;
    private Stores? stores;

    public string Output => string.Join('\n', (server?.Output ?? "").Split('\n').TakeLast(20));

    /// <returns>The times with full detail, and those with the generic policy.</returns>
    public async Task<(TimingTable Full, TimingTable Generic, Machine Machine)> RunAsync(CancellationToken cancellation)
    {
        progress.Show("publishing the service, starting PostgreSQL and Redis");
        var publishing = Publication.MakeAsync(Path.Combine(folder, "published"));
        stores = await Stores.StartAsync();
        var published = await publishing;

        var contrast = Math.Max(1, samples / ContrastShare);
        var cast = new Cast(samples + (2 * contrast));
        progress.Show($"loading {cast.Count:N0} contractors");
        var product = await LoadedProduct.StartAsync(published, stores, folder, cast.Count, authority, started => server = started);
        using var channel = OtpAuthChannel.Create($"{server!.Tls!.Address}", new OtpAuthTls
        {
            Certificate = server.Tls.Tls!.Certificate,
            TrustFile = authority.BundleFile,
            // One connection throughout.
            ConnectionLifetime = TimeSpan.FromDays(1),
        });
        var questioner = new Questioner(channel.OtpAuth, product.Population);

        progress.Show("locking contractors");
        await questioner.LockAsync(cast.Locked, cancellation);
        progress.Show($"warming up, then {contrast:N0} samples of each question with full detail");
        await questioner.AskAsync(cast.Schedule(contrast, seed: 1), generic: false, InFlightInContrast, cancellation);
        var full = await questioner.AskAsync(cast.Schedule(contrast, seed: 2), generic: false, InFlightInContrast, cancellation);

        await MakeGenericAsync(cancellation);
        await ProductTables.EmptyLogsAsync(product.Database);
        progress.Show($"{samples:N0} samples of each question with the generic policy");
        var generic = await questioner.AskAsync(cast.Schedule(samples, seed: 3), generic: true, InFlight, cancellation);
        await RequireDecidedAsync(product.Database);
        return (new TimingTable(full), new TimingTable(generic), await Machine.DescribeAsync(stores));
    }

    /// <summary>As an operator does it: over the plain endpoint, where we are the local caller, who may do so.</summary>
    private async Task MakeGenericAsync(CancellationToken cancellation)
    {
        using var channel = OtpAuthChannel.Create($"{server!.Plain.Address}");
        var found = await channel.Operations.GetInstitutionAsync(
            new GetInstitutionRequest { InstitutionId = Population.Institution }, cancellationToken: cancellation);
        var policy = found.Policy.Clone();
        policy.OutcomeDetail = OutcomeDetail.Generic;
        policy.NotRegisteredLogin = Decision.Deny;
        policy.SuspendedLogin = Decision.Deny;
        await channel.Operations.SetInstitutionPolicyAsync(
            new SetInstitutionPolicyRequest
            {
                RequestId = RequestId.New(),
                InstitutionId = Population.Institution,
                DisplayName = found.DisplayName,
                Policy = policy,
                ExpectedVersion = found.PolicyVersion,
                Reason = "timing of generic answers",
            },
            cancellationToken: cancellation);
    }

    /// <summary>Generic answers do not tell what was decided; the service's records do. What was to be timed was timed, each as often as said.</summary>
    private async Task RequireDecidedAsync(string database)
    {
        var decided = await ProductTables.CountVerifiesAsync(database);
        foreach (var question in Questions.All.Where(question => question.Reference() == Question.VerifyKnown))
        {
            var outcome = Questioner.OutcomeOf(question);
            if (decided.GetValueOrDefault(outcome) != samples)
            {
                throw new LoadFailedException($"{outcome} was decided {decided.GetValueOrDefault(outcome):N0} times instead of {samples:N0}.");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        server?.Dispose();
        if (stores is not null)
        {
            await stores.DisposeAsync();
        }

        authority.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
