using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text;
using OtpCtl.Commands.Completion;
using OtpCtl.Commands.Demo;
using OtpCtl.Commands.Doctor;
using OtpCtl.Commands.Migrate;
using Audit = OtpCtl.Commands.Audit;
using Binding = OtpCtl.Commands.Binding;
using Bypass = OtpCtl.Commands.Bypass;
using Caller = OtpCtl.Commands.Caller;
using Credential = OtpCtl.Commands.Credential;
using Event = OtpCtl.Commands.Event;
using Export = OtpCtl.Commands.Export;
using Fence = OtpCtl.Commands.Fence;
using Institution = OtpCtl.Commands.Institution;
using Key = OtpCtl.Commands.Key;
using Supplier = OtpCtl.Commands.Supplier;

namespace OtpCtl;

/// <summary>The map of the program: nouns, verbs and what all of them share.</summary>
internal static class Program
{
    private static async Task<int> Main(string[] args)
    {
        Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        ResultPipe.WatchReader();
        // No response files: an OTP or an ID that starts with '@' is not a file to read.
        var parsed = Commands().Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Action is ParseErrorAction)
        {
            return ReportUsage(parsed);
        }

        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (IOException e) when (e.IsWithoutReader())
        {
            return ExitCode.Success;
        }
    }

    /// <summary>All of them, as they are parsed.</summary>
    internal static RootCommand Commands()
    {
        var root = new RootCommand("Operates OtpAuthService: one-time passwords of a bank's contractors.")
        {
            new Command("credential", "OTP generators: issue, import, show.")
            {
                Credential.IssueCommand.Create(),
                Credential.ImportCommand.Create(),
                Credential.ShowCommand.Create(),
            },
            new Command("supplier", "Who makes credentials, and until when they are taken: list, set.")
            {
                Supplier.ListCommand.Create(),
                Supplier.SetCommand.Create(),
            },
            new Command("export", "Credentials with their keys, handed out by two persons when the bank leaves: request, confirm, fetch.")
            {
                Export.RequestCommand.Create(),
                Export.ConfirmCommand.Create(),
                Export.FetchCommand.Create(),
            },
            new Command("institution", "The bank and its policy: show, set.")
            {
                Institution.ShowCommand.Create(),
                Institution.SetCommand.Create(),
            },
            new Command("bypass", "Answers without an OTP for the mobile-IB gateway: stop, resume.")
            {
                Bypass.StopCommand.Create(),
                Bypass.ResumeCommand.Create(),
            },
            new Command("binding", "Which contractor uses which credential: register, verify, suspend, replace, resynchronize, report-lost, open-reregistration, issue-temporary-otp, confirm-temporary-otp, unlock, stop, resume, check-otp, bypass, show, explain.")
            {
                Binding.RegisterCommand.Create(),
                Binding.VerifyCommand.Create(),
                Binding.SuspendCommand.Create(),
                Binding.ReplaceCommand.Create(),
                Binding.ResynchronizeCommand.Create(),
                Binding.ReportLostCommand.Create(),
                Binding.OpenReregistrationCommand.Create(),
                Binding.IssueTemporaryOtpCommand.Create(),
                Binding.ConfirmTemporaryOtpCommand.Create(),
                Binding.UnlockCommand.Create(),
                Binding.StopCommand.Create(),
                Binding.ResumeCommand.Create(),
                Binding.CheckOtpCommand.Create(),
                Binding.BypassCommand.Create(),
                Binding.ShowCommand.Create(),
                Binding.ExplainCommand.Create(),
            },
            new Command("key", "The keys that wrap credential keys: rotate, status.")
            {
                Key.RotateCommand.Create(),
                Key.StatusCommand.Create(),
            },
            new Command("fence", "Up to when OTPs are refused, after the database has lost commits: show, raise.")
            {
                Fence.ShowCommand.Create(),
                Fence.RaiseCommand.Create(),
            },
            new Command("audit", "What was decided and done, as it was written: query, verify.")
            {
                Audit.QueryCommand.Create(),
                Audit.VerifyCommand.Create(),
            },
            new Command("event", "What the bank tells its contractors of: stream, reapply.")
            {
                Event.StreamCommand.Create(),
                Event.ReapplyCommand.Create(),
            },
            new Command("caller", "Who may call the service, in the callers' file: list, check, add, remove.")
            {
                Caller.ListCommand.Create(),
                Caller.CheckCommand.Create(),
                Caller.AddCommand.Create(),
                Caller.RemoveCommand.Create(),
            },
            DoctorCommand.Create(),
            MigrateCommand.Create(),
            DemoCommand.Create(),
            CompletionCommand.Create(),
            GlobalOptions.Address,
            GlobalOptions.Certificate,
            GlobalOptions.Key,
            GlobalOptions.Trust,
            GlobalOptions.Institution,
            GlobalOptions.Json,
        };
        root.HelpName = "otpctl";
        var help = root.Options.OfType<HelpOption>().Single();
        // As on Windows: here they are paths, and stand in the way of completion.
        help.Aliases.Remove("/h");
        help.Aliases.Remove("/?");
        help.Action = new HelpWithExitCodes((HelpAction)help.Action!);
        return root;
    }

    private static int ReportUsage(ParseResult parsed)
    {
        var errors = parsed.InvocationConfiguration.Error;
        foreach (var error in parsed.Errors)
        {
            errors.WriteLine($"otpctl: {error.Message}");
        }

        errors.WriteLine("Add --help to see what is expected.");
        return ExitCode.Usage;
    }
}
