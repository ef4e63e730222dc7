using System.CommandLine;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Institution;

/// <summary>Reads the policy in force, changes what was asked for, and sends it back with its version, so that nobody else's change is lost.</summary>
internal static class SetCommand
{
    private static readonly Option<string?> DisplayName = new("--display-name")
    {
        Description = "The name that token programs show beside the OTP. Sets an institution up that is not there yet.",
        HelpName = "text",
    };

    private static readonly Option<string?> Window = new Option<string?>("--window")
    {
        Description = "Time steps whose OTPs are accepted: the current one and its neighbours, or the current one only.",
    }.AcceptOnlyFromAmong("default", "strict");

    private static readonly Option<int?> TemporaryLimit = new("--temporary-limit") { Description = "Wrong OTPs in a row that lock for a time; 1 to 5.", HelpName = "n" };

    private static readonly Option<int?> HardLimit = new("--hard-limit")
    {
        Description = "Wrong OTPs in a row that lock until an operator unlocks; above --temporary-limit, at most 10.",
        HelpName = "n",
    };

    private static readonly Option<TimeSpan?> TemporaryLock = new("--temporary-lock") { Description = "How long the first lock lasts; 00:30:00 to 24:00:00.", HelpName = "hh:mm:ss" };

    private static readonly Option<string?> NotRegisteredLogin = new Option<string?>("--not-registered-login")
    {
        Description = "A login of a contractor without a credential.",
    }.AcceptOnlyFromAmong("allow", "deny");

    private static readonly Option<string?> SuspendedLogin = new Option<string?>("--suspended-login")
    {
        Description = "A login of a contractor who has stopped using OTPs.",
    }.AcceptOnlyFromAmong("allow", "deny");

    private static readonly Option<string[]> Channels = new Option<string[]>("--channels-needing-otp")
    {
        Description = "Channels whose logins ask for an OTP; with feature-phone nobody is bypassed.",
        AllowMultipleArgumentsPerToken = true,
    }.AcceptOnlyFromAmong("pc", "smartphone", "feature-phone");

    private static readonly Option<string?> ForeignLoss = new Option<string?>("--foreign-loss")
    {
        Description = "A credential that another institution has reported lost: goes on with a security event, or is refused.",
    }.AcceptOnlyFromAmong("signal", "block");

    private static readonly Option<string?> Detail = new Option<string?>("--outcome-detail")
    {
        Description = "What answers tell: the outcome, or for every refusal the same (needs both logins at deny).",
    }.AcceptOnlyFromAmong("full", "generic");

    private static readonly Option<string?> AuditContractorIds = new Option<string?>("--audit-contractor-ids")
    {
        Description = "How audit records name contractors from now on: the ID, or a keyed hash from which the ID is not to be had.",
    }.AcceptOnlyFromAmong("plain", "keyed-hash");

    private static readonly Option<string?> TemporaryOtpConfirmation = new Option<string?>("--temporary-otp-confirmation")
    {
        Description = "A temporary OTP: is taken only once another operator has confirmed it, or at once.",
    }.AcceptOnlyFromAmong("needed", "not-needed");

    private static readonly Option<string?> ContractorUnlock = new Option<string?>("--contractor-unlock")
    {
        Description = "Whether a contractor who is locked for a time may end that by two consecutive OTPs (resynchronize).",
    }.AcceptOnlyFromAmong("allow", "deny");

    private static readonly System.CommandLine.Option[] Changes =
    [
        DisplayName, Window, TemporaryLimit, HardLimit, TemporaryLock, NotRegisteredLogin, SuspendedLogin, Channels, ForeignLoss, Detail, AuditContractorIds,
        TemporaryOtpConfirmation, ContractorUnlock,
    ];

    public static Command Create()
    {
        var command = new Command("set", "Changes the policy of the institution; what is not named stays as it is.");
        Array.ForEach(Changes, command.Options.Add);
        command.Options.Add(ReasonOption.Option);
        command.Options.Add(OperatorOption.Option);
        command.Options.Add(ApplyOption.Option);
        command.Options.Add(ServiceCall.RequestIdOption);
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => SetAsync(parsed, call), cancellation));
        return command.WithExample("otpctl institution set --window strict --reason 'audit finding 7' --apply");
    }

    private static async Task<int> SetAsync(ParseResult parsed, ServiceCall call)
    {
        if (!Changes.Any(option => parsed.GetResult(option) is { Implicit: false }))
        {
            throw new UsageException("nothing to change: name at least one value, see --help.");
        }

        var current = await ReadAsync(parsed, call);
        var request = new SetInstitutionPolicyRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            DisplayName = parsed.GetValue(DisplayName) ?? current.DisplayName,
            Policy = current.Policy.Clone(),
            ExpectedVersion = current.PolicyVersion,
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        Apply(parsed, request.Policy);
        return await Change.RunAsync(
            parsed,
            request,
            () => Task.FromResult<IMessage?>(current.PolicyVersion == 0 ? null : current),
            () => call.Service.Operations.SetInstitutionPolicyAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }

    /// <summary>The institution as it is; one that is not set up yet has version 0.</summary>
    private static async Task<GetInstitutionResponse> ReadAsync(ParseResult parsed, ServiceCall call)
    {
        try
        {
            return await call.Service.Operations.GetInstitutionAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation);
        }
        catch (RpcException missing) when (missing.StatusCode == StatusCode.FailedPrecondition && parsed.GetValue(DisplayName) is not null)
        {
            return new GetInstitutionResponse { Policy = new InstitutionPolicy() };
        }
    }

    private static void Apply(ParseResult parsed, InstitutionPolicy policy)
    {
        policy.AcceptanceWindow = parsed.GetValue(Window) switch
        {
            "default" => AcceptanceWindowProfile.Default,
            "strict" => AcceptanceWindowProfile.Strict,
            _ => policy.AcceptanceWindow,
        };
        policy.TemporaryLimit = parsed.GetValue(TemporaryLimit) ?? policy.TemporaryLimit;
        policy.HardLimit = parsed.GetValue(HardLimit) ?? policy.HardLimit;
        policy.TemporaryLock = parsed.GetValue(TemporaryLock) is { } span ? Duration.FromTimeSpan(span) : policy.TemporaryLock;
        policy.NotRegisteredLogin = DecisionOf(parsed.GetValue(NotRegisteredLogin), policy.NotRegisteredLogin);
        policy.SuspendedLogin = DecisionOf(parsed.GetValue(SuspendedLogin), policy.SuspendedLogin);
        policy.ForeignLossReports = parsed.GetValue(ForeignLoss) switch
        {
            "signal" => ForeignLossReports.Signal,
            "block" => ForeignLossReports.Block,
            _ => policy.ForeignLossReports,
        };
        policy.OutcomeDetail = parsed.GetValue(Detail) switch
        {
            "full" => OutcomeDetail.Full,
            "generic" => OutcomeDetail.Generic,
            _ => policy.OutcomeDetail,
        };
        policy.AuditContractorIds = parsed.GetValue(AuditContractorIds) switch
        {
            "plain" => OtpAuthService.V1.AuditContractorIds.Plain,
            "keyed-hash" => OtpAuthService.V1.AuditContractorIds.KeyedHash,
            _ => policy.AuditContractorIds,
        };
        policy.TemporaryOtpNeedsConfirmation = parsed.GetValue(TemporaryOtpConfirmation) switch
        {
            "needed" => true,
            "not-needed" => false,
            _ => policy.TemporaryOtpNeedsConfirmation,
        };
        policy.ContractorMayUnlock = parsed.GetValue(ContractorUnlock) switch
        {
            "allow" => true,
            "deny" => false,
            _ => policy.ContractorMayUnlock,
        };
        if (parsed.GetValue(Channels) is { Length: > 0 } channels)
        {
            policy.ChannelsNeedingOtp.Clear();
            policy.ChannelsNeedingOtp.AddRange(channels.Distinct().Select(ChannelOf));
        }
    }

    private static Decision DecisionOf(string? text, Decision otherwise) => text switch
    {
        "allow" => Decision.Allow,
        "deny" => Decision.Deny,
        _ => otherwise,
    };

    private static Channel ChannelOf(string text) => text switch
    {
        "pc" => Channel.PcBrowser,
        "smartphone" => Channel.Smartphone,
        "feature-phone" => Channel.FeaturePhone,
        _ => throw new ArgumentOutOfRangeException(nameof(text), text, "Not a channel."),
    };
}
