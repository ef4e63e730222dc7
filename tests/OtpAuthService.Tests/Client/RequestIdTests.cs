using OtpAuthService.Client;

namespace OtpAuthService.Tests;

public sealed class RequestIdTests
{
    [Test]
    public void New_ManyTimes_GivesDistinctIdsThatTheContractTakes()
    {
        var ids = Enumerable.Range(0, 10_000).Select(_ => RequestId.New()).ToList();

        Assert.That(ids, Is.All.Match(@"\A[A-Za-z0-9_-]{22}\z"));
        Assert.That(ids, Is.Unique);
    }
}
