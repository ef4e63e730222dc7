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

    /// <exception cref="ExportRefusedException">It is not there to be confirmed, or not by this person.</exception>
    public Task<Answer> ConfirmAsync(Submission submission, Guid id, CancellationToken cancellation) => ledger.DecideApartAsync(new PendingDecision(
        submission,
        async turn =>
        {
            var order = await FindAsync(turn, submission, id);
            if (order.ConfirmedAt is not null)
            {
                throw new ExportRefusedException("NOTHING_TO_CONFIRM", "the export was confirmed before");
            }

            if (order.Requester.MayBe(submission.Actor))
            {
                throw new ExportRefusedException(
                    "SECOND_PERSON_NEEDED", "whoever confirms must be told from whoever requested: another operator_id, or another caller");
            }

            order.Confirm(submission.Actor, turn.Now);
            return Verdict.Accepted;
        },
        cancellation));

    /// <summary>Decides that it is fetched now, and hands it out. What breaks off later was handed out: it has to be requested anew.</summary>
    /// <param name="submission">The request.</param>
    /// <param name="id">As requested.</param>
    /// <param name="write">Makes a file of the credentials, whose number it is told first.</param>
    /// <param name="cancellation">The caller no longer waits.</param>
    /// <exception cref="ExportRefusedException">It is not confirmed, expired, somebody else's, or was fetched.</exception>
    public async Task FetchAsync(
        Submission submission, Guid id, Func<long, IAsyncEnumerable<ExportedCredential>, Task> write, CancellationToken cancellation)
    {
        ExportOrder? order = null;
        var answer = await ledger.DecideApartAsync(new PendingDecision(
            submission,
            async turn =>
            {
                order = await FindAsync(turn, submission, id);
                RefuseIf(order.ConfirmedAt is null, "EXPORT_NOT_CONFIRMED", "the export awaits the word of a second person (ConfirmExport)");
                RefuseIf(order.Requester != submission.Actor, "EXPORT_OF_ANOTHER", "the export was requested by somebody else");
                RefuseIf(order.FetchedAt is not null, "EXPORT_FETCHED", "the export was fetched before");
                order.Fetch(turn.Now);
                return Verdict.Accepted;
            },
            cancellation));
        RefuseIf(answer.Repeated, "EXPORT_FETCHED", "the export was fetched before");

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
    }

    private static void RefuseIf(bool applies, string reason, string message)
    {
        if (applies)
        {
            throw new ExportRefusedException(reason, message);
        }
    }

    private static async Task<ExportOrder> FindAsync(Turn turn, Submission submission, Guid id)
    {
        var orders = turn.Db.Database.IsNpgsql()
            ? turn.Db.ExportOrders.FromSql($"SELECT * FROM export_orders WHERE id = {id} FOR NO KEY UPDATE")
            : turn.Db.ExportOrders.Where(o => o.Id == id);
        var order = (await orders.ToListAsync(turn.Stop)).SingleOrDefault(o => o.InstitutionId == submission.Institution)
            ?? throw new ExportRefusedException("EXPORT_UNKNOWN", "there is no such export");
        RefuseIf(order.HasExpiredAt(turn.Now), "EXPORT_EXPIRED", "the export was requested more than 24 hours ago");
        return order;
    }

    private static IQueryable<Credential> Query(OtpDbContext db, ExportOrder order)
    {
        var registered = db.Bindings
            .Where(b => b.InstitutionId == order.InstitutionId && (b.State == BindingState.Active || b.State == BindingState.Stopped))
            .Select(b => b.CredentialRef);
        var unused = order.Scope == ExportScope.RegisteredAndUnused;
        return db.Credentials.AsNoTracking()
            .Where(c => order.Supplier == null || c.Supplier == order.Supplier)
            .Where(c => registered.Contains(c.Id) || (unused && !db.Bindings.Any(b => b.CredentialRef == c.Id)))
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
