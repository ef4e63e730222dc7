using System.CommandLine;
using OtpAuthService.Callers;

namespace OtpCtl.Commands.Caller;

/// <summary>The callers' file: read by the service's own code, which reads it again within a second of a change.</summary>
internal static class CallersFile
{
    public static readonly Option<string?> Option = new("--file")
    {
        Description = "The callers' file. Environment: OtpAuth__CallersFile, as the service has it.",
        HelpName = "file",
        DefaultValueFactory = _ => GlobalOptions.FromEnvironment("OtpAuth__CallersFile"),
    };

    /// <exception cref="UsageException">None is named.</exception>
    public static string PathOf(ParseResult parsed) =>
        parsed.GetValue(Option) ?? throw new UsageException("no callers' file: give --file or OtpAuth__CallersFile.");

    /// <exception cref="UsageException">It breaks a rule, so that the service would not take it.</exception>
    public static CallerRegistry Read(string path, byte[] content)
    {
        try
        {
            return CallerRegistry.Read(content);
        }
        catch (InvalidDataException broken)
        {
            throw new UsageException($"'{path}' would not be taken by the service: {broken.Message}");
        }
    }

    /// <summary>Replaces it as a whole: whoever reads it sees what was there before, or what is there now. Links stay links, and its mode stays.</summary>
    public static void Replace(string path, byte[] content)
    {
        var file = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path;
        var next = $"{file}.new";
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = File.GetUnixFileMode(file);
        }

        using (var written = new FileStream(next, options))
        {
            written.Write(content);
            written.Flush(flushToDisk: true);
        }

        File.Move(next, file, overwrite: true);
    }
}
