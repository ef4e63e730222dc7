using Microsoft.Extensions.Options;
using OtpAuthService.Callers;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;

namespace OtpAuthService.Diagnoses;

/// <summary>Who may call, and for how long: callers and bypass grants end by themselves.</summary>
internal sealed class CallerCheck(CallerDirectory callers, StoreSet stores, IOptions<OtpAuthOptions> options, TimeProvider time)
{
    /// <summary>Callers that act for the institution: nothing of one institution is shown to another.</summary>
    public List<Finding> Look(InstitutionId institution)
    {
        var found = new List<Finding>();
        // Of the embedded default it is told once, as "embedded".
        if (stores.IsPostgres && options.Value.LocalCaller is { Enabled: true })
        {
            found.Add(Finding.Warning(
                "callers.local",
                "Whoever connects over loopback without a certificate is a caller: for trying out only.",
                "Set OtpAuth__LocalCaller__Enabled=false and give each caller a certificate."));
        }

        if (options.Value.CallersFile is not null)
        {
            var own = callers.All.Where(caller => caller.Institutions.Contains(institution)).ToList();
            var ending = own.SelectMany(caller => FindEnding(caller, [institution], time.GetUtcNow())).ToList();
            found.AddRange(ending.Count > 0 ? ending : [Finding.Ok("callers", $"{own.Count} callers act for {institution}; none of them, and no bypass grant, ends soon.")]);
        }

        return found;
    }

    /// <summary>What of a caller ends soon or has ended.</summary>
    /// <param name="caller">Whose row.</param>
    /// <param name="institutions">For which of its institutions grants are looked at.</param>
    /// <param name="now">The moment.</param>
    public static IEnumerable<Finding> FindEnding(Caller caller, IReadOnlyCollection<InstitutionId> institutions, DateTimeOffset now)
    {
        var found = new List<Finding>();
        if (caller.NotAfter is { } until)
        {
            found.Add(Expiry.Judge(
                $"callers.{caller.Id}", $"Caller {caller.Id}", DateTimeOffset.MinValue, until, now, "Set another notAfter in the callers' file, or take the caller out."));
        }

        foreach (var (institution, grant) in caller.Bypasses.Where(bypass => institutions.Contains(bypass.Key)))
        {
            found.Add(Expiry.Judge(
                $"callers.{caller.Id}.bypass",
                $"The bypass grant of {caller.Id} for {institution}",
                grant.From,
                grant.NotAfter,
                now,
                "Have it approved anew in the callers' file, for 90 days at most, or take it out."));
        }

        // An end that people wrote down is kept by the service, and is no fault of it.
        return found.Where(finding => finding.State != V1.DiagnosisState.Ok).Select(finding => finding with { State = V1.DiagnosisState.Warning });
    }
}
