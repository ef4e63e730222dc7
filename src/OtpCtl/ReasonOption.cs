using System.CommandLine;

namespace OtpCtl;

/// <summary>For acts that have to be explained.</summary>
internal static class ReasonOption
{
    public static readonly Option<string> Option = new("--reason")
    {
        Description = "Why, 1 to 200 characters; on record.",
        HelpName = "text",
        Required = true,
    };
}
