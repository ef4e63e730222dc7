using System.Diagnostics;

namespace OtpAuthService.Tests.Clients;

/// <summary>A sample's front end in a terminal: a line is a submission, and another one its answer.</summary>
internal sealed class FrontEndProcess : IDisposable
{
    private readonly Process process;

    private FrontEndProcess(Process process) => this.process = process;

    public static FrontEndProcess Start(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };
        return new(Process.Start(start)!);
    }

    public async Task<string> AskAsync(string line)
    {
        await process.StandardInput.WriteLineAsync(line);
        await process.StandardInput.FlushAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        return await process.StandardOutput.ReadLineAsync(limit.Token) ?? throw new InvalidOperationException("The front end has ended.");
    }

    /// <summary>As at the end of its input.</summary>
    public async Task<int> EndAsync()
    {
        process.StandardInput.Close();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await process.WaitForExitAsync(limit.Token);
        return process.ExitCode;
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            process.Kill();
            process.WaitForExit(TimeSpan.FromSeconds(10));
        }

        process.Dispose();
    }
}
