using System.Security.Cryptography;
using OtpAuthService.Client;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Demo;

/// <summary>A contractor's life with OTPs, from 利用登録 to 利用停止 and another credential, as steps against a running service.</summary>
/// <remarks>
/// Nobody waits 30 s for the next OTP: the acceptance window reaches one time step back and one ahead, and accepted steps have to
/// increase. So the first credential registers with step T-1, logs in with T and is suspended with T+1.
/// </remarks>
internal sealed class Journey(ServiceCall call, TextWriter notes, TimeProvider time)
{
    // Register's OTP leaves the acceptance window when the current time step ends.
    private static readonly TimeSpan TimeToRegister = TimeSpan.FromSeconds(6);

    /// <summary>New in each run, so that the journey can be repeated.</summary>
    public string ContractorId { get; } = $"demo-{RandomNumberGenerator.GetHexString(8, lowercase: true)}";

    /// <summary>Takes the steps one by one; nothing is sent after the step at which the reader stops.</summary>
    public async IAsyncEnumerable<DemoStep> StepsAsync()
    {
        var first = await IssueAsync();
        yield return Issued(first);
        yield return await RequirementAsync("Ask whether a login needs an OTP", Requirement.NotRegistered);

        var shown = new OtpGenerator(first.OtpauthUri);
        var t = await CurrentTimeStepAsync(shown.PeriodSeconds);
        yield return await RegisterAsync("Register the credential", first.CredentialId, shown.OtpAt(t - 1), "OTP of T-1");
        yield return await RequirementAsync("Ask again", Requirement.Required);

        var login = Login(shown.OtpAt(t));
        yield return await VerifyAsync("Log in", login, "OTP of T", Outcome.Accepted, Decision.Allow);
        yield return await VerifyAsync("Log in with the same OTP", Login(shown.OtpAt(t)), "OTP of T", Outcome.AlreadyUsed, Decision.Deny);
        yield return await VerifyAsync(
            "Deliver the first login again", login, "OTP of T, same request_id as the first", Outcome.Accepted, Decision.Allow, repeated: true);
        yield return await VerifyAsync(
            "Log in with the OTP of the registration", Login(shown.OtpAt(t - 1)), "OTP of T-1", Outcome.AlreadyUsed, Decision.Deny);
        yield return await VerifyAsync("Log in with a wrong OTP", Login(shown.WrongOtp(t)), "wrong OTP", Outcome.Mismatch, Decision.Deny);
        yield return await FeaturePhoneAsync();

        yield return await SuspendAsync(shown.OtpAt(t + 1));
        yield return await VerifyAsync("Log in after that", Login(shown.OtpAt(t + 1)), "OTP of T+1", Outcome.Suspended, decision: null);
        yield return await VerifyAsync(
            "Transfer after that", Request(shown.OtpAt(t + 1), Purpose.Transfer), "OTP of T+1", Outcome.Suspended, decision: null);

        var second = await IssueAsync();
        yield return Issued(second);
        shown = new OtpGenerator(second.OtpauthUri);
        t = await CurrentTimeStepAsync(shown.PeriodSeconds);
        yield return await RegisterAsync("Register the new credential", second.CredentialId, shown.OtpAt(t), "OTP of T");
        yield return await VerifyAsync(
            "Log in with the new credential", Login(shown.OtpAt(t + 1)), "OTP of T+1", Outcome.Accepted, Decision.Allow);
    }

    private Task<IssueCredentialResponse> IssueAsync() => call.Service.Operations.IssueCredentialAsync(
        new() { RequestId = RequestId.New(), InstitutionId = call.Institution }, cancellationToken: call.Cancellation).ResponseAsync;

    private static DemoStep Issued(IssueCredentialResponse answer) => new(
        $"Issue credential {answer.CredentialId}",
        "トークンID",
        "IssueCredential",
        new(null),
        answer.OtpauthUri.StartsWith("otpauth://totp/", StringComparison.Ordinal) ? null : "the key came in no otpauth URI");

    private async Task<DemoStep> RequirementAsync(string act, Requirement expected)
    {
        var answer = await call.Service.OtpAuth.GetRequirementAsync(
            new() { InstitutionId = call.Institution, ContractorId = ContractorId, Channel = Channel.PcBrowser },
            cancellationToken: call.Cancellation);
        return DemoStep.Judge(act, "ログイン", "GetRequirement", DemoAnswer.Of(answer), new(expected));
    }

    private async Task<DemoStep> RegisterAsync(string act, string credentialId, string otp, string otpInWords)
    {
        var answer = await call.Service.OtpAuth.RegisterAsync(
            new()
            {
                RequestId = RequestId.New(),
                InstitutionId = call.Institution,
                ContractorId = ContractorId,
                Channel = Channel.PcBrowser,
                CredentialId = credentialId,
                Otp = otp,
            },
            cancellationToken: call.Cancellation);
        return DemoStep.Judge(act, "利用登録", $"Register, {otpInWords}", DemoAnswer.Of(answer), new(Outcome.Accepted, Decision.Allow));
    }

    private VerifyRequest Login(string otp) => Request(otp, Purpose.Login);

    private VerifyRequest Request(string otp, Purpose purpose) => new()
    {
        RequestId = RequestId.New(),
        InstitutionId = call.Institution,
        ContractorId = ContractorId,
        Channel = Channel.PcBrowser,
        Purpose = purpose,
        Otp = otp,
    };

    private async Task<DemoStep> VerifyAsync(
        string act, VerifyRequest request, string otpInWords, Outcome outcome, Decision? decision, bool repeated = false)
    {
        var answer = await call.Service.OtpAuth.VerifyAsync(request, cancellationToken: call.Cancellation);
        var term = request.Purpose == Purpose.Login ? "ログイン" : "振込";
        return DemoStep.Judge(
            act, term, $"Verify {AnswerText.Text(request.Purpose)}, {otpInWords}", DemoAnswer.Of(answer), new(outcome, decision, repeated));
    }

    private async Task<DemoStep> FeaturePhoneAsync()
    {
        var request = Login(otp: "");
        request.Channel = Channel.FeaturePhone;
        var answer = await call.Service.OtpAuth.VerifyAsync(request, cancellationToken: call.Cancellation);
        return DemoStep.Judge(
            "Log in on a feature phone",
            "モバイルIB",
            "Verify LOGIN, CHANNEL_FEATURE_PHONE, no OTP",
            DemoAnswer.Of(answer),
            new(Outcome.Bypassed, Decision.Allow));
    }

    private async Task<DemoStep> SuspendAsync(string otp)
    {
        var answer = await call.Service.OtpAuth.SuspendAsync(
            new()
            {
                RequestId = RequestId.New(),
                InstitutionId = call.Institution,
                ContractorId = ContractorId,
                Channel = Channel.PcBrowser,
                Otp = otp,
            },
            cancellationToken: call.Cancellation);
        return DemoStep.Judge(
            "Stop using OTPs", "利用停止", "Suspend, OTP of T+1", DemoAnswer.Of(answer), new(Outcome.Accepted, Decision.Allow));
    }

    private async Task<long> CurrentTimeStepAsync(int periodSeconds)
    {
        var period = TimeSpan.FromSeconds(periodSeconds);
        var sinceEpoch = time.GetUtcNow() - DateTimeOffset.UnixEpoch;
        var left = period - TimeSpan.FromTicks(sinceEpoch.Ticks % period.Ticks);
        if (left >= TimeToRegister)
        {
            return sinceEpoch.Ticks / period.Ticks;
        }

        notes.WriteLine(FormattableString.Invariant($"Waiting {left.TotalSeconds:0.0} s: the current time step is nearly over."));
        await Task.Delay(left + TimeSpan.FromMilliseconds(50), time, call.Cancellation);
        return sinceEpoch.Ticks / period.Ticks + 1;
    }
}
