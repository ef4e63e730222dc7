using OtpAuthService.Storage;

namespace OtpAuthService.Bindings;

/// <summary>Repeats "read, then decide" until the decision was made on what is current.</summary>
internal static class OnCurrent
{
    /// <summary>Each repetition means that somebody else changed the binding or credential in between; more than a few are no coincidence.</summary>
    private const int MaxReadings = 5;

    public static async Task<T> ReadAsync<T>(Func<Task<T?>> readAndDecide)
        where T : class
    {
        for (var reading = 1; reading <= MaxReadings; reading++)
        {
            if (await readAndDecide() is { } decided)
            {
                return decided;
            }
        }

        throw new StoreUnavailableException("the binding keeps changing");
    }
}
