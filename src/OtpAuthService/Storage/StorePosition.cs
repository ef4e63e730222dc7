namespace OtpAuthService.Storage;

/// <summary>Which PostgreSQL answers, since when, and how far its log is on disk. That only ever grows: a lower one, or another server's, has forgotten something.</summary>
/// <param name="System">The system identifier: made by initdb, and copied with the files.</param>
/// <param name="Timeline">Grows when a standby is promoted and at the end of a point-in-time recovery.</param>
/// <param name="Started">When it was started, as it says.</param>
/// <param name="Flushed">Bytes of the log that are on disk.</param>
internal sealed record StorePosition(long System, int Timeline, DateTime Started, long Flushed)
{
    /// <summary>Names the server and its timeline; the function fence_in_force makes the same text.</summary>
    public string Evidence => $"PostgreSQL {System} timeline {Timeline}";

    /// <summary>Whether it goes on where <paramref name="before"/> was; else it has to be looked at.</summary>
    public bool GoesOnFrom(StorePosition? before) => before is not null && !MayLack(before) && Started == before.Started;

    /// <summary>Whether it may lack what was there when <paramref name="before"/> was seen.</summary>
    public bool MayLack(StorePosition before) => System != before.System || Timeline != before.Timeline || Flushed < before.Flushed;
}
