using OtpAuthService.V1;

namespace OtpCtl.Commands.Event;

/// <summary>What a contractor's lost events come to: what has stopped the contractor and is not there any more, and what is to be done about it.</summary>
/// <param name="Contractor">契約者ID.</param>
/// <param name="Event">The one that it rests on.</param>
internal sealed record LostStop(string Contractor, StreamEventsResponse Event)
{
    /// <summary>One for each contractor whom the lost events had left stopped, or with another credential than the database has.</summary>
    public static IEnumerable<LostStop> Of(IReadOnlyList<StreamEventsResponse> lost) =>
        from told in lost
        group told by told.ContractorId into contractor
        let last = contractor.Aggregate(default(StreamEventsResponse), Follow)
        where last is not null
        select new LostStop(contractor.Key, last);

    /// <summary>What has to be done where the database has this now; the history's newest binding first.</summary>
    public Remedy RemedyFor(GetBindingResponse? now) => (Event.Kind, now?.History.FirstOrDefault()) switch
    {
        (EventKind.Registered, { } newest) when newest.CredentialId == Event.CredentialId => Remedy.None,
        (EventKind.Registered, _) or (_, null) => Remedy.ByHand,
        (_, { State: BindingState.Lost or BindingState.Stopped }) => Remedy.None,
        (EventKind.Lost, { State: BindingState.Active or BindingState.Suspended } newest) when newest.CredentialId == Event.CredentialId => Remedy.ReportLost,
        (EventKind.Lost, _) => Remedy.ByHand,
        // The contractor's own stop, a token that was replaced, a lock that only an operator ends: denied until an operator has looked.
        (_, { State: BindingState.Active }) => Remedy.SuspendBinding,
        _ => Remedy.None,
    };

    /// <summary>
    /// A loss outweighs whatever came after it: what was registered then is lost as well, and the database believes in the lost token again. Otherwise the last
    /// word counts.
    /// </summary>
    private static StreamEventsResponse? Follow(StreamEventsResponse? before, StreamEventsResponse told) => (before?.Kind, told.Kind) switch
    {
        (EventKind.Lost, _) => before,
        (_, EventKind.Lost or EventKind.Stopped or EventKind.Suspended or EventKind.Replaced or EventKind.Registered) => told,
        (_, EventKind.Locked) => told.LockedUntil is null ? told : before,
        (EventKind.Locked, EventKind.Unlocked) or (EventKind.Stopped, EventKind.Resumed) => null,
        _ => before,
    };
}

/// <summary>What is to be done about something that stopped a contractor and is lost.</summary>
internal enum Remedy
{
    /// <summary>The database has it, or something stricter.</summary>
    None,

    /// <summary>The credential is reported lost again.</summary>
    ReportLost,

    /// <summary>The bank stops the binding: every OTP is denied until an operator resumes it.</summary>
    SuspendBinding,

    /// <summary>No call of this program brings it back: somebody has to see to the contractor.</summary>
    ByHand,
}
