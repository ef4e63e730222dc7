using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Keys;
using OtpAuthService.Storage;

namespace OtpAuthService.Diagnoses;

/// <summary>
/// The KEK and its provider, now: data keys in memory hide for up to <see cref="OtpAuthOptions.DataKeyAge"/> that they could not be opened again.
/// </summary>
internal sealed class KekCheck(StoreSet stores, IKekProvider kek, DataKeys dataKeys, IOptions<OtpAuthOptions> options)
{
    public async Task<List<Finding>> LookAsync(CancellationToken stop)
    {
        try
        {
            var newest = await kek.NewestAsync(stop);
            if (await ReadAsync(stop) is not { } rows)
            {
                return [Finding.Ok("kek", "The KEK provider answers. The data keys in the database cannot be read, so whether it opens them is not known.")];
            }

            foreach (var row in rows)
            {
                // The test of the KEK: data keys open under no other.
                using var opened = await kek.OpenAsync(row, stop);
            }

            return [Finding.Ok("kek", $"The KEK provider answers; {rows.Count} data keys open."), JudgeVersion(newest, rows)];
        }
        catch (KekUnavailableException unavailable)
        {
            return [Finding.Fault("kek", unavailable.Message, $"Bring the KEK provider back. {WhatIsLeft()}")];
        }
        catch (CryptographicException wrong)
        {
            return [Finding.Fault("kek", $"The KEK does not open the stored keys: {wrong.Message}", $"Set the KEK that this database was used with; do not make a new one. {WhatIsLeft()}")];
        }
    }

    /// <summary>Null where the database is out of reach or refuses, which is told by its own check.</summary>
    private async Task<List<DataKey>?> ReadAsync(CancellationToken stop)
    {
        try
        {
            await using var db = stores.CreateContext();
            return await db.DataKeys.AsNoTracking().ToListAsync(stop);
        }
        catch (Exception outage) when ((StoreErrors.IsOutage(outage) || StoreErrors.IsForbidden(outage)) && !stop.IsCancellationRequested)
        {
            return null;
        }
    }

    private static Finding JudgeVersion(string newest, List<DataKey> rows)
    {
        var older = rows.Count(row => row.KekVersion != newest);
        return older == 0
            ? Finding.Ok("kek.version", $"The newest version wraps all data keys: {newest}.")
            : Finding.Warning(
                "kek.version",
                $"{older} of {rows.Count} data keys are wrapped under an older version of the KEK than {newest}.",
                "Run otpctl key rotate --kind kek --apply.");
    }

    private string WhatIsLeft() => dataKeys.AreOpen
        ? $"Data keys in memory serve for {options.Value.DataKeyAge:g} since they were opened, at the latest; a restart would fail now."
        : "No credential can be used until then.";
}
