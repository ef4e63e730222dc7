using System.CommandLine;

namespace OtpCtl;

/// <summary>For commands that change something: a command that was typed wrong, or pasted, has changed nothing yet.</summary>
internal static class ApplyOption
{
    public static readonly Option<bool> Option = new("--apply")
    {
        Description = "Do it. Without it nothing is changed: what is there now and what would be done is shown.",
    };
}
