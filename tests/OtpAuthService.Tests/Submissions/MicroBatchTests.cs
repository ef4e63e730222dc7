using OtpAuthService.Submissions;

namespace OtpAuthService.Tests.Submissions;

/// <summary>Who goes with whom, and when. Each batch is begun by the test's item and ended by the test.</summary>
[TestFixture]
public class MicroBatchTests
{
    private readonly List<Batch> begun = [];
    private readonly SemaphoreSlim begins = new(0);
    private int running;
    private int mostRunning;

    [SetUp]
    public void Clear() => (running, mostRunning) = (0, 0);

    [TearDown]
    public void ForgetBatches() => begun.Clear();

    [Test]
    public void Add_WhileNothingRuns_StartsAtOnceAndAlone()
    {
        var queue = Queue();

        Assert.That(queue.TryAdd(1), Is.True);

        // Begun before TryAdd came back: no timer and no other thread had a say.
        Assert.That(begun.Single().Items, Is.EqualTo(new[] { 1 }));
        Assert.That(queue.Waiting, Is.Zero);
    }

    [Test]
    public async Task Add_WhileABatchRuns_GoesWithTheNextInOrderOfArrival()
    {
        var queue = Queue();
        Add(queue, 1, 2, 3, 4);
        Assert.That((begun.Count, queue.Waiting), Is.EqualTo((1, 3)));

        await EndAsync(0);

        Assert.That(begun[1].Items, Is.EqualTo(new[] { 2, 3, 4 }));
    }

    [Test]
    public async Task Batch_OfManyWaiting_HoldsNoMoreThanTheLargest()
    {
        var queue = Queue(largest: 3);
        Add(queue, [.. Enumerable.Range(1, 8)]);
        for (var batch = 0; batch < 3; batch++)
        {
            await EndAsync(batch);
        }

        Assert.That(begun.Select(b => b.Items), Is.EqualTo(new[] { new[] { 1 }, [2, 3, 4], [5, 6, 7], [8] }));
    }

    [Test]
    public async Task Add_BeyondTheCapacity_IsRefusedWithoutEffect()
    {
        var queue = Queue(capacity: 2);
        Add(queue, 1, 2, 3);

        Assert.That(queue.TryAdd(4), Is.False);
        Assert.That(queue.Waiting, Is.EqualTo(2));

        await EndAsync(0);
        Assert.That(begun[1].Items, Is.EqualTo(new[] { 2, 3 }));
        Assert.That(queue.TryAdd(5), Is.True, "there is room again");
        await EndAsync(1);
        Assert.That(begun[2].Items, Is.EqualTo(new[] { 5 }));
    }

    [Test]
    public async Task Add_AfterAllWasHandled_StartsAgain()
    {
        var queue = Queue();
        Add(queue, 1);
        begun[0].End.SetResult();
        await begun[0].Ended.Task;

        Add(queue, 2);

        await BeginsAsync(1);
        Assert.That(begun[1].Items, Is.EqualTo(new[] { 2 }));
    }

    [Test]
    public async Task Batches_UnderParallelAdds_RunOneAtATimeAndHandleEachItemOnce()
    {
        var handled = new List<int>();
        var done = new TaskCompletionSource();
        var queue = new MicroBatch<int>(capacity: 100_000, largest: 50, async items =>
        {
            var now = Interlocked.Increment(ref running);
            mostRunning = Math.Max(mostRunning, now);
            await Task.Yield();
            handled.AddRange(items);
            Interlocked.Decrement(ref running);
            if (handled.Count == 10_000)
            {
                done.SetResult();
            }
        });

        Parallel.For(0, 10_000, n => Assert.That(queue.TryAdd(n), Is.True));
        await done.Task.WaitAsync(TimeSpan.FromSeconds(20));

        Assert.That(mostRunning, Is.EqualTo(1));
        Assert.That(handled, Is.EquivalentTo(Enumerable.Range(0, 10_000)));
    }

    /// <summary>What one caller carries along (its trace, its culture) is not that of the batches that follow.</summary>
    [Test]
    public async Task Batch_BegunByACaller_DoesNotRunInItsContext()
    {
        var carried = new AsyncLocal<string>();
        var seen = new TaskCompletionSource<string?>();
        var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var queue = new MicroBatch<int>(capacity: 10, largest: 10, async items =>
        {
            if (items[0] == 1)
            {
                await first.Task;
            }
            else
            {
                seen.SetResult(carried.Value);
            }
        });
        // On a thread of the pool, as a call: the service has no synchronisation context, which would carry the caller's along.
        await Task.Run(() =>
        {
            carried.Value = "the first caller's";
            Add(queue, 1, 2);
        });
        first.SetResult();

        Assert.That(await seen.Task.WaitAsync(TimeSpan.FromSeconds(5)), Is.Null);
    }

    private static void Add(MicroBatch<int> queue, params int[] items)
    {
        foreach (var item in items)
        {
            Assert.That(queue.TryAdd(item), Is.True);
        }
    }

    private MicroBatch<int> Queue(int capacity = 100, int largest = 100) => new(capacity, largest, RunAsync);

    private async Task RunAsync(List<int> items)
    {
        var batch = new Batch([.. items], new TaskCompletionSource(), new TaskCompletionSource());
        begun.Add(batch);
        begins.Release();
        await batch.End.Task;
        batch.Ended.SetResult();
    }

    /// <summary>Ends a batch and waits until the next one has begun.</summary>
    private async Task EndAsync(int batch)
    {
        begun[batch].End.SetResult();
        await BeginsAsync(batch + 1);
    }

    private async Task BeginsAsync(int batch)
    {
        while (begun.Count <= batch)
        {
            Assert.That(await begins.WaitAsync(TimeSpan.FromSeconds(5)), Is.True, "the next batch begins");
        }
    }

    private sealed record Batch(int[] Items, TaskCompletionSource End, TaskCompletionSource Ended);
}
