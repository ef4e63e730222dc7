using Grpc.Core;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Calls about keys as an operator makes them.</summary>
internal static class KeyCalls
{
    public static AsyncUnaryCall<RotateKeysResponse> RotateAsync(this OtpOperations.OtpOperationsClient operations, KeyKind kind, string? requestId = null) =>
        operations.RotateKeysAsync(new RotateKeysRequest
        {
            RequestId = requestId ?? Calls.NewRequestId(), InstitutionId = "demo", Kind = kind, Reason = "yearly", OperatorId = "op-1",
        });

    public static async Task<GetKeyStatusResponse> KeyStatusAsync(this OtpOperations.OtpOperationsClient operations) =>
        await operations.GetKeyStatusAsync(new GetKeyStatusRequest { InstitutionId = "demo" });
}
