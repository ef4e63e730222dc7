using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace OtpCtl.Commands.Demo;

internal static class DemoCommand
{
    // Japanese terms stay readable in the document.
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static Command Create()
    {
        var command = new Command("demo", "Walks through a contractor's life with OTPs, from 利用登録 to 利用停止 and another credential, and checks each answer.");
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => WalkAsync(parsed, call), cancellation));
        return command.WithExample("otpctl demo");
    }

    private static async Task<int> WalkAsync(ParseResult parsed, ServiceCall call)
    {
        var journey = new Journey(call, parsed.InvocationConfiguration.Error, TimeProvider.System);
        var forPrograms = parsed.GetValue(GlobalOptions.Json);
        var screen = AnswerOutput.Screen(parsed.InvocationConfiguration.Output);
        var steps = new List<DemoStep>();
        if (!forPrograms)
        {
            screen.MarkupLineInterpolated(
                $"Contractor [bold]{journey.ContractorId}[/] of institution {call.Institution}; T is the current time step.");
        }

        await foreach (var step in journey.StepsAsync())
        {
            steps.Add(step);
            if (!forPrograms)
            {
                Print(screen, steps.Count, step);
            }

            if (step.Surprise is not null)
            {
                break;
            }
        }

        if (forPrograms)
        {
            parsed.InvocationConfiguration.Output.WriteLine(AsJson(journey, steps));
        }

        return Conclude(parsed, steps);
    }

    private static void Print(IAnsiConsole screen, int number, DemoStep step)
    {
        var words = step.Answer.Words().Select(AnswerText.Coloured);
        screen.WriteLine();
        screen.MarkupLineInterpolated($"{number,2}. [bold]{step.Act}[/] ({step.Term})");
        screen.MarkupLineInterpolated($"    {step.Call}");
        screen.MarkupLine($"    → {string.Join(", ", words)}");
    }

    private static int Conclude(ParseResult parsed, List<DemoStep> steps)
    {
        if (steps[^1].Surprise is not { } surprise)
        {
            parsed.InvocationConfiguration.Error.WriteLine($"{steps.Count} steps, each answered as expected.");
            return ExitCode.Success;
        }

        parsed.InvocationConfiguration.Error.WriteLine($"otpctl: step {steps.Count} ({steps[^1].Act}): {surprise}.");
        return ExitCode.Denied;
    }

    private static string AsJson(Journey journey, List<DemoStep> steps) => JsonSerializer.Serialize(
        new
        {
            journey.ContractorId,
            Steps = steps.Select(step => new
            {
                step.Act,
                step.Term,
                step.Call,
                Outcome = AnswerText.WireName(step.Answer.Outcome),
                Decision = AnswerText.WireName(step.Answer.Decision),
                step.Answer.AttemptsLeft,
                step.Answer.Repeated,
                step.Surprise,
            }),
        },
        Json);
}
