using Npgsql;
using NpgsqlTypes;
using OtpAuthService.Audit;

namespace OtpAuthService.Submissions;

/// <summary>
/// Confirms proposals in PostgreSQL, many with one statement and one commit. For each either all of it is written (the claim, the stored
/// answer, the audit record) or nothing.
/// </summary>
internal static class ProposalStatement
{
    /// <summary>
    /// A claim is the conditional UPDATE that everything rests on (promise P1). Rows are locked in the order of the input, which is sorted
    /// by credential; a row that somebody else changes meanwhile is looked at again, with its epoch. The epoch stands for all that the
    /// expectation rests on besides the row itself: the database raises it where a binding ends or something is counted against its contractor.
    /// A request id that has its answer already is for a turn: its OTP is not to be claimed again, and if it were, the primary key of the
    /// answers would roll back the whole statement. That happens where an id comes again with other content, so only then is it looked
    /// for beforehand ($19). The fence (<see cref="Verification.Fence"/>) is read once, before the first row is locked, and as it is by then, whatever
    /// the statement's snapshot or a replica knows of it. The confirmed ones are chained in the order of the input, behind the chain's end ($22 to $24).
    /// </summary>
    internal const string Sql =
        """
        WITH input AS MATERIALIZED (
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $20, $21, $25)
                WITH ORDINALITY AS i (key, fingerprint, caller_id, request_id, rpc, institution_id, contractor_id, channel, purpose,
                    credential_ref, epoch, status, time_step, outcome, decision, retry_after, attempts_left, policy_version, digest, drift_days, n)
        ),
        claimed AS (
            UPDATE credentials AS c SET last_time_step = i.time_step, drift_days = i.drift_days
            FROM input AS i
            WHERE c.id = i.credential_ref
              AND c.last_time_step < i.time_step
              AND (SELECT fence_in_force()) / (1000 * c.period_seconds) < i.time_step - greatest(c.drift_steps, 0)
              AND c.out_of_sync_step IS DISTINCT FROM i.time_step
              AND c.epoch = i.epoch
              AND c.status = i.status
              AND (c.valid_from IS NULL OR c.valid_from <= $18)
              AND (c.valid_until IS NULL OR c.valid_until > $18)
              AND (NOT $19 OR NOT EXISTS (SELECT FROM answers AS a WHERE a.key = i.key))
            RETURNING i.*
        ),
        noted AS (
            SELECT i.* FROM input AS i
            WHERE i.time_step IS NULL
              AND EXISTS (SELECT FROM credentials AS c
                  WHERE c.id = i.credential_ref AND c.epoch = i.epoch AND c.status = i.status
                    AND (c.valid_from IS NULL OR c.valid_from <= $18) AND (c.valid_until IS NULL OR c.valid_until > $18))
              AND NOT EXISTS (SELECT FROM answers AS a WHERE a.key = i.key)
        ),
        confirmed AS (SELECT * FROM claimed UNION ALL SELECT * FROM noted),
        answered AS (
            INSERT INTO answers (key, fingerprint, outcome, decision, retry_after, attempts_left, credential_ref, decided_at)
            SELECT key, fingerprint, outcome, decision, retry_after, attempts_left, credential_ref, $18 FROM confirmed
        ),
        recorded AS (
            INSERT INTO audit_trail (chain_id, position, hash, decided_at, rpc, institution_id, caller_id, request_id, contractor_id,
                channel, purpose, credential_ref, time_step, outcome, decision, policy_version)
            SELECT $22, $23 + row_number() OVER chain, audit_chain($24, digest) OVER chain, $18, rpc, institution_id, caller_id, request_id, contractor_id,
                channel, purpose, credential_ref, time_step, outcome, decision, policy_version
            FROM confirmed WINDOW chain AS (ORDER BY n)
        ),
        told AS (
            INSERT INTO events (event_id, institution_id, contractor_id, kind, occurred_at, credential_ref, rpc, request_id)
            SELECT gen_random_uuid(), institution_id, e.contractor_id, e.kind, $18, credential_ref, rpc, request_id
            FROM confirmed JOIN unnest($26, $27, $28) AS e (n, kind, contractor_id) USING (n)
        )
        SELECT n FROM confirmed
        """;

    /// <param name="connection">Where.</param>
    /// <param name="proposed">Different credentials, different request ids.</param>
    /// <param name="chain">Where the audit records go.</param>
    /// <param name="names">How they name contractors.</param>
    /// <param name="now">The moment of all of them.</param>
    /// <param name="careful">Whether to look for request ids that have an answer first, so that none of them fails the others.</param>
    /// <param name="stop">Gives up; it is then not known whether anything was written.</param>
    /// <returns>The confirmed ones, and the chain's end behind them; for the others nothing was written.</returns>
    public static async Task<(List<PendingDecision> Confirmed, ChainLink End)> WriteAsync(
        NpgsqlConnection connection,
        List<PendingDecision> proposed,
        AuditChain chain,
        ContractorNames names,
        DateTimeOffset now,
        bool careful,
        CancellationToken stop)
    {
        proposed.Sort(static (a, b) => Nullable.Compare(a.CredentialRef, b.CredentialRef));
        await using var command = new NpgsqlCommand(Sql, connection);
        var records = proposed.ConvertAll(p => AuditRecord.Of(p.Submission, p.NameFor(names), p.Policy!.PolicyVersion, p.Proposal!.Verdict, now));
        var digests = records.ConvertAll(AuditContent.Digest);
        AddColumns(command.Parameters, proposed, records);
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = now.ToUnixTimeMilliseconds() });
        command.Parameters.Add(new NpgsqlParameter<bool> { TypedValue = careful });
        command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. proposed.Select(p => p.Policy!.PolicyVersion)] });
        command.Parameters.Add(new NpgsqlParameter<byte[][]> { TypedValue = [.. digests] });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = chain.Id });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = chain.End.Position });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = chain.End.Hash });
        command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. proposed.Select(p => p.Proposal!.DriftDays)] });
        AddEvents(command.Parameters, proposed);

        var written = new List<int>(proposed.Count);
        await using var rows = await command.ExecuteReaderAsync(stop);
        while (await rows.ReadAsync(stop))
        {
            written.Add((int)rows.GetInt64(0) - 1);
        }

        // The commit comes after the last row: only here has it happened. To dispose of the reader would wait for it as well, but is silent
        // about a wait that was cut short.
        await rows.NextResultAsync(stop);
        written.Sort();
        return (written.ConvertAll(n => proposed[n]), chain.End.Behind(written.ConvertAll(n => digests[n])));
    }

    /// <summary>Few submissions have one. Each names its submission by its place; the contractor as they are, which records may not tell.</summary>
    private static void AddEvents(NpgsqlParameterCollection columns, List<PendingDecision> proposed)
    {
        var events = proposed.SelectMany((p, i) => p.Proposal!.Verdict.Events.Select(kind => (Place: i + 1L, Kind: kind, p.Submission.Contractor))).ToList();
        columns.Add(new NpgsqlParameter<long[]> { TypedValue = [.. events.Select(e => e.Place)] });
        columns.Add(new NpgsqlParameter<short[]> { TypedValue = [.. events.Select(e => (short)e.Kind)] });
        columns.Add(new NpgsqlParameter<string[]> { TypedValue = [.. events.Select(e => e.Contractor!.Value.Value)] });
    }

    private static void AddColumns(NpgsqlParameterCollection columns, List<PendingDecision> proposed, List<AuditRecord> records)
    {
        Add(NpgsqlDbType.Uuid, p => p.Submission.Key);
        Add(NpgsqlDbType.Bytea, p => p.Submission.Fingerprint);
        Add(NpgsqlDbType.Text, p => p.Submission.Caller.Id);
        Add(NpgsqlDbType.Text, p => p.Submission.RequestId);
        Add(NpgsqlDbType.Text, p => p.Submission.Rpc);
        Add(NpgsqlDbType.Text, p => p.Submission.Institution.Value);
        columns.Add(new NpgsqlParameter<string?[]> { TypedValue = [.. records.Select(r => r.ContractorId)] });
        Add(NpgsqlDbType.Smallint, p => (short)p.Submission.Channel);
        Add(NpgsqlDbType.Smallint, p => (short)p.Submission.Purpose);
        Add(NpgsqlDbType.Bigint, p => p.Proposal!.Verdict.CredentialRef);
        Add(NpgsqlDbType.Bigint, p => p.Proposal!.Epoch);
        Add(NpgsqlDbType.Smallint, p => (short)p.Proposal!.Status);
        Add(NpgsqlDbType.Bigint, p => p.Proposal!.Verdict.TimeStep?.Value);
        Add(NpgsqlDbType.Smallint, p => (short)p.Proposal!.Verdict.Outcome);
        Add(NpgsqlDbType.Smallint, p => (short)p.Proposal!.Verdict.Decision);
        Add(NpgsqlDbType.Bigint, p => (long?)p.Proposal!.Verdict.RetryAfter?.TotalMilliseconds);
        Add(NpgsqlDbType.Integer, p => p.Proposal!.Verdict.AttemptsLeft);

        void Add<T>(NpgsqlDbType type, Func<PendingDecision, T> value)
        {
            var column = new T[proposed.Count];
            for (var i = 0; i < column.Length; i++)
            {
                column[i] = value(proposed[i]);
            }

            columns.Add(new NpgsqlParameter<T[]> { TypedValue = column, NpgsqlDbType = NpgsqlDbType.Array | type });
        }
    }
}
