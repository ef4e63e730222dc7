using System.CommandLine;

namespace OtpCtl;

/// <summary>The person behind an act, where a caller's certificate is shared by several.</summary>
internal static class OperatorOption
{
    public static readonly Option<string?> Option = new("--operator")
    {
        Description = "The person at the bank who does it, up to 64 of [A-Za-z0-9._@-]; on record. Environment: OTPCTL_OPERATOR.",
        HelpName = "id",
        DefaultValueFactory = _ => GlobalOptions.FromEnvironment("OTPCTL_OPERATOR"),
    };

    /// <summary>Empty where nobody was named: the caller is one person.</summary>
    public static string Read(ParseResult parsed) => parsed.GetValue(Option) ?? "";
}
