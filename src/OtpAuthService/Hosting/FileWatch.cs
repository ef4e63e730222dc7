using System.Security.Cryptography;
using OtpAuthService.Telemetry;

namespace OtpAuthService.Hosting;

/// <summary>
/// Reads files again while the service runs: certificates, callers. What they come to is replaced as a whole or not at all: files that cannot
/// be read leave in force what was read last, and a metric says so.
/// </summary>
internal sealed class FileWatch(ILogger<FileWatch> log) : BackgroundService
{
    /// <summary>
    /// Looked at so often, by content: a notice from the operating system does not come for the links that container platforms swap. A
    /// bypass grant that is taken away is gone within 2 s (promise P6).
    /// </summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    private readonly List<(string Name, Func<Exception?> Look)> watched = [];
    private readonly Dictionary<string, string?> problems = [];

    /// <summary>What is watched, and whether it cannot be read as it is now.</summary>
    public IEnumerable<(string Name, bool Broken)> States
    {
        get
        {
            lock (problems)
            {
                return [.. problems.Select(p => (p.Key, p.Value is not null))];
            }
        }
    }

    /// <summary>Reads files now, and from now on whenever their content changes.</summary>
    /// <param name="name">What they are, as metrics and logs call it.</param>
    /// <param name="paths">Where they lie.</param>
    /// <param name="read">Makes of their contents what is used, or throws an <see cref="InvalidDataException"/> with a sentence.</param>
    /// <exception cref="StartRefusedException">They cannot be read now, so that there is nothing to keep.</exception>
    public Watched<T> Watch<T>(string name, IReadOnlyList<string> paths, Func<IReadOnlyList<byte[]>, T> read)
        where T : class
    {
        var files = new Watched<T>(paths, read);
        if (files.Look() is { } failure)
        {
            throw new StartRefusedException($"{string.Join(", ", paths)}: {failure.Message}");
        }

        lock (problems)
        {
            watched.Add((name, files.Look));
            problems[name] = null;
        }

        return files;
    }

    // Real time, not TimeProvider: it paces readings of files.
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause);
        using var stop = stoppingToken.Register(timer.Dispose);
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            foreach (var (name, look) in Snapshot())
            {
                Report(name, look()?.Message);
            }
        }
    }

    private List<(string Name, Func<Exception?> Look)> Snapshot()
    {
        lock (problems)
        {
            return [.. watched];
        }
    }

    private void Report(string name, string? problem)
    {
        lock (problems)
        {
            if (problems[name] == problem)
            {
                return;
            }

            problems[name] = problem;
        }

        if (problem is null)
        {
            log.FilesWell(name);
        }
        else
        {
            log.FilesBroken(name, problem);
        }
    }
}

/// <summary>Files and what they came to when they could be read last.</summary>
internal sealed class Watched<T>(IReadOnlyList<string> paths, Func<IReadOnlyList<byte[]>, T> read)
    where T : class
{
    /// <summary>Far above what certificates and callers take.</summary>
    private const long MaxBytes = 4 * 1024 * 1024;

    private byte[]? digest;
    private Exception? failure;
    private volatile T? current;

    /// <summary>Another instance after each change.</summary>
    public T Current => current ?? throw new InvalidOperationException("Nothing was read yet.");

    /// <summary>Reads the files where their content has changed.</summary>
    /// <returns>Why they cannot be used as they are now; null where they can.</returns>
    public Exception? Look()
    {
        var before = digest;
        digest = null;
        try
        {
            List<byte[]> contents = [.. paths.Select(ReadBounded)];
            digest = SHA256.HashData([.. contents.SelectMany(content => SHA256.HashData(content))]);
            if (before is null || !before.AsSpan().SequenceEqual(digest))
            {
                failure = null;
                current = read(contents);
            }
        }
        catch (Exception unusable) when (unusable is IOException or UnauthorizedAccessException or InvalidDataException or CryptographicException)
        {
            failure = unusable;
        }

        return failure;
    }

    private static byte[] ReadBounded(string path) =>
        new FileInfo(path) is { Exists: true, Length: > MaxBytes }
            ? throw new InvalidDataException($"{path} is larger than {MaxBytes} bytes.")
            : File.ReadAllBytes(path);
}
