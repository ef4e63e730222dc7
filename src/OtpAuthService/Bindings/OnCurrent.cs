using OtpAuthService.Storage;

namespace OtpAuthService.Bindings;

/// <summary>Repeats "read, then decide" until the decision was made on what is current.</summary>
internal static class OnCurrent
{
    /// <summary>Each repetition means that somebody else changed the binding or credential in between; more than a few are no coincidence.</summary>
    private const int MaxReadings = 5;

    /// <summary>The first reading may come from a cache; where it turns out to be out of date, the database is asked.</summary>
    public static async Task<T> ReadAsync<T>(Func<Reading, Task<T?>> readAndDecide)
        where T : class
    {
        for (var reading = 1; reading <= MaxReadings; reading++)
        {
            if (await readAndDecide(reading == 1 ? Reading.Remembered : Reading.Anew) is { } decided)
            {
                return decided;
            }
        }

        throw new StoreUnavailableException("the binding keeps changing");
    }
}

/// <summary>Where a reading may come from.</summary>
internal enum Reading
{
    /// <summary>From a cache, so that it may be out of date.</summary>
    Remembered,

    /// <summary>From the database.</summary>
    Anew,
}
