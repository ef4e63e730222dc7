using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.V1;

namespace OtpCtl;

/// <summary>What is there now, for dry runs; null where there is nothing.</summary>
internal static class Now
{
    /// <summary>Of what is made anew.</summary>
    public static Task<IMessage?> NothingAsync() => Task.FromResult<IMessage?>(null);

    /// <summary>Of what the service tells nobody: who has ordered which export.</summary>
    public static Task<IMessage?> NotToldAsync() => Task.FromResult<IMessage?>(new Empty());

    public static Task<IMessage?> InstitutionAsync(ServiceCall call) => ReadAsync(
        call.Service.Operations.GetInstitutionAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation));

    public static Task<IMessage?> BindingAsync(ServiceCall call, string contractor) => ReadAsync(
        call.Service.Operations.GetBindingAsync(new() { InstitutionId = call.Institution, ContractorId = contractor }, cancellationToken: call.Cancellation));

    public static Task<IMessage?> KeysAsync(ServiceCall call) => ReadAsync(
        call.Service.Operations.GetKeyStatusAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation));

    public static Task<IMessage?> FenceAsync(ServiceCall call) => ReadAsync(
        call.Service.Operations.GetFenceAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation));

    /// <summary>For what front ends may call too, who are not shown bindings.</summary>
    public static Task<IMessage?> RequirementAsync(ServiceCall call, string contractor, Channel channel) => ReadAsync(
        call.Service.OtpAuth.GetRequirementAsync(
            new() { InstitutionId = call.Institution, ContractorId = contractor, Channel = channel }, cancellationToken: call.Cancellation));

    private static async Task<IMessage?> ReadAsync<T>(AsyncUnaryCall<T> reading)
        where T : class, IMessage
    {
        using (reading)
        {
            try
            {
                return await reading;
            }
            catch (RpcException missing) when (missing.StatusCode == StatusCode.NotFound)
            {
                return null;
            }
        }
    }
}
