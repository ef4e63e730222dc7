using Google.Protobuf;
using OtpAuthService.Bench.Populations;
using OtpAuthService.V1;

namespace OtpAuthService.Bench.Workloads;

/// <summary>One Verify again and again, for a server that does not look at it.</summary>
internal sealed class NoOpCalls : IWorkload
{
    private static readonly byte[] Request = new VerifyRequest
    {
        RequestId = new string('0', RequestIds.Length),
        InstitutionId = Population.Institution,
        ContractorId = Population.ContractorId(0),
        Channel = Channel.PcBrowser,
        Purpose = Purpose.Login,
        Otp = "000000",
    }.ToByteArray();

    private static readonly byte[] Answer = new VerifyResponse { Outcome = Outcome.Accepted, Decision = Decision.Allow }.ToByteArray();

    public Task PrepareAsync(TimeSpan duration) => Task.CompletedTask;

    public Call Next(Span<byte> message)
    {
        Request.CopyTo(message);
        return new(Request.Length);
    }

    public string? FindFault(Call call, ReadOnlySpan<byte> answer) => answer.SequenceEqual(Answer) ? null : "A no-op was answered with something else.";

    public void Release()
    {
    }
}
