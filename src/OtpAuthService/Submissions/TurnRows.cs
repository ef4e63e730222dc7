using Microsoft.EntityFrameworkCore;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;

namespace OtpAuthService.Submissions;

/// <summary>
/// The rows that a batch of decisions is made on, locked until the commit and tracked: what the acts change on them is written together.
/// Locks are taken in the order contractors, credentials, and by key within each, so that batches of replicas never wait in a circle.
/// </summary>
internal sealed class TurnRows
{
    private readonly Dictionary<ContractorRef, Contractor> contractors = [];
    private readonly Dictionary<ContractorRef, Binding> newest = [];
    private readonly List<Binding> holders = [];
    private readonly Dictionary<long, Credential> credentials = [];
    private readonly Dictionary<Guid, StoredAnswer> answers = [];

    private TurnRows(OtpDbContext db) => Db = db;

    public OtpDbContext Db { get; }

    /// <summary>Takes the turns of all contractors of a batch; a few round trips, however many they are.</summary>
    public static async Task<TurnRows> TakeAsync(OtpDbContext db, IReadOnlyList<PendingDecision> batch, CancellationToken stop)
    {
        var rows = new TurnRows(db);
        if (batch.Count > 1 && db.Database.IsNpgsql())
        {
            // A row that somebody else holds makes the whole batch wait: not for long, for it falls apart then and only one waits.
            await db.Database.ExecuteSqlRawAsync("SET LOCAL lock_timeout = '50ms'", stop);
        }

        var who = batch.Where(p => p.Contractor is not null).Select(p => p.Contractor!.Value).Distinct().ToList();
        if (who.Count > 0)
        {
            await rows.LockContractorsAsync(who, stop);
            await rows.ReadNewestBindingsAsync(who, stop);
        }

        await rows.LockCredentialsAsync(batch, stop);
        await rows.ReadHoldersAsync(batch, stop);
        // After the locks: a rival delivery of the same submission has committed by now, or waits for us.
        await rows.ReadAnswersAsync(batch, stop);
        return rows;
    }

    public Contractor ContractorOf(ContractorRef who)
    {
        if (!contractors.TryGetValue(who, out var contractor))
        {
            contractor = new Contractor { InstitutionId = who.Institution, ContractorId = who.Contractor };
            contractors.Add(who, contractor);
        }

        return contractor;
    }

    /// <summary>A contractor who is new here gets a row once something was decided; of two replicas that make it, one runs again and finds it.</summary>
    public void Keep(ContractorRef who)
    {
        if (contractors.TryGetValue(who, out var contractor) && Db.Entry(contractor).State == EntityState.Detached)
        {
            Db.Contractors.Add(contractor);
        }
    }

    public Binding? NewestBindingOf(ContractorRef who) => newest.GetValueOrDefault(who);

    public Credential CredentialAt(long row) => credentials[row];

    /// <summary>The binding that a credential has at an institution: active, or stopped by the bank and to be resumed.</summary>
    public Binding? HolderOf(InstitutionId institution, long credential) => holders.Find(
        b => b.InstitutionId == institution && b.CredentialRef == credential && b.State is BindingState.Active or BindingState.Stopped);

    public void Add(Binding binding)
    {
        Db.Bindings.Add(binding);
        newest[new ContractorRef(binding.InstitutionId, binding.ContractorId)] = binding;
        holders.Add(binding);
    }

    public StoredAnswer? AnswerOf(Submission submission) => answers.GetValueOrDefault(submission.Key);

    public void Store(StoredAnswer answer)
    {
        if (answers.TryGetValue(answer.Key, out var expired))
        {
            Db.Entry(expired).CurrentValues.SetValues(answer);
        }
        else
        {
            answers.Add(answer.Key, answer);
            Db.Answers.Add(answer);
        }
    }

    /// <summary>Writes a stored answer as it is: the commit of its first delivery may still wait for the standby, and then this one has to as well (promise P1).</summary>
    public void WriteBack(StoredAnswer answer)
    {
        var entry = Db.Entry(answer);
        if (entry.State == EntityState.Unchanged)
        {
            entry.Property(a => a.DecidedAt).IsModified = true;
        }
    }

    private async Task LockContractorsAsync(List<ContractorRef> who, CancellationToken stop)
    {
        var institutions = who.Select(w => w.Institution).Distinct().ToList();
        var ids = who.Select(w => w.Contractor).ToList();
        // SQLite has one writer, and the transaction is it: nothing to lock.
        var query = Db.Database.IsNpgsql()
            ? Db.Contractors.FromSql(
                $"""
                 SELECT * FROM contractors WHERE (institution_id, contractor_id) IN
                     (SELECT * FROM unnest({who.Select(w => w.Institution.Value).ToArray()}, {who.Select(w => w.Contractor.Value).ToArray()}))
                 ORDER BY institution_id, contractor_id FOR NO KEY UPDATE
                 """)
            : Db.Contractors.Where(c => institutions.Contains(c.InstitutionId) && ids.Contains(c.ContractorId));
        foreach (var contractor in await query.ToListAsync(stop))
        {
            contractors.Add(new ContractorRef(contractor.InstitutionId, contractor.ContractorId), contractor);
        }
    }

    private async Task ReadNewestBindingsAsync(List<ContractorRef> who, CancellationToken stop)
    {
        foreach (var binding in await NewestBindings.Query(Db, who).ToListAsync(stop))
        {
            newest.Add(new ContractorRef(binding.InstitutionId, binding.ContractorId), binding);
        }
    }

    private async Task LockCredentialsAsync(IReadOnlyList<PendingDecision> batch, CancellationToken stop)
    {
        var ids = batch.SelectMany(p => p.CredentialRefs).Distinct().Order().ToArray();
        if (ids.Length == 0)
        {
            return;
        }

        var query = Db.Database.IsNpgsql()
            ? Db.Credentials.FromSql($"SELECT * FROM credentials WHERE id = ANY ({ids}) ORDER BY id FOR NO KEY UPDATE")
            : Db.Credentials.Where(c => ids.Contains(c.Id));
        foreach (var credential in await query.ToListAsync(stop))
        {
            credentials.Add(credential.Id, credential);
        }
    }

    private async Task ReadHoldersAsync(IReadOnlyList<PendingDecision> batch, CancellationToken stop)
    {
        var asking = batch.Where(p => p.Binds is not null).ToList();
        var institutions = asking.Select(p => p.Submission.Institution).Distinct().ToList();
        var ids = asking.Select(p => p.Binds!.Value).Distinct().ToList();
        if (ids.Count > 0)
        {
            holders.AddRange(await Db.Bindings
                .Where(b => institutions.Contains(b.InstitutionId) && ids.Contains(b.CredentialRef)
                    && (b.State == BindingState.Active || b.State == BindingState.Stopped))
                .ToListAsync(stop));
        }
    }

    private async Task ReadAnswersAsync(IReadOnlyList<PendingDecision> batch, CancellationToken stop)
    {
        var keys = batch.Select(p => p.Submission.Key).Distinct().ToList();
        foreach (var answer in await Db.Answers.Where(a => keys.Contains(a.Key)).ToListAsync(stop))
        {
            answers.Add(answer.Key, answer);
        }
    }
}
