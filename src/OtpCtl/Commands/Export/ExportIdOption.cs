using System.CommandLine;

namespace OtpCtl.Commands.Export;

/// <summary>Which export.</summary>
internal static class ExportIdOption
{
    public static readonly Option<string> Option = new("--id") { Description = "The export, as request has printed it.", HelpName = "id", Required = true };
}
