using Google.Protobuf;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Event;

/// <summary>
/// What a database that was taken back no longer knows, by a file of events as <c>event stream --json</c> prints them: everything behind the last one that
/// the database still has.
/// </summary>
internal static class LostEvents
{
    /// <summary>A newer service may tell more of an event.</summary>
    private static readonly JsonParser Parser = new(JsonParser.Settings.Default.WithIgnoreUnknownFields(true));

    /// <param name="file">An event a line, in the order in which they were told.</param>
    /// <param name="known">The ids of those that the database has.</param>
    /// <param name="since">Null: the file says which are lost. Else all from then on, for a file that has none of the database's.</param>
    /// <param name="warnings">Is told of lines that are none, as a crash leaves them behind.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>The lost ones, each once, in their order.</returns>
    /// <exception cref="UsageException">Nothing tells which are lost.</exception>
    public static async Task<IReadOnlyList<StreamEventsResponse>> ReadAsync(
        FileInfo file, HashSet<string> known, DateTimeOffset? since, TextWriter warnings, CancellationToken cancellation)
    {
        var lost = new List<StreamEventsResponse>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var (number, anchored) = (0, since is not null);
        await foreach (var line in File.ReadLinesAsync(file.FullName, cancellation))
        {
            number++;
            if (Parse(line) is not { } told)
            {
                if (!string.IsNullOrWhiteSpace(line))
                {
                    warnings.WriteLine(FormattableString.Invariant($"otpctl: line {number} of {file.Name} is no event, cut off perhaps: skipped."));
                }
            }
            else if (known.Contains(told.EventId))
            {
                anchored = true;
                if (since is null)
                {
                    // Older than one that is there, so not lost: swept after its 30 days.
                    lost.Clear();
                }
            }
            else if ((since is null || told.OccurredAt.ToDateTimeOffset() >= since) && seen.Add(told.EventId))
            {
                lost.Add(told);
            }
        }

        return anchored
            ? lost
            : throw new UsageException(
                $"the database has none of the events in {file.Name}, so nothing tells which of them it has lost. Is it the file of this institution? Else say by --since from when on.");
    }

    private static StreamEventsResponse? Parse(string line)
    {
        try
        {
            return Parser.Parse<StreamEventsResponse>(line) is { EventId.Length: > 0, ContractorId.Length: > 0, OccurredAt: not null } told ? told : null;
        }
        catch (Exception none) when (none is InvalidProtocolBufferException or InvalidJsonException)
        {
            return null;
        }
    }
}
