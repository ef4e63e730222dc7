namespace OtpAuthService.Submissions;

/// <summary>
/// Has items that arrive at the same time handled together: one batch at a time, in the order of arrival. An item that arrives while
/// nothing runs starts at once and on its own; the next batch fills while one runs. Nothing ever lingers for company.
/// </summary>
/// <param name="capacity">Items that may wait at most.</param>
/// <param name="largest">Items in one batch at most.</param>
/// <param name="run">Handles a batch; what becomes of its items is its own affair, so it must not throw.</param>
internal sealed class MicroBatch<T>(int capacity, int largest, Func<List<T>, Task> run)
{
    private readonly Lock gate = new();
    private readonly Queue<T> waiting = new();
    private bool running;

    /// <summary>Items that wait for their batch.</summary>
    public int Waiting
    {
        get
        {
            lock (gate)
            {
                return waiting.Count;
            }
        }
    }

    /// <returns>False where too many are waiting.</returns>
    public bool TryAdd(T item)
    {
        lock (gate)
        {
            if (waiting.Count >= capacity)
            {
                return false;
            }

            waiting.Enqueue(item);
        }

        Start();
        return true;
    }

    /// <summary>Adds items that have come together, so that they go on together.</summary>
    /// <returns>How many of them, from the first on; the others would be too many.</returns>
    public int Add(List<T> items)
    {
        int room;
        lock (gate)
        {
            room = Math.Min(items.Count, capacity - waiting.Count);
            for (var i = 0; i < room; i++)
            {
                waiting.Enqueue(items[i]);
            }
        }

        Start();
        return room;
    }

    private void Start()
    {
        lock (gate)
        {
            if (running)
            {
                return;
            }

            running = true;
        }

        // The batches that follow are nobody's in particular: they must not run in this caller's trace.
        using (ExecutionContext.SuppressFlow())
        {
            _ = DrainAsync();
        }
    }

    private async Task DrainAsync()
    {
        while (TakeBatch() is { } batch)
        {
            await run(batch);
        }
    }

    private List<T>? TakeBatch()
    {
        lock (gate)
        {
            if (waiting.Count == 0)
            {
                running = false;
                return null;
            }

            var batch = new List<T>(Math.Min(waiting.Count, largest));
            while (batch.Count < largest && waiting.TryDequeue(out var item))
            {
                batch.Add(item);
            }

            return batch;
        }
    }
}
