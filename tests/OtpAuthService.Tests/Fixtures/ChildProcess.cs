using System.Diagnostics;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>A process that a test started, with what it wrote; ended by its id.</summary>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process process;
    private readonly List<string> lines = [];
    private readonly Lock gate = new();

    private ChildProcess(Process process) => this.process = process;

    public int Id => process.Id;

    public bool HasExited => process.HasExited;

    public string Output
    {
        get
        {
            lock (gate)
            {
                return string.Join('\n', lines);
            }
        }
    }

    public static ChildProcess Start(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null, string? input = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        var child = new ChildProcess(new Process { StartInfo = start });
        child.process.OutputDataReceived += child.Keep;
        child.process.ErrorDataReceived += child.Keep;
        child.process.Start();
        child.process.BeginOutputReadLine();
        child.process.BeginErrorReadLine();
        child.process.StandardInput.Write(input ?? "");
        child.process.StandardInput.Close();
        return child;
    }

    /// <summary>Runs a program to its end and returns what it wrote.</summary>
    public static async Task<string> RunAsync(string program, IEnumerable<string> arguments, string? input = null)
    {
        using var child = Start(program, arguments, input: input);
        var exitCode = await child.WaitForExitAsync();
        return exitCode == 0 ? child.Output : throw new InvalidOperationException($"{program} ended with {exitCode}:\n{child.Output}");
    }

    public async Task<int> WaitForExitAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await process.WaitForExitAsync(limit.Token);
        return process.ExitCode;
    }

    /// <summary>Sends a signal such as <c>STOP</c>, <c>CONT</c>, <c>INT</c> or <c>KILL</c> to this process only.</summary>
    public void Signal(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{process.Id}"]);
        kill.WaitForExit();
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

    private void Keep(object sender, DataReceivedEventArgs e)
    {
        if (e.Data is not null)
        {
            lock (gate)
            {
                lines.Add(e.Data);
            }
        }
    }
}
