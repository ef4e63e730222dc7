using System.CommandLine;

namespace OtpCtl;

/// <summary>
/// A new file with keys in it: its owner alone can read it, it never takes the place of another, and under its name it is there whole or not at all.
/// </summary>
internal sealed class SecretFile : IDisposable
{
    private readonly string path;
    private readonly string unfinished;
    private bool kept;

    private SecretFile(string path)
    {
        this.path = path;
        unfinished = Path.Combine(Path.GetDirectoryName(path)!, $".{Path.GetFileName(path)}.{Path.GetRandomFileName()}");
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        Content = new FileStream(unfinished, options);
    }

    /// <summary>Where it is written.</summary>
    public FileStream Content { get; }

    /// <summary>Before the keys are asked for: whoever cannot write them here has asked for nothing.</summary>
    /// <exception cref="UsageException">There is a file of that name.</exception>
    /// <exception cref="IOException">Nor any other can be made there.</exception>
    public static SecretFile Create(FileInfo file) =>
        Exists(file) ? throw new UsageException(IsThere(file)) : new SecretFile(file.FullName);

    /// <summary>In a dry run as well.</summary>
    public static void RefuseExisting(Command command, Option<FileInfo> option) => command.Validators.Add(result =>
    {
        if (result.GetValue(option) is { } file && Exists(file))
        {
            result.AddError(IsThere(file));
        }
    });

    /// <summary>This is all.</summary>
    public void Keep(ReadOnlySpan<byte> content)
    {
        Content.Write(content);
        Keep();
    }

    /// <summary>It is whole.</summary>
    public void Keep()
    {
        Content.Flush(flushToDisk: true);
        Content.Dispose();
        File.Move(unfinished, path, overwrite: false);
        kept = true;
    }

    /// <summary>What was not kept is removed.</summary>
    public void Dispose()
    {
        Content.Dispose();
        if (!kept)
        {
            File.Delete(unfinished);
        }
    }

    // A link that leads nowhere is something, too.
    private static bool Exists(FileInfo file) => Path.Exists(file.FullName) || file.LinkTarget is not null;

    private static string IsThere(FileInfo file) => $"'{file}' is there already, and is not overwritten.";
}
