using Microsoft.EntityFrameworkCore;
using Npgsql;
using OtpAuthService.Credentials;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Bindings;

/// <summary>
/// Reads contractors' newest bindings with their credentials, those asked for at the same time with one query: after a restart nothing is
/// remembered, and every login asks.
/// </summary>
internal sealed class NewestBindings
{
    private const int MaxWaiting = 4096;
    private const int MaxBatch = 256;

    /// <summary>The same as <see cref="Query"/>, without EF Core, whose translation would cost more than all the rest of a Verify.</summary>
    private const string Sql =
        """
        SELECT i.n, b.id, b.state, c.id, c.epoch, c.credential_id, c.wrapped_key, c.key_version, c.algorithm, c.digits, c.period_seconds,
            c.drift_steps, c.status, c.supplier, c.last_time_step, c.drift_days,
            EXISTS (SELECT FROM contractors AS k WHERE k.institution_id = i.institution_id AND k.contractor_id = i.contractor_id
                AND (k.consecutive_failures > 0 OR k.locked_until IS NOT NULL OR k.temporary_otp_uses_left > 0))
        FROM unnest($1, $2) WITH ORDINALITY AS i (institution_id, contractor_id, n)
        CROSS JOIN LATERAL (
            SELECT * FROM bindings WHERE institution_id = i.institution_id AND contractor_id = i.contractor_id ORDER BY id DESC LIMIT 1) AS b
        JOIN credentials AS c ON c.id = b.credential_ref
        """;

    private readonly OtpStore store;
    private readonly bool readsDirectly;
    private readonly MicroBatch<Question> queue;

    public NewestBindings(OtpStore store, StoreSet stores)
    {
        this.store = store;
        readsDirectly = stores.IsPostgres;
        queue = new MicroBatch<Question>(MaxWaiting, MaxBatch, AnswerAsync);
    }

    /// <returns>Null where the contractor never registered.</returns>
    public Task<NewestBinding?> FindAsync(ContractorRef contractor)
    {
        var question = new Question(contractor, new TaskCompletionSource<NewestBinding?>(TaskCreationOptions.RunContinuationsAsynchronously));
        return queue.TryAdd(question) ? question.Answer.Task : throw new QueueFullException();
    }

    /// <summary>The newest binding of each contractor; of one who never registered, none.</summary>
    public static IQueryable<Binding> Query(OtpDbContext db, IReadOnlyCollection<ContractorRef> who)
    {
        // Pairs cannot be asked for, so each half on its own: contractor ids that two institutions share come as well.
        var institutions = who.Select(w => w.Institution).Distinct().ToList();
        var contractors = who.Select(w => w.Contractor).ToList();
        return db.Bindings.Where(b => institutions.Contains(b.InstitutionId)
            && contractors.Contains(b.ContractorId)
            && !db.Bindings.Any(later => later.InstitutionId == b.InstitutionId && later.ContractorId == b.ContractorId && later.Id > b.Id));
    }

    private async Task AnswerAsync(List<Question> questions)
    {
        try
        {
            var who = questions.Select(q => q.Contractor).Distinct().ToList();
            var found = readsDirectly
                ? await store.ReadDirectlyAsync((connection, stop) => ReadAsync(connection, who, stop), CancellationToken.None)
                : await store.ReadAsync((db, stop) => ReadAsync(db, who, stop), CancellationToken.None);
            questions.ForEach(q => q.Answer.SetResult(found.TryGetValue(q.Contractor, out var newest) ? newest : null));
        }
        catch (Exception failure)
        {
            questions.ForEach(q => q.Answer.TrySetException(failure));
        }
    }

    private static Task<Dictionary<ContractorRef, NewestBinding>> ReadAsync(OtpDbContext db, List<ContractorRef> who, CancellationToken stop) =>
        Query(db, who).AsNoTracking()
            .Select(b => new
            {
                Binding = b,
                b.Credential,
                FailuresCounted = db.Contractors.Any(c => c.InstitutionId == b.InstitutionId && c.ContractorId == b.ContractorId
                    && (c.ConsecutiveFailures > 0 || c.LockedUntil != null || c.TemporaryOtp!.UsesLeft > 0)),
            })
            .ToDictionaryAsync(
                found => new ContractorRef(found.Binding.InstitutionId, found.Binding.ContractorId),
                found => new NewestBinding(found.Binding.Reading, WrappedCredential.Of(found.Credential), found.FailuresCounted),
                stop);

    private static async Task<Dictionary<ContractorRef, NewestBinding>> ReadAsync(
        NpgsqlConnection connection, List<ContractorRef> who, CancellationToken stop)
    {
        await using var command = new NpgsqlCommand(Sql, connection);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. who.Select(w => w.Institution.Value)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. who.Select(w => w.Contractor.Value)] });
        await using var rows = await command.ExecuteReaderAsync(stop);
        var found = new Dictionary<ContractorRef, NewestBinding>(who.Count);
        while (await rows.ReadAsync(stop))
        {
            found.Add(who[(int)rows.GetInt64(0) - 1], Read(rows));
        }

        return found;
    }

    private static NewestBinding Read(NpgsqlDataReader row) => new(
        new BindingReading(row.GetInt64(1), (BindingState)row.GetInt16(2)),
        new WrappedCredential(
            Id: row.GetInt64(3),
            Epoch: row.GetInt64(4),
            CredentialId: CredentialId.Parse(row.GetString(5)),
            WrappedKey: row.GetFieldValue<byte[]>(6),
            KeyVersion: row.GetInt32(7),
            Algorithm: (Algorithm)row.GetInt16(8),
            Digits: row.GetInt32(9),
            PeriodSeconds: row.GetInt32(10),
            DriftSteps: row.GetInt32(11),
            Status: (CredentialStatus)row.GetInt16(12),
            Supplier: row.GetString(13),
            LastTimeStep: new TimeStep(row.GetInt64(14)),
            DriftDays: row.GetInt32(15)),
        row.GetBoolean(16));

    private readonly record struct Question(ContractorRef Contractor, TaskCompletionSource<NewestBinding?> Answer);
}

/// <summary>A contractor's newest binding, whatever its state, and its credential.</summary>
internal readonly record struct NewestBinding(BindingReading Reading, WrappedCredential Credential, bool FailuresCounted);
