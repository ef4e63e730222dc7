using System.Diagnostics;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Submissions;
using OtpAuthService.V1;
using OtpAuthService.Verification;

namespace OtpAuthService.Services;

/// <summary>The front ends' service: reads each request into domain values, hands it to its act, and writes the answer.</summary>
internal sealed class OtpAuthGrpcService(
    OtpRequirement requirements,
    OtpVerifier verifier,
    Registration registration,
    Suspension suspension,
    Replacement replacement,
    Resynchronization resynchronization,
    FailureTallies failures,
    GenericAnswers generic,
    Fingerprints fingerprints) : OtpAuth.OtpAuthBase
{
    public override async Task<GetRequirementResponse> GetRequirement(GetRequirementRequest request, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var read = new RequestReader();
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        var channel = read.Channel(request.Channel);
        read.ThrowIfInvalid();
        var caller = CallInterceptor.CallerOf(context);
        Authorize(caller, contractor, channel);

        var found = await requirements.FindAsync(caller, contractor, channel, context.CancellationToken);
        var (requirement, retryAfter) = await generic.CoverAsync(found, contractor, channel, arrived, context.CancellationToken);
        return new GetRequirementResponse { Requirement = requirement, RetryAfter = retryAfter?.ToDuration() };
    }

    public override async Task<RegisterResponse> Register(RegisterRequest request, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var read = new RequestReader();
        var requestId = read.RequestId(request.RequestId);
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        var channel = read.Channel(request.Channel);
        var credential = read.Credential(request.CredentialId);
        var otp = read.Otp(request.Otp);
        read.ThrowIfInvalid();

        var submission = Submit(context, request, "Register", requestId, contractor, channel);
        var answer = await registration.RegisterAsync(submission, contractor, credential, otp, context.CancellationToken);
        return Respond<RegisterResponse>(await generic.CoverAsync(answer, contractor, arrived, context.CancellationToken));
    }

    public override async Task<VerifyResponse> Verify(VerifyRequest request, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var read = new RequestReader();
        var requestId = read.RequestId(request.RequestId);
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        var channel = read.Channel(request.Channel);
        var purpose = read.Purpose(request.Purpose);
        // Whether an OTP may be missing is a matter of the caller's role, which the channel is compared with below.
        var bypass = channel == Channel.FeaturePhone;
        Otp? otp = bypass && request.Otp.Length == 0 ? null : read.Otp(request.Otp);
        read.ThrowIfInvalid();

        var submission = Submit(context, request, "Verify", requestId, contractor, channel, purpose);
        var answer = await verifier.VerifyAsync(submission, contractor, bypass ? null : otp, context.CancellationToken);
        return Respond<VerifyResponse>(await generic.CoverAsync(answer, contractor, arrived, context.CancellationToken));
    }

    public override async Task<SuspendResponse> Suspend(SuspendRequest request, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var read = new RequestReader();
        var requestId = read.RequestId(request.RequestId);
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        var channel = read.Channel(request.Channel);
        var otp = read.Otp(request.Otp);
        read.ThrowIfInvalid();

        var submission = Submit(context, request, "Suspend", requestId, contractor, channel);
        var answer = await suspension.SuspendAsync(submission, contractor, otp, context.CancellationToken);
        return Respond<SuspendResponse>(await generic.CoverAsync(answer, contractor, arrived, context.CancellationToken));
    }

    public override async Task<ReplaceResponse> Replace(ReplaceRequest request, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var read = new RequestReader();
        var requestId = read.RequestId(request.RequestId);
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        var channel = read.Channel(request.Channel);
        var currentOtp = read.Otp(request.CurrentOtp, "current_otp");
        var credential = read.Credential(request.NewCredentialId, "new_credential_id");
        var newOtp = read.Otp(request.NewOtp, "new_otp");
        read.ThrowIfInvalid();

        var submission = Submit(context, request, "Replace", requestId, contractor, channel);
        var answer = await replacement.ReplaceAsync(submission, contractor, currentOtp, credential, newOtp, context.CancellationToken);
        return Respond<ReplaceResponse>(await generic.CoverAsync(answer, contractor, arrived, context.CancellationToken));
    }

    public override async Task<ResynchronizeResponse> Resynchronize(ResynchronizeRequest request, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var read = new RequestReader();
        var requestId = read.RequestId(request.RequestId);
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        var channel = read.Channel(request.Channel);
        var first = read.Otp(request.FirstOtp, "first_otp");
        var second = read.Otp(request.SecondOtp, "second_otp");
        read.Check(first.Length == second.Length || first.Length == 0 || second.Length == 0, second, "second_otp", "must have as many digits as first_otp");
        read.ThrowIfInvalid();

        var submission = Submit(context, request, "Resynchronize", requestId, contractor, channel);
        var answer = await resynchronization.ResynchronizeAsync(submission, contractor, first, second, context.CancellationToken);
        return Respond<ResynchronizeResponse>(await generic.CoverAsync(answer, contractor, arrived, context.CancellationToken));
    }

    private Submission Submit(
        ServerCallContext context,
        IMessage request,
        string rpc,
        string requestId,
        ContractorRef contractor,
        Channel channel,
        Purpose purpose = Purpose.Unspecified)
    {
        var caller = CallInterceptor.CallerOf(context);
        Authorize(caller, contractor, channel);
        if (channel != Channel.FeaturePhone)
        {
            failures.ThrowIfSpent(caller, contractor.Institution);
        }

        return new Submission(
            caller, requestId, rpc, contractor.Institution, fingerprints.Of(rpc, request), contractor.Contractor, channel, purpose);
    }

    private static void Authorize(Caller caller, ContractorRef contractor, Channel channel)
    {
        if (!caller.Institutions.Contains(contractor.Institution))
        {
            throw GrpcErrors.ForeignInstitution();
        }

        if (!caller.MaySay(channel))
        {
            throw GrpcErrors.ChannelNotCallers();
        }
    }

    private static T Respond<T>(Answer answer)
        where T : IOtpAnswer, new()
    {
        var response = new T
        {
            Outcome = answer.Verdict.Outcome,
            Decision = answer.Verdict.Decision,
            RetryAfter = answer.Verdict.RetryAfter?.ToDuration(),
            DecidedAt = answer.DecidedAt.ToTimestamp(),
            Repeated = answer.Repeated,
        };
        if (answer.Verdict.AttemptsLeft is { } left)
        {
            response.AttemptsLeft = left;
        }

        return response;
    }
}
