using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Keys;

/// <summary>
/// RotateKeys: a new data key, under which <see cref="Rewrapping"/> then brings every credential, or a new version of the KEK, under which the data keys
/// are wrapped at once: they are few. Replicas go by the table of data keys; what is wrapped under an older one is used all the while.
/// </summary>
internal sealed class KeyRotation(IKekProvider kek, DataKeys dataKeys, OtpStore store, DecisionLedger ledger, TimeProvider time)
{
    /// <summary>The new one wraps from now on.</summary>
    /// <exception cref="RotationRivalException">Another rotation was first.</exception>
    /// <exception cref="KekUnavailableException">The KEK provider cannot be reached.</exception>
    public async Task<Answer> RotateDataKeyAsync(Submission submission, CancellationToken cancellation)
    {
        var existing = await ReadAsync(cancellation);
        var version = existing.Max(k => k.Version) + 1;
        using var key = new PinnedKey(DataKey.SizeInBytes);
        RandomNumberGenerator.Fill(key.Bytes);
        var row = await kek.WrapAsync(
            key, version, DataKeyUse.Credentials, await kek.NewestAsync(cancellation), time.GetUtcNow(), cancellation);
        var answer = await DecideAsync(
            submission,
            existing,
            db =>
            {
                db.DataKeys.Add(row);
            },
            cancellation);
        await dataKeys.RefreshAsync(cancellation);
        return answer;
    }

    /// <summary>All data keys are wrapped by a newer version of the KEK; the older one is not needed any more once it was answered.</summary>
    /// <exception cref="KekNotReadyException">The provider makes no newer version itself, and none was laid ready.</exception>
    /// <inheritdoc cref="RotateDataKeyAsync" path="/exception"/>
    public async Task<Answer> RotateKekAsync(Submission submission, CancellationToken cancellation)
    {
        var existing = await ReadAsync(cancellation);
        var version = await kek.AdvanceAsync(existing.MaxBy(k => k.Version)!.KekVersion, cancellation);
        var rewrapped = new List<DataKey>(existing.Count);
        foreach (var row in existing)
        {
            using var key = await kek.OpenAsync(row, cancellation);
            rewrapped.Add(await kek.WrapAsync(key, row.Version, row.Use, version, row.CreatedAt, cancellation));
        }

        return await DecideAsync(submission, existing, db => db.DataKeys.UpdateRange(rewrapped), cancellation);
    }

    /// <summary>The data keys, what each wraps, and the KEK that wraps now; null where it cannot be asked.</summary>
    public async Task<KeyStatus> ReadStatusAsync(CancellationToken cancellation)
    {
        var (keys, wrapped) = await store.ReadAsync(
            async (db, stop) => (
                await db.DataKeys.AsNoTracking().OrderBy(k => k.Version).ToListAsync(stop),
                await db.Credentials.GroupBy(c => c.KeyVersion).Select(g => new { g.Key, Count = g.LongCount() }).ToDictionaryAsync(g => g.Key, g => g.Count, stop)),
            cancellation);
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

    private async Task<Answer> DecideAsync(
        Submission submission, List<DataKey> expected, Action<OtpDbContext> change, CancellationToken cancellation) =>
        await ledger.DecideApartAsync(new PendingDecision(
            submission,
            async turn =>
            {
                var now = await turn.Db.DataKeys.AsNoTracking().Select(k => new { k.Version, k.KekVersion }).ToListAsync(turn.Stop);
                if (!now.Select(k => (k.Version, k.KekVersion)).ToHashSet().SetEquals(expected.Select(k => (k.Version, k.KekVersion))))
                {
                    throw new RotationRivalException();
                }

                change(turn.Db);
                return Verdict.Accepted;
            },
            cancellation));

    private Task<List<DataKey>> ReadAsync(CancellationToken cancellation) =>
        store.ReadAsync((db, stop) => db.DataKeys.AsNoTracking().ToListAsync(stop), cancellation);
}

/// <summary>The keys as they are.</summary>
/// <param name="DataKeys">The oldest first.</param>
/// <param name="NewestKek">The version of the KEK that wraps now; null where the provider cannot be reached.</param>
internal sealed record KeyStatus(IReadOnlyList<DataKeyStatus> DataKeys, string? NewestKek);

/// <summary>A data key and what it wraps.</summary>
internal sealed record DataKeyStatus(DataKey Key, long Credentials);

/// <summary>Another rotation was first; nothing was changed.</summary>
internal sealed class RotationRivalException() : Exception("another rotation was first: look at the key status and rotate again where it is still needed");
