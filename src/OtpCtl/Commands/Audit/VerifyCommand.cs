using System.CommandLine;
using Google.Protobuf;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Audit;

/// <summary>Has all chains and heads checked, call by call, until nothing is left or something is wrong.</summary>
internal static class VerifyCommand
{
    // Not the 3 s of other calls: each looks at as much as it can in a few seconds.
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private static readonly Option<FileInfo> Heads = new Option<FileInfo>("--heads")
    {
        Description = "A file of the heads that were shipped off the database, one JSON object per line with its number and hash: the newest one has to be "
            + "in the database. Without it, a rollback of the whole database goes unseen.",
        HelpName = "file",
    }.AcceptExistingOnly();

    public static Command Create()
    {
        var command = new Command("verify", "Checks that the audit records and their heads are as they were written, of all institutions.") { Heads };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => VerifyAsync(parsed, call), cancellation));
        return command.WithExample("otpctl audit verify --heads heads.jsonl");
    }

    private static async Task<int> VerifyAsync(ParseResult parsed, ServiceCall call)
    {
        var request = await FirstRequestAsync(parsed, call);
        var total = new VerifyAuditResponse();
        bool goOn;
        do
        {
            var answer = await call.Service.Operations.VerifyAuditAsync(
                request, deadline: (TimeProvider.System.GetUtcNow() + Deadline).UtcDateTime, cancellationToken: call.Cancellation);
            total.Records += answer.Records;
            total.Heads += answer.Heads;
            total.Finding = answer.Finding;
            (request.ChainId, request.Position) = (answer.NextChainId, answer.NextPosition);
            goOn = answer.Finding is null && (answer.NextChainId, answer.NextPosition) != (0, 0);
            ShowProgress(parsed, total, goOn);
        }
        while (goOn);

        if (parsed.GetValue(GlobalOptions.Json))
        {
            AnswerOutput.Write(parsed, total);
        }
        else
        {
            parsed.InvocationConfiguration.Output.WriteLine(Sentence(total));
        }

        return total.Finding is null ? ExitCode.Success : ExitCode.NotAsWritten;
    }

    private static async Task<VerifyAuditRequest> FirstRequestAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new VerifyAuditRequest { InstitutionId = call.Institution };
        var errors = parsed.InvocationConfiguration.Error;
        if (parsed.GetValue(Heads) is not { } file)
        {
            errors.WriteLine("otpctl: without --heads, a rollback of the whole database goes unseen.");
            return request;
        }

        var newest = await ShippedHead.ReadNewestAsync(file, errors, call.Cancellation);
        (request.ShippedHeadNumber, request.ShippedHeadHash) = (newest.Number, UnsafeByteOperations.UnsafeWrap(newest.Hash));
        return request;
    }

    // One line that is written over and wiped at the end; for logs and pipes, none.
    private static void ShowProgress(ParseResult parsed, VerifyAuditResponse total, bool goOn)
    {
        if (!Console.IsErrorRedirected)
        {
            var line = FormattableString.Invariant($"{total.Records} records, {total.Heads} heads …");
            parsed.InvocationConfiguration.Error.Write(goOn ? $"\r{line}" : $"\r{new string(' ', line.Length)}\r");
        }
    }

    private static string Sentence(VerifyAuditResponse total)
    {
        if (total.Finding is not { } finding)
        {
            return FormattableString.Invariant($"{total.Records} records and {total.Heads} heads are as they were written.");
        }

        var place = finding.HeadNumber != 0
            ? FormattableString.Invariant($"head {finding.HeadNumber}")
            : FormattableString.Invariant($"chain {finding.ChainId}, position {finding.Position}");
        return $"{AnswerText.Text(finding.Kind)}, {place}: {finding.Detail.TrimEnd('.')}.";
    }
}
