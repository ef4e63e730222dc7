using Microsoft.Extensions.Logging;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Keeps what the service logs: all of it to be searched, and the errors that a test must expect or fail by.</summary>
internal sealed class ErrorLog : ILoggerProvider, ILogger
{
    private readonly List<(LogLevel Level, string Text)> entries = [];
    private readonly Lock gate = new();

    public IReadOnlyList<string> Errors => [.. Entries.Where(e => e.Level >= LogLevel.Error).Select(e => e.Text)];

    public string All => string.Join('\n', Entries.Select(e => e.Text));

    private List<(LogLevel Level, string Text)> Entries
    {
        get
        {
            lock (gate)
            {
                return [.. entries];
            }
        }
    }

    public void Clear()
    {
        lock (gate)
        {
            entries.Clear();
        }
    }

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (gate)
        {
            entries.Add((logLevel, $"{formatter(state, exception)} {exception}"));
        }
    }

    public void Dispose()
    {
    }
}
