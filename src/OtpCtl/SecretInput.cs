using System.Text;

namespace OtpCtl;

/// <summary>Secrets that are typed or piped in, so that they are in no argument list and no shell history.</summary>
internal static class SecretInput
{
    /// <summary>Asks without echo on a terminal, otherwise takes one line of stdin.</summary>
    /// <exception cref="UsageException">There is no line, or it is empty.</exception>
    public static async Task<string> ReadLineAsync(string name, CancellationToken cancellation)
    {
        // Reading blocks whatever it is told: Ctrl-C leaves it behind on its own thread.
        var reading = Task.Run(() => Console.IsInputRedirected ? Console.In.ReadLine() : Ask(name), cancellation);
        var line = await reading.WaitAsync(cancellation);
        return line is { Length: > 0 } ? line : throw new UsageException($"no {name} was given.");
    }

    private static string Ask(string name)
    {
        // On stderr: stdout is for the result.
        Console.Error.Write($"{name}: ");
        var typed = new StringBuilder();
        for (var key = Console.ReadKey(intercept: true); key.Key != ConsoleKey.Enter; key = Console.ReadKey(intercept: true))
        {
            if (key.Key == ConsoleKey.Backspace)
            {
                typed.Length = Math.Max(0, typed.Length - 1);
            }
            else if (!char.IsControl(key.KeyChar))
            {
                typed.Append(key.KeyChar);
            }
        }

        Console.Error.WriteLine();
        return typed.ToString();
    }
}
