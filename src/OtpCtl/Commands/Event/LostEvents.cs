using Google.Protobuf;
using OtpAuthService.Events;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Event;

/// <summary>
/// What a database that was taken back no longer knows, by a file of events as <c>event stream --json</c> prints them: what it keeps for 30 days and has
/// not, wherever it stands in the file, for whoever follows events may have gone on after the restore.
/// </summary>
internal static class LostEvents
{
    /// <summary>What is about to be swept is not to be taken for lost while it is.</summary>
    private static readonly TimeSpan Kept = ContractorEvent.Lifetime - TimeSpan.FromHours(1);

    /// <summary>A newer service may tell more of an event.</summary>
    private static readonly JsonParser Parser = new(JsonParser.Settings.Default.WithIgnoreUnknownFields(true));

    /// <param name="file">An event a line, those of a contractor in the order in which they were told.</param>
    /// <param name="known">The ids of those that the database has.</param>
    /// <param name="since">Null: the file says which are lost. Else all from then on that are not known, also of a file that has none of the database's.</param>
    /// <param name="now">The moment.</param>
    /// <param name="warnings">Is told of lines that are none, as a crash leaves them behind.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>The lost ones, each once, in their order.</returns>
    /// <exception cref="UsageException">Nothing tells which are lost.</exception>
    public static async Task<IReadOnlyList<StreamEventsResponse>> ReadAsync(
        FileInfo file, HashSet<string> known, DateTimeOffset? since, DateTimeOffset now, TextWriter warnings, CancellationToken cancellation)
    {
        var lost = new List<StreamEventsResponse>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var anchored = since is not null;
        await foreach (var (_, told) in JsonLines.ReadAsync(file, Parse, "no event", warnings, cancellation))
        {
            if (known.Contains(told.EventId))
            {
                anchored = true;
            }
            else if (told.OccurredAt.ToDateTimeOffset() >= (since ?? now - Kept) && seen.Add(told.EventId))
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
