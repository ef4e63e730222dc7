using OtpAuthService.V1;

namespace OtpAuthService.Diagnoses;

/// <summary>One thing that was looked at, as an operator reads it.</summary>
/// <param name="Subject">What, such as <c>redis.eviction</c>.</param>
/// <param name="State">How it is.</param>
/// <param name="Detail">What was seen, a sentence.</param>
/// <param name="Advice">What to do, a sentence; empty where nothing is to be done.</param>
internal sealed record Finding(string Subject, DiagnosisState State, string Detail, string Advice)
{
    /// <summary>As it should be.</summary>
    public static Finding Ok(string subject, string detail) => new(subject, DiagnosisState.Ok, detail, "");

    /// <summary>It works, but will not for long, or not as promised.</summary>
    public static Finding Warning(string subject, string detail, string advice) => new(subject, DiagnosisState.Warning, detail, advice);

    /// <summary>It does not work.</summary>
    public static Finding Fault(string subject, string detail, string advice) => new(subject, DiagnosisState.Fault, detail, advice);
}
