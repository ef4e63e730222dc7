using OtpAuthService.V1;

namespace OtpCtl.Commands.Event;

/// <summary>What a contractor's lost events come to: what has stopped the contractor and is not there any more, and what is to be done about it.</summary>
/// <param name="Contractor">契約者ID.</param>
/// <param name="Event">The one that it rests on.</param>
internal sealed record LostStop(string Contractor, StreamEventsResponse Event)
{
    /// <summary>Those of all contractors whom the lost events had left stopped, or with another credential than the database has. Each loss is one of its own.</summary>
    public static IEnumerable<LostStop> Of(IReadOnlyList<StreamEventsResponse> lost) =>
        from told in lost
        group told by told.ContractorId into contractor
        from standing in StandingOf([.. contractor])
        select new LostStop(contractor.Key, standing);

    /// <summary>
    /// What has to be done where the database has this now; the history's newest binding first. Where it believes in another credential than the contractor
    /// had last, that one is stopped whatever else is to be done: its token may be in other hands.
    /// </summary>
    public Remedy RemedyFor(GetBindingResponse? now) => (Event.Kind, now?.History.FirstOrDefault()) switch
    {
        (_, null) => Remedy.ByHand,
        (EventKind.Registered or EventKind.Replaced, { } newest) when newest.CredentialId == Event.CredentialId => Remedy.None,
        (EventKind.Lost, { } newest) when newest.CredentialId == Event.CredentialId => newest.State == BindingState.Lost ? Remedy.None : Remedy.ReportLost,
        // The contractor's own stop, a token that was replaced, a lock that only an operator ends: denied until an operator has looked.
        (_, { State: BindingState.Active }) => Remedy.SuspendBinding,
        (EventKind.Registered or EventKind.Lost, _) or (EventKind.Locked, { State: BindingState.Suspended }) => Remedy.ByHand,
        _ => Remedy.None,
    };

    /// <summary>
    /// A loss outweighs whatever came after it: what was registered then is lost as well, and the database believes in the lost token again. An end undoes
    /// its own kind and no other: who was unlocked after a change of the device has changed it all the same.
    /// </summary>
    private static List<StreamEventsResponse> StandingOf(List<StreamEventsResponse> told)
    {
        var losses = told.Where(e => e.Kind == EventKind.Lost).ToList();
        var standing = losses.Count > 0
            ? null
            : LastUnless(EventKind.Resumed, told.Where(e => e.Kind is EventKind.Stopped or EventKind.Resumed))
                ?? LastUnless(EventKind.Unlocked, told.Where(e => e.Kind == EventKind.Unlocked || e is { Kind: EventKind.Locked, LockedUntil: null }))
                ?? told.LastOrDefault(e => e.Kind is EventKind.Suspended or EventKind.Replaced or EventKind.Registered);
        return standing is null ? losses : [standing];
    }

    private static StreamEventsResponse? LastUnless(EventKind end, IEnumerable<StreamEventsResponse> told) =>
        told.LastOrDefault() is { } last && last.Kind != end ? last : null;
}

/// <summary>What is to be done about something that stopped a contractor and is lost.</summary>
internal enum Remedy
{
    /// <summary>The database has it, or has what denies as well.</summary>
    None,

    /// <summary>The credential is reported lost again.</summary>
    ReportLost,

    /// <summary>The bank stops the binding: every OTP is denied until an operator resumes it.</summary>
    SuspendBinding,

    /// <summary>No call of this program brings it back: somebody has to see to the contractor.</summary>
    ByHand,
}
