using System.Collections.Immutable;
using OtpAuthService.Storage;

namespace OtpAuthService.Bindings;

/// <summary>"Read, then decide", repeated until the decision was made on what is current.</summary>
internal static class OnCurrent
{
    /// <summary>
    /// The readings to decide on, one after the other. The first may come from a cache; where it turns out to be out of date, the database is
    /// asked. Each repetition means that somebody else changed the binding or credential in between; more than these few are no coincidence.
    /// </summary>
    public static readonly ImmutableArray<Reading> Readings = [Reading.Remembered, Reading.Anew, Reading.Anew, Reading.Anew, Reading.Anew];

    /// <summary>To be thrown where none of the readings was current.</summary>
    public static StoreUnavailableException KeepsChanging() => new("the binding keeps changing");
}

/// <summary>Where a reading may come from.</summary>
internal enum Reading
{
    /// <summary>From a cache, so that it may be out of date.</summary>
    Remembered,

    /// <summary>From the database.</summary>
    Anew,
}
