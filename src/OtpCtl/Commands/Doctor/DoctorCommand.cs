using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Doctor;

/// <summary>What the service sees from where it runs, and what only a client sees.</summary>
internal static class DoctorCommand
{
    // Not the 3 s of other calls: the service waits for what hangs.
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(9);

    public static Command Create()
    {
        var command = new Command(
            "doctor", "Looks at the service, its clock, database, Redis, KEK, certificates and callers, and at the way there; says what to do. Changes nothing.");
        command.SetAction((parsed, cancellation) => Failures.ReportAsync(parsed, () => LookAsync(parsed, cancellation)));
        return command.WithExample("otpctl doctor || echo \"exit code $?: 6 is a fault\"");
    }

    private static async Task<int> LookAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var own = ClientCheck.OfCertificate(parsed).ToList();
        if (own.Exists(diagnosis => diagnosis.State == DiagnosisState.Fault))
        {
            // No connection is made with such a certificate.
            return DiagnosisOutput.Show(parsed, new DiagnoseResponse { Diagnoses = { own } });
        }

        return await ServiceCall.RunAsync(
            parsed,
            async call =>
            {
                var answer = await AskAsync(parsed, call);
                answer.Diagnoses.AddRange(own);
                return DiagnosisOutput.Show(parsed, answer);
            },
            cancellation);
    }

    private static async Task<DiagnoseResponse> AskAsync(ParseResult parsed, ServiceCall call)
    {
        var before = TimeProvider.System.GetUtcNow();
        try
        {
            var answer = await call.Service.Operations.DiagnoseAsync(
                new() { InstitutionId = call.Institution }, deadline: (before + Deadline).UtcDateTime, cancellationToken: call.Cancellation);
            answer.Diagnoses.AddRange([ClientCheck.OfAddress(parsed), ClientCheck.OfClock(before, TimeProvider.System.GetUtcNow(), answer.LookedAt.ToDateTimeOffset())]);
            return answer;
        }
        catch (RpcException e) when (!e.IsRefusal() && !call.Cancellation.IsCancellationRequested)
        {
            return new DiagnoseResponse { Diagnoses = { ClientCheck.OfAddress(parsed, e, call.Service.HasConnected) }, LookedAt = before.ToTimestamp() };
        }
    }
}
