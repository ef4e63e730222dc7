using System.Diagnostics;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>For what another process does in its own time: asks again until it is so, and fails with a sentence where it never is.</summary>
internal static class Eventually
{
    public static async Task IsTrueAsync(Func<Task<bool>> condition, string what, int seconds = 20)
    {
        var began = Stopwatch.StartNew();
        while (!await condition())
        {
            if (began.Elapsed.TotalSeconds > seconds)
            {
                throw new TimeoutException($"Not so within {seconds} s: {what}");
            }

            await Task.Delay(25);
        }
    }
}
