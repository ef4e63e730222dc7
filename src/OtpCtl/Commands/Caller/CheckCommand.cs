using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.Callers;
using OtpAuthService.Diagnoses;
using OtpAuthService.Services;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Caller;

/// <summary>Before the file goes to where the service reads it, and from time to time: callers and grants end by themselves.</summary>
internal static class CheckCommand
{
    public static Command Create()
    {
        var command = new Command("check", "Checks the callers' file by the rules of the service, and says which callers and bypass grants end within 14 days.")
        {
            CallersFile.Option,
        };
        command.SetAction((parsed, cancellation) => Failures.ReportAsync(parsed, () => CheckAsync(parsed, cancellation)));
        return command.WithExample("otpctl caller check --file callers.json");
    }

    private static async Task<int> CheckAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var path = CallersFile.PathOf(parsed);
        var content = await File.ReadAllBytesAsync(path, cancellation);
        var now = TimeProvider.System.GetUtcNow();
        return DiagnosisOutput.Show(
            parsed, new DiagnoseResponse { Diagnoses = { Look(path, content, now).Select(finding => finding.ToWire()) }, LookedAt = now.ToTimestamp() });
    }

    private static IEnumerable<Finding> Look(string path, byte[] content, DateTimeOffset now)
    {
        try
        {
            var callers = CallerRegistry.Read(content).All.OrderBy(caller => caller.Id, StringComparer.Ordinal).ToList();
            return
            [
                .. callers.SelectMany(caller => CallerCheck.FindEnding(caller, caller.Institutions, now)),
                Finding.Ok("callers", $"The service takes {path}: {callers.Count} callers."),
            ];
        }
        catch (InvalidDataException broken)
        {
            return [Finding.Fault("callers", $"The service would not take {path}: {broken.Message}", "Put it right; until then what the service read before stays in force.")];
        }
    }
}
