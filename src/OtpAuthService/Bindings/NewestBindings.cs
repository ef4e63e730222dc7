using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;

namespace OtpAuthService.Bindings;

/// <summary>
/// Reads contractors' newest bindings with their credentials, those asked for at the same time with one query: after a restart nothing is
/// remembered, and every login asks.
/// </summary>
internal sealed class NewestBindings
{
    private const int MaxWaiting = 4096;
    private const int MaxBatch = 256;

    private readonly OtpStore store;
    private readonly MicroBatch<Question> queue;

    public NewestBindings(OtpStore store)
    {
        this.store = store;
        queue = new MicroBatch<Question>(MaxWaiting, MaxBatch, AnswerAsync);
    }

    /// <returns>Null where the contractor never registered.</returns>
    public Task<Binding?> FindAsync(ContractorRef contractor)
    {
        var question = new Question(contractor, new TaskCompletionSource<Binding?>(TaskCreationOptions.RunContinuationsAsynchronously));
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
            var found = await store.ReadAsync(
                (db, stop) => Query(db, who).AsNoTracking().Include(b => b.Credential)
                    .ToDictionaryAsync(b => new ContractorRef(b.InstitutionId, b.ContractorId), stop),
                CancellationToken.None);
            questions.ForEach(q => q.Answer.SetResult(found.GetValueOrDefault(q.Contractor)));
        }
        catch (Exception failure)
        {
            questions.ForEach(q => q.Answer.TrySetException(failure));
        }
    }

    private readonly record struct Question(ContractorRef Contractor, TaskCompletionSource<Binding?> Answer);
}
