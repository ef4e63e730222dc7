using System.Diagnostics;
using System.Text;

namespace OtpAuthService.Tests;

/// <summary>Runs the operator CLI as its users do: as a process, with its own arguments, environment and stdin.</summary>
internal static class OtpCtlProcess
{
    internal sealed record Result(int ExitCode, string Output, string Errors);

    public static Task<Result> RunAsync(params string[] args) => RunAsync(stdin: "", args);

    public static async Task<Result> RunAsync(string stdin, string[] args, params (string Name, string Value)[] environment)
    {
        var start = StartInfo(args);
        Array.ForEach(environment, variable => start.Environment[variable.Name] = variable.Value);
        using var process = Process.Start(start)!;
        await process.StandardInput.WriteAsync(stdin);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new(process.ExitCode, await output, await errors);
    }

    /// <summary>Like <c>otpctl … | head -n 1</c>: reads a line of the result, then leaves.</summary>
    public static async Task<Result> ReadOneLineAsync(params string[] args)
    {
        using var process = Process.Start(StartInfo(args))!;
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEndAsync();
        var line = await process.StandardOutput.ReadLineAsync();
        process.StandardOutput.Close();
        await process.WaitForExitAsync();
        return new(process.ExitCode, line ?? "", await errors);
    }

    private static ProcessStartInfo StartInfo(string[] args)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "otpctl.dll"));
        foreach (var arg in args)
        {
            start.ArgumentList.Add(arg);
        }

        foreach (var variable in start.Environment.Keys.Where(name => name.StartsWith("OTPCTL_", StringComparison.Ordinal)).ToList())
        {
            start.Environment.Remove(variable);
        }

        return start;
    }
}
