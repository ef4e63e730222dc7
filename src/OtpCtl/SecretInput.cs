using Spectre.Console;

namespace OtpCtl;

/// <summary>Secrets that are typed or piped in, so that they are in no argument list and no shell history.</summary>
internal static class SecretInput
{
    /// <summary>Asks without echo on a terminal, otherwise takes one line of stdin.</summary>
    /// <exception cref="UsageException">There is no line, or it is empty.</exception>
    public static string ReadLine(string name)
    {
        var line = Console.IsInputRedirected ? Console.In.ReadLine() : Ask(name);
        return line is { Length: > 0 } ? line : throw new UsageException($"no {name}: stdin has no line.");
    }

    // On stderr: stdout is for the result.
    private static string Ask(string name) =>
        AnswerText.Screen(Console.Error).Prompt(new TextPrompt<string>($"{name}:").Secret(null));
}
