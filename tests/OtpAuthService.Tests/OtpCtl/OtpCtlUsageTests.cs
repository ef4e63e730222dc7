using System.Net;
using System.Net.Sockets;
using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Tests;

public sealed class OtpCtlUsageTests
{
    [TestCase("")]
    [TestCase("credential")]
    [TestCase("token issue")]
    [TestCase("credential issue --digits 7")]
    [TestCase("credential issue --period 45")]
    [TestCase("credential issue --algorithm md5")]
    [TestCase("credential import")]
    [TestCase("credential import /no/such/file")]
    [TestCase("binding verify")]
    [TestCase("binding verify --contractor a --otp 123456")]
    [TestCase("binding verify --contractor a --otp-file /no/such/file")]
    [TestCase("binding verify --contractor a --channel fax")]
    [TestCase("binding verify --contractor a")]
    [TestCase("binding register --contractor a --apply")]
    [TestCase("credential issue --png .")]
    [TestCase("credential issue --png a.qr --svg ./a.qr")]
    [TestCase("binding unlock --contractor a")]
    [TestCase("binding unlock --reason test")]
    [TestCase("binding stop --contractor a")]
    [TestCase("binding resume --contractor a")]
    [TestCase("binding open-reregistration --contractor a")]
    [TestCase("binding open-reregistration --contractor a --valid-for soon --reason test")]
    [TestCase("binding open-reregistration --contractor a --valid-for 24 --reason test")]
    [TestCase("binding open-reregistration --contractor a --valid-for -24h --reason test")]
    [TestCase("binding open-reregistration --contractor a --valid-for ２４h --reason test")]
    [TestCase("binding issue-temporary-otp --contractor a --uses 0 --reason test")]
    [TestCase("binding issue-temporary-otp --contractor a --uses 6 --reason test")]
    [TestCase("binding issue-temporary-otp --contractor a --valid-for 999999999w --reason test")]
    [TestCase("binding confirm-temporary-otp --contractor a")]
    [TestCase("binding check-otp --contractor a")]
    [TestCase("binding check-otp --contractor a --reason test")]
    [TestCase("binding check-otp --contractor a --reason test --otp 123456")]
    [TestCase("binding replace --contractor a --apply")]
    [TestCase("binding replace --contractor a --credential b --apply")]
    [TestCase("binding replace --contractor a --credential b --apply --otp-file /no/such/file")]
    [TestCase("binding resynchronize --contractor a --apply")]
    [TestCase("supplier set --name a --reason test")]
    [TestCase("supplier set --name a --verify-until 2027-04-01")]
    [TestCase("supplier set --verify-until 2027-04-01 --reason test")]
    [TestCase("supplier set --name a --verify-until 90d --reason test")]
    [TestCase("supplier set --name a --no-registration-from none --reason test")]
    [TestCase("export request --reason test")]
    [TestCase("export request --scope all --reason test")]
    [TestCase("export request --scope registered")]
    [TestCase("export confirm --reason test")]
    [TestCase("export confirm --id a")]
    [TestCase("export fetch --file a.pskc --password-stdin")]
    [TestCase("export fetch --id a --password-stdin")]
    [TestCase("export fetch --id a --file a.pskc")]
    [TestCase("export fetch --id a --file a.pskc --key-stdin --password-stdin")]
    [TestCase("export fetch --id a --file . --password-stdin")]
    [TestCase("export fetch --id a --file a.pskc --password-stdin --apply")]
    [TestCase("export fetch --id a --file /no/such/folder/a.pskc --password-stdin --apply")]
    [TestCase("caller list")]
    [TestCase("caller list --file /no/such/file")]
    [TestCase("caller add --file a --id b --pem /no/such/file --roles Operator --institutions demo")]
    [TestCase("caller add --file a --id b --roles Operator --institutions demo")]
    [TestCase("caller remove --file a")]
    [TestCase("completion")]
    [TestCase("completion powershell")]
    [TestCase("migrate")]
    [TestCase("doctor --certificate /no/such/file --address https://localhost")]
    [TestCase("key rotate --reason test")]
    [TestCase("key rotate --kind data-key")]
    [TestCase("key rotate --kind pin --reason test")]
    [TestCase("audit query --since yesterday")]
    [TestCase("audit query --until 2026-02-30")]
    [TestCase("audit query --since 24x")]
    [TestCase("audit query --outcome right")]
    [TestCase("audit query --limit 0")]
    [TestCase("audit query --limit many")]
    [TestCase("audit query --csv --json")]
    [TestCase("audit verify --heads /no/such/file")]
    [TestCase("institution set --audit-contractor-ids none --reason test")]
    [TestCase("--address otp.example:5080 demo")]
    [TestCase("--address http://otp.example:5080 demo")]
    [TestCase("--trust /no/such/file --address https://localhost demo")]
    [TestCase("--certificate /no/such/file --address https://localhost demo")]
    [TestCase("--key /no/such/file --address https://localhost demo")]
    [TestCase("--certificate")]
    public async Task CommandLine_Wrong_Exits2AndSendsNothing(string command)
    {
        var result = await OtpCtlProcess.RunAsync(command.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(2));
            Assert.That(result.Output, Is.Empty);
            Assert.That(result.Errors, Does.StartWith("otpctl: ").And.Not.Contains("   at "));
        }
    }

    [Test]
    public async Task Resynchronize_WithOneOtp_Exits2AndSendsNothing()
    {
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, "123456\n");
        string[] command = ["binding", "resynchronize", "--contractor", "K-1", "--apply"];

        var fromStdin = await OtpCtlProcess.RunAsync("123456\n", command);
        var fromFile = await OtpCtlProcess.RunAsync([.. command, "--otp-file", file]);

        File.Delete(file);
        Assert.That((fromStdin.ExitCode, fromStdin.Errors), Is.EqualTo((2, "otpctl: no OTP shown next was given.\n")));
        Assert.That((fromFile.ExitCode, fromFile.Errors), Is.EqualTo((2, $"otpctl: '{Path.GetFileName(file)}' does not have two lines.\n")));
    }

    [Test]
    public async Task Import_KeyTwice_Exits2()
    {
        var file = Path.GetTempFileName();

        var result = await OtpCtlProcess.RunAsync("credential", "import", file, "--key-file", file, "--key-stdin");

        File.Delete(file);
        Assert.That(result.Errors, Does.Contain("exclude each other"));
        Assert.That(result.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public async Task Verify_FileWithoutAHead_Exits2AndSendsNothing()
    {
        var file = Path.GetTempFileName();

        var result = await OtpCtlProcess.RunAsync("audit", "verify", "--heads", file, "--address", $"http://127.0.0.1:{Loopback.FreePort()}");

        File.Delete(file);
        Assert.That((result.ExitCode, result.Errors), Is.EqualTo((2, $"otpctl: there is no head in {Path.GetFileName(file)}.\n")));
    }

    [Test]
    public async Task Help_WhoseReaderLeaves_EndsQuietly()
    {
        var result = await OtpCtlProcess.ReadOneLineAsync("--help");

        Assert.That((result.ExitCode, result.Errors), Is.EqualTo((0, "")));
    }

    [Test]
    public async Task Call_NobodyListens_Exits4AndSaysThatNothingWasSent()
    {
        var result = await OtpCtlProcess.RunAsync(
            "123456\n", ["binding", "verify", "--contractor", "K-1", "--address", $"http://127.0.0.1:{Loopback.FreePort()}", "--request-id", "0123456789abcdef"]);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(4));
            Assert.That(result.Output, Is.Empty);
            Assert.That(result.Errors, Does.StartWith("otpctl: no result from the service at http://127.0.0.1:").And.Contains("UNAVAILABLE: Connection refused\n")
                .And.EndsWith("\nNo connection was made: nothing was sent.\n")
                .And.Not.Contains("unknown").And.Not.Contains("   at ").And.Not.Contains("123456\n"));
        }
    }

    [TestCase("binding verify --contractor K-1 --request-id 0123456789abcdef", "The outcome is unknown.", "--request-id 0123456789abcdef")]
    [TestCase("key rotate --kind data-key --reason test --apply --request-id 0123456789abcdef", "The outcome is unknown.", "--request-id 0123456789abcdef")]
    [TestCase("key rotate --kind data-key --reason test --request-id 0123456789abcdef", "no result from the service", "")]
    [TestCase("binding show --contractor K-1", "no result from the service", "")]
    public async Task Call_ConnectionThatBreaks_SaysThatTheOutcomeIsUnknownOnlyWhereThereIsOne(string command, string sentence, string hint)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stop = new CancellationTokenSource();
        var hangingUp = HangUpAsync(listener, stop.Token);

        var result = await OtpCtlProcess.RunAsync("123456\n", [.. command.Split(' '), "--address", $"http://{listener.LocalEndpoint}"]);

        await stop.CancelAsync();
        Assert.That(await hangingUp, Is.Positive);
        Assert.That(result.ExitCode, Is.EqualTo(4));
        Assert.That(result.Errors, Does.Contain(sentence).And.Contains(hint));
        Assert.That(result.Errors.Contains("unknown", StringComparison.Ordinal), Is.EqualTo(hint.Length > 0), result.Errors);
    }

    // Reads something first: what was sent may have been acted upon.
    private static async Task<int> HangUpAsync(TcpListener listener, CancellationToken stop)
    {
        var connections = 0;
        try
        {
            while (true)
            {
                using var accepted = await listener.AcceptTcpClientAsync(stop);
                connections++;
                await accepted.GetStream().ReadAtLeastAsync(new byte[1], 1, cancellationToken: stop);
            }
        }
        catch (OperationCanceledException)
        {
            return connections;
        }
    }
}
