using OtpAuthService.Storage;

namespace OtpAuthService.Tests.Storage;

[TestFixture]
public class StoreErrorsTests
{
    /// <summary>Seen under load: a connection broke at its deadline, and what came out was the transaction's complaint about that.</summary>
    [Test]
    public void IsOutage_TransactionOfABrokenConnection_IsWhatBrokeIt()
    {
        var broke = new OperationCanceledException("Query was cancelled", new TimeoutException());

        Assert.That(StoreErrors.IsOutage(new ObjectDisposedException("NpgsqlTransaction", broke)), Is.True);
        Assert.That(StoreErrors.IsTimeout(new ObjectDisposedException("NpgsqlTransaction", broke)), Is.True);
        Assert.That(StoreErrors.IsOutage(new ObjectDisposedException("something of ours")), Is.False);
    }
}
