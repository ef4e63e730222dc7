using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Keys;

/// <summary>
/// RotateKeys: a new data key, under which <see cref="Rewrapping"/> then brings every credential, or a new version of the KEK, under which the data keys
/// are wrapped at once: they are few. Replicas go by the table of data keys; what is wrapped under an older one is used all the while.
/// </summary>
internal sealed class KeyRotation(IKekProvider kek, DataKeys dataKeys, OtpStore store, DecisionLedger ledger)
{
    /// <summary>The KEK may be on the other side of a network. No row that a decision needs is locked meanwhile.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(8);

    /// <summary>A new one wraps from now on.</summary>
    /// <exception cref="KekUnavailableException">The KEK provider cannot be reached.</exception>
    public async Task<Answer> RotateDataKeyAsync(Submission submission, CancellationToken cancellation)
    {
        var answer = await DecideAsync(
            submission,
            async turn =>
            {
                using var key = new PinnedKey(DataKey.SizeInBytes);
                RandomNumberGenerator.Fill(key.Bytes);
                // A rival that takes the same version makes this run again, with the next one.
                var version = await turn.Db.DataKeys.MaxAsync(k => k.Version, turn.Stop) + 1;
                var newestKek = await kek.NewestAsync(turn.Stop);
                turn.Db.DataKeys.Add(await kek.WrapAsync(key, version, DataKeyUse.Credentials, newestKek, turn.Now, turn.Stop));
                await turn.Db.SaveChangesAsync(turn.Stop);
            },
            cancellation);
        await dataKeys.RefreshAsync(cancellation);
        return answer;
    }

    /// <summary>
    /// All data keys are wrapped by a newer version of the KEK: by one that is there already, where some are not under it yet, for an operator has laid it
    /// ready, or an attempt before this one has made it and failed.
    /// </summary>
    /// <exception cref="KekNotReadyException">The provider makes no newer version itself, and none was laid ready.</exception>
    /// <inheritdoc cref="RotateDataKeyAsync" path="/exception"/>
    public Task<Answer> RotateKekAsync(Submission submission, CancellationToken cancellation) => DecideAsync(
        submission,
        async turn =>
        {
            var rows = await turn.Db.DataKeys.ToListAsync(turn.Stop);
            var newest = await kek.NewestAsync(turn.Stop);
            if (rows.TrueForAll(row => row.KekVersion == newest))
            {
                newest = await kek.AdvanceAsync(newest, turn.Stop);
            }

            foreach (var row in rows)
            {
                using var key = await kek.OpenAsync(row, turn.Stop);
                row.WrappedKey = await kek.WrapAsync(newest, key.AsMemory(), row.AssociatedData, turn.Stop);
                row.KekVersion = newest;
            }
        },
        cancellation);

    /// <summary>The data keys, what each wraps, and the KEK that wraps now; null where it cannot be asked.</summary>
    public async Task<KeyStatus> ReadStatusAsync(CancellationToken cancellation)
    {
        var (keys, wrapped) = await store.ReadAsync(
            async (db, stop) => (
                await db.DataKeys.AsNoTracking().OrderBy(k => k.Version).ToListAsync(stop),
                await db.Credentials.GroupBy(c => c.KeyVersion).Select(g => new { g.Key, Count = g.LongCount() }).ToDictionaryAsync(g => g.Key, g => g.Count, stop)),
            cancellation,
            Deadline);
        string? newest = null;
        try
        {
            newest = await kek.NewestAsync(cancellation);
        }
        catch (KekUnavailableException)
        {
            // The rest is worth telling all the same.
        }

        return new KeyStatus([.. keys.Select(k => new DataKeyStatus(k, wrapped.GetValueOrDefault(k.Version)))], newest);
    }

    private Task<Answer> DecideAsync(Submission submission, Func<Turn, Task> rotate, CancellationToken cancellation) => ledger.DecideApartAsync(
        new PendingDecision(
            submission,
            async turn =>
            {
                await rotate(turn);
                return Verdict.Accepted;
            },
            cancellation),
        Deadline);
}

/// <summary>The keys as they are.</summary>
/// <param name="DataKeys">The oldest first.</param>
/// <param name="NewestKek">The version of the KEK that wraps now; null where the provider cannot be reached.</param>
internal sealed record KeyStatus(IReadOnlyList<DataKeyStatus> DataKeys, string? NewestKek)
{
    /// <summary>Credentials that are not under the newest data key.</summary>
    public long ToRewrap => DataKeys.Where(k => k.Key.Use == DataKeyUse.Credentials).SkipLast(1).Sum(k => k.Credentials);
}

/// <summary>A data key and what it wraps.</summary>
internal sealed record DataKeyStatus(DataKey Key, long Credentials);
