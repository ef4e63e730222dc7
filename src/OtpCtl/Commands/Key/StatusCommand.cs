using System.CommandLine;
using System.Runtime.CompilerServices;
using OtpAuthService.V1;
using Spectre.Console;

namespace OtpCtl.Commands.Key;

internal static class StatusCommand
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private static readonly Option<bool> Watch = new("--watch")
    {
        Description = "Ask each second until nothing is left to wrap anew: a progress bar on a terminal, otherwise one line per change; "
            + "with --json one document per answer.",
    };

    public static Command Create()
    {
        var command = new Command("status", "Shows the data keys with the KEK versions that wrap them, and how far a rotation is.") { Watch };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => StatusAsync(parsed, call), cancellation));
        return command.WithExample("otpctl key status --watch");
    }

    private static async Task<int> StatusAsync(ParseResult parsed, ServiceCall call)
    {
        if (!parsed.GetValue(Watch))
        {
            Show(parsed, await AskAsync(call));
        }
        else if (parsed.GetValue(GlobalOptions.Json))
        {
            await foreach (var status in UntilDoneAsync(call, call.Cancellation))
            {
                AnswerOutput.Write(parsed, status);
            }
        }
        else if (AnswerOutput.IsForPeople(parsed))
        {
            Show(parsed, await DrawAsync(call));
        }
        else
        {
            await PrintChangesAsync(parsed.InvocationConfiguration.Output, call);
        }

        return ExitCode.Success;
    }

    private static void Show(ParseResult parsed, GetKeyStatusResponse status)
    {
        AnswerOutput.Write(parsed, status);
        if (AnswerOutput.IsForPeople(parsed))
        {
            parsed.InvocationConfiguration.Output.WriteLine(Progress(status));
        }
    }

    private static async Task<GetKeyStatusResponse> AskAsync(ServiceCall call) =>
        await call.Service.Operations.GetKeyStatusAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation);

    // The last status is the one that says that it is done.
    private static async IAsyncEnumerable<GetKeyStatusResponse> UntilDoneAsync(ServiceCall call, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(PollInterval, TimeProvider.System);
        var status = await AskAsync(call);
        yield return status;
        while (status.ToRewrap > 0)
        {
            await timer.WaitForNextTickAsync(cancellation);
            status = await AskAsync(call);
            yield return status;
        }
    }

    private static async Task PrintChangesAsync(TextWriter output, ServiceCall call)
    {
        var printed = "";
        await foreach (var status in UntilDoneAsync(call, call.Cancellation))
        {
            var line = Progress(status);
            if (line != printed)
            {
                output.WriteLine(line);
                printed = line;
            }
        }
    }

    private static async Task<GetKeyStatusResponse> DrawAsync(ServiceCall call)
    {
        var last = new GetKeyStatusResponse();
        await AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(async progress =>
            {
                var bar = progress.AddTask("credentials");
                await foreach (var status in UntilDoneAsync(call, call.Cancellation))
                {
                    // New credentials come in meanwhile; without any, a bar of nothing is a full one.
                    bar.MaxValue = Math.Max(1, status.Credentials);
                    bar.Value = bar.MaxValue - status.ToRewrap;
                    last = status;
                }
            });
        return last;
    }

    private static string Progress(GetKeyStatusResponse status) => FormattableString.Invariant(
        $"{status.Credentials - status.ToRewrap} of {status.Credentials} credentials are wrapped under the newest data key.");
}
