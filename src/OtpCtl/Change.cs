using System.CommandLine;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.Services;
using OtpAuthService.V1;

namespace OtpCtl;

/// <summary>What every command that changes something at the service does: it is a dry run until <see cref="ApplyOption"/>.</summary>
internal static class Change
{
    /// <param name="parsed">The command line.</param>
    /// <param name="request">What is sent. Without secrets: they are asked for by <paramref name="apply"/>, and not for a dry run.</param>
    /// <param name="readNow">What is there now, see <see cref="Now"/>.</param>
    /// <param name="apply">Sends it.</param>
    /// <param name="conclude">After the answer was printed: what the program exits with. Default: 0.</param>
    public static async Task<int> RunAsync<TAnswer>(
        ParseResult parsed, IMessage request, Func<Task<IMessage?>> readNow, Func<Task<TAnswer>> apply, Func<TAnswer, int>? conclude = null)
        where TAnswer : IMessage
    {
        if (!parsed.GetValue(ApplyOption.Option))
        {
            return await DryRunAsync(parsed, request, readNow);
        }

        var answer = await apply();
        AnswerOutput.WriteApplied(parsed, answer);
        return conclude?.Invoke(answer) ?? ExitCode.Success;
    }

    /// <summary>Without <see cref="ApplyOption"/>: nothing is sent but what asks for what is there.</summary>
    public static async Task<int> DryRunAsync(ParseResult parsed, IMessage request, Func<Task<IMessage?>> readNow)
    {
        Check(request);
        AnswerOutput.WriteDryRun(parsed, request, await readNow());
        WriteLastLine(parsed);
        return ExitCode.Success;
    }

    /// <summary>The end of every dry run. On stderr and in every form of output: whoever believes that it was done has to see it.</summary>
    public static void WriteLastLine(ParseResult parsed) =>
        parsed.InvocationConfiguration.Error.WriteLine("otpctl: dry run, nothing was changed. Add --apply to do it.");

    /// <summary>By the service's own rules, which it would refuse the request by.</summary>
    /// <exception cref="Grpc.Core.RpcException">INVALID_ARGUMENT, as the service answers it.</exception>
    private static void Check(IMessage request)
    {
        var read = new RequestReader();
        foreach (var field in request.Descriptor.Fields.InDeclarationOrder())
        {
            var value = field.Accessor.GetValue(request);
            _ = field.Name switch
            {
                "request_id" => read.RequestId((string)value),
                "institution_id" => read.Institution((string)value),
                "contractor_id" => read.Contractor((string)value),
                "credential_id" or "new_credential_id" => read.Credential((string)value, field.Name),
                "display_name" => read.DisplayName((string)value),
                "policy" => read.Policy((InstitutionPolicy)value),
                "reason" => read.Reason((string)value),
                "operator_id" => read.Operator((string)value),
                "export_id" => read.ExportId((string)value),
                "valid_for" when request is OpenReregistrationRequest => read.ReregistrationTime((Duration?)value),
                "valid_for" when request is IssueTemporaryOtpRequest => read.TemporaryOtpTime((Duration?)value),
                "supplier" when request is SetSupplierRequest => read.Supplier((Supplier?)value),
                "supplier" => read.SupplierName((string)value),
                _ => (object?)null,
            };
        }

        read.ThrowIfInvalid();
    }
}
