using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials.Pskc;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Credentials;

/// <summary>
/// RequestExport, ConfirmExport and ExportCredentials: a bank leaves, and takes its credentials with it. All keys leave the service in one file, so it takes two
/// people, a secret that only the first knows, and is there once.
/// </summary>
internal sealed class CredentialExport(DecisionLedger ledger, OtpStore store, KeyWrapping wrapping)
{
    /// <summary>A million credentials take a minute or two; a slow line, longer.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(20);

    /// <returns>The answer and the export's id, which is the submission's: a retry gets the same.</returns>
    public async Task<(Answer Answer, Guid Id)> RequestAsync(
        Submission submission, ExportScope scope, string? supplier, CancellationToken cancellation)
    {
        var answer = await ledger.DecideApartAsync(new PendingDecision(
            submission,
            async turn =>
            {
                if (await turn.Db.ExportOrders.AnyAsync(o => o.Id == submission.Key, turn.Stop))
                {
                    throw new InvalidRequestException("request_id", "was used for another export before; each takes a new one");
                }

                turn.Db.ExportOrders.Add(new ExportOrder
                {
                    Id = submission.Key,
                    InstitutionId = submission.Institution,
                    Scope = scope,
                    Supplier = supplier,
                    RequestedBy = submission.Caller.Id,
                    RequestedByOperator = submission.Operator,
                    Reason = submission.Reason!,
                    RequestedAt = turn.Now,
                });
                return Verdict.Accepted;
            },
            cancellation));
        return (answer, submission.Key);
    }

    /// <returns>
    /// Accepted; CredentialUnknown where there is no such export; CredentialUnusable where it has expired; AlreadyUsed where it was confirmed before; Mismatch
    /// where whoever confirms may be whoever requested. As many outcomes as reasons: they are all that the record and a retry's answer tell them apart by.
    /// </returns>
    public Task<Answer> ConfirmAsync(Submission submission, Guid id, CancellationToken cancellation) => ledger.DecideApartAsync(new PendingDecision(
        submission,
        async turn =>
        {
            var order = await FindAsync(turn, submission, id);
            if (RefuseToConfirm(order, submission, turn.Now) is { } refusal)
            {
                return Verdict.Deny(refusal);
            }

            order!.Confirm(submission.Actor, turn.Now);
            return Verdict.Accepted;
        },
        cancellation));

    /// <summary>Decides that it is fetched now, and hands it out. What breaks off later was handed out: it has to be requested anew.</summary>
    /// <param name="submission">The request.</param>
    /// <param name="id">As requested.</param>
    /// <param name="write">Makes a file of the credentials, whose number it is told first; only where it is accepted.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    /// <returns>
    /// Accepted; CredentialUnknown and CredentialUnusable as for <see cref="ConfirmAsync"/>; NotRegistered where it is not confirmed; Mismatch where somebody
    /// else requested it; AlreadyUsed where it was fetched before.
    /// </returns>
    public async Task<Answer> FetchAsync(
        Submission submission, Guid id, Func<long, IAsyncEnumerable<ExportedCredential>, Task> write, CancellationToken cancellation)
    {
        ExportOrder? order = null;
        var answer = await ledger.DecideApartAsync(new PendingDecision(
            submission,
            async turn =>
            {
                order = await FindAsync(turn, submission, id);
                if (RefuseToHandOut(order, submission, turn.Now) is { } refusal)
                {
                    return Verdict.Deny(refusal);
                }

                order!.Fetch(turn.Now);
                return Verdict.Accepted;
            },
            cancellation));
        if (answer.Verdict.Outcome != Outcome.Accepted)
        {
            return answer;
        }

        if (answer.Repeated)
        {
            // The first delivery had the file, or what broke off of it.
            return answer with { Verdict = Verdict.Deny(Outcome.AlreadyUsed) };
        }

        // One statement, and so one state of the database, however long it takes.
        await store.ReadAsync(
            async (db, stop) =>
            {
                var query = Query(db, order!);
                await write(await query.LongCountAsync(stop), OpenAsync(query, stop));
                return true;
            },
            cancellation,
            Deadline);
        return answer;
    }

    private static Outcome? RefuseToConfirm(ExportOrder? order, Submission submission, DateTimeOffset now) => order switch
    {
        null => Outcome.CredentialUnknown,
        _ when order.HasExpiredAt(now) => Outcome.CredentialUnusable,
        { ConfirmedAt: not null } => Outcome.AlreadyUsed,
        _ when order.Requester.MayBe(submission.Actor) => Outcome.Mismatch,
        _ => null,
    };

    private static Outcome? RefuseToHandOut(ExportOrder? order, Submission submission, DateTimeOffset now) => order switch
    {
        null => Outcome.CredentialUnknown,
        _ when order.HasExpiredAt(now) => Outcome.CredentialUnusable,
        { ConfirmedAt: null } => Outcome.NotRegistered,
        _ when order.Requester != submission.Actor => Outcome.Mismatch,
        { FetchedAt: not null } => Outcome.AlreadyUsed,
        _ => null,
    };

    private static async Task<ExportOrder?> FindAsync(Turn turn, Submission submission, Guid id)
    {
        var orders = turn.Db.Database.IsNpgsql()
            ? turn.Db.ExportOrders.FromSql($"SELECT * FROM export_orders WHERE id = {id} FOR NO KEY UPDATE")
            : turn.Db.ExportOrders.Where(o => o.Id == id);
        return (await orders.ToListAsync(turn.Stop)).SingleOrDefault(o => o.InstitutionId == submission.Institution);
    }

    private static IQueryable<Credential> Query(OtpDbContext db, ExportOrder order)
    {
        var registered = db.Bindings
            .Where(b => b.InstitutionId == order.InstitutionId && (b.State == BindingState.Active || b.State == BindingState.Stopped))
            .Select(b => b.CredentialRef);
        var unused = order.Scope == ExportScope.RegisteredAndUnused;
        return db.Credentials.AsNoTracking()
            .Where(c => order.Supplier == null || c.Supplier == order.Supplier)
            .Where(c => registered.Contains(c.Id) || (unused && c.SuppliedTo == order.InstitutionId && !db.Bindings.Any(b => b.CredentialRef == c.Id)))
            .OrderBy(c => c.Id);
    }

    private async IAsyncEnumerable<ExportedCredential> OpenAsync(
        IQueryable<Credential> query, [EnumeratorCancellation] CancellationToken stop)
    {
        await foreach (var credential in query.AsAsyncEnumerable().WithCancellation(stop))
        {
            using var key = await wrapping.UnwrapAsync(credential, stop);
            yield return new ExportedCredential(credential, key);
        }
    }
}

/// <summary>A credential on its way out.</summary>
/// <param name="Credential">Its parameters.</param>
/// <param name="Key">Its key, until the next one is asked for.</param>
internal readonly record struct ExportedCredential(Credential Credential, PinnedKey Key);
