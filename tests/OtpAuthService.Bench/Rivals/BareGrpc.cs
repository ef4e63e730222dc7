using Grpc.Core;

namespace OtpAuthService.Bench.Rivals;

/// <summary>gRPC and nothing else.</summary>
internal sealed class BareGrpc : Rival.RivalBase
{
    private static readonly Task<NoOpResponse> Nothing = Task.FromResult(new NoOpResponse());

    public override Task<NoOpResponse> NoOp(NoOpRequest request, ServerCallContext context) => Nothing;
}
