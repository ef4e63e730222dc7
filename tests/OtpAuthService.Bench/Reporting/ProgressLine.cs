using System.Diagnostics;

namespace OtpAuthService.Bench.Reporting;

/// <summary>One line on stderr that says how far the run is; rewritten on a terminal, else a line per step for a log.</summary>
internal sealed class ProgressLine
{
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private bool shown;

    public TimeSpan Elapsed => clock.Elapsed;

    public void Show(string text) => Write($"{clock.Elapsed:mm\\:ss}  {text}");

    public void Show(int done, int all, string text) => Write($"{clock.Elapsed:mm\\:ss}  {done,3}/{all}  {text}");

    public void End()
    {
        if (shown && !Console.IsErrorRedirected)
        {
            Console.Error.WriteLine();
        }

        shown = false;
    }

    private void Write(string line)
    {
        shown = true;
        if (Console.IsErrorRedirected)
        {
            Console.Error.WriteLine(line);
            return;
        }

        // Back to the start, the line, and clear what is left of a longer one.
        Console.Error.Write($"\r{line}\e[K");
    }
}
