using System.Text;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>Calls as a front end makes them, with defaults for what a test does not care about.</summary>
internal static class Calls
{
    private static int contractors;

    public static string NewRequestId() => Guid.NewGuid().ToString("N");

    public static string NewContractor() => $"C-{Interlocked.Increment(ref contractors):D6}";

    public static async Task<SoftToken> IssueAsync(
        this OtpOperations.OtpOperationsClient operations, int digits = 6, int period = 30, Algorithm algorithm = Algorithm.Sha1)
    {
        var request = new IssueCredentialRequest
        {
            RequestId = NewRequestId(),
            InstitutionId = "demo",
            Digits = digits,
            PeriodSeconds = period,
            Algorithm = algorithm,
        };
        var issued = await DecidedAsync(() => operations.IssueCredentialAsync(request));
        return new SoftToken(issued.CredentialId, issued.OtpauthUri);
    }

    public static Task<ImportCredentialsResponse> ImportPskcAsync(
        this OtpOperations.OtpOperationsClient operations, string file, string? requestId = null, string supplier = "") =>
        operations.ImportAsync(new() { RequestId = requestId ?? NewRequestId(), Format = ImportFormat.Pskc, Supplier = supplier }, file);

    /// <summary>An import for the institution demo.</summary>
    public static Task<ImportCredentialsResponse> ImportAsync(this OtpOperations.OtpOperationsClient operations, ImportCredentialsHeader header, string file) =>
        // In small pieces, so that their joining is tested too.
        operations.ImportAsync(header, Encoding.UTF8.GetBytes(file).Chunk(100));

    public static async Task<ImportCredentialsResponse> ImportAsync(
        this OtpOperations.OtpOperationsClient operations, ImportCredentialsHeader header, IEnumerable<byte[]> pieces)
    {
        header.InstitutionId = "demo";
        header.RequestId = header.RequestId.Length > 0 ? header.RequestId : NewRequestId();
        using var call = operations.ImportCredentials();
        try
        {
            await call.RequestStream.WriteAsync(new ImportCredentialsRequest { Header = header });
            foreach (var piece in pieces)
            {
                await call.RequestStream.WriteAsync(new ImportCredentialsRequest { Chunk = UnsafeByteOperations.UnsafeWrap(piece) });
            }

            await call.RequestStream.CompleteAsync();
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            // It was refused before its end: the answer says why.
        }

        return await call;
    }

    public static AsyncUnaryCall<RegisterResponse> RegisterAsync(
        this OtpAuth.OtpAuthClient auth, string contractor, string credential, string otp, string? requestId = null, string institution = "demo") =>
        auth.RegisterAsync(new RegisterRequest
        {
            RequestId = requestId ?? NewRequestId(),
            InstitutionId = institution,
            ContractorId = contractor,
            Channel = Channel.PcBrowser,
            CredentialId = credential,
            Otp = otp,
        });

    public static AsyncUnaryCall<VerifyResponse> VerifyAsync(
        this OtpAuth.OtpAuthClient auth,
        string contractor,
        string otp,
        string? requestId = null,
        string institution = "demo",
        Purpose purpose = Purpose.Login,
        Channel channel = Channel.PcBrowser) =>
        auth.VerifyAsync(new VerifyRequest
        {
            RequestId = requestId ?? NewRequestId(),
            InstitutionId = institution,
            ContractorId = contractor,
            Channel = channel,
            Purpose = purpose,
            Otp = otp,
        });

    public static AsyncUnaryCall<SuspendResponse> SuspendAsync(
        this OtpAuth.OtpAuthClient auth, string contractor, string otp, string? requestId = null, string institution = "demo") =>
        auth.SuspendAsync(new SuspendRequest
        {
            RequestId = requestId ?? NewRequestId(),
            InstitutionId = institution,
            ContractorId = contractor,
            Channel = Channel.PcBrowser,
            Otp = otp,
        });

    public static AsyncUnaryCall<ReplaceResponse> ReplaceAsync(
        this OtpAuth.OtpAuthClient auth, string contractor, string currentOtp, string credential, string newOtp, string? requestId = null) =>
        auth.ReplaceAsync(new ReplaceRequest
        {
            RequestId = requestId ?? NewRequestId(),
            InstitutionId = "demo",
            ContractorId = contractor,
            Channel = Channel.PcBrowser,
            CurrentOtp = currentOtp,
            NewCredentialId = credential,
            NewOtp = newOtp,
        });

    public static AsyncUnaryCall<ResynchronizeResponse> ResynchronizeAsync(
        this OtpAuth.OtpAuthClient auth, string contractor, string first, string second, string? requestId = null) =>
        auth.ResynchronizeAsync(new ResynchronizeRequest
        {
            RequestId = requestId ?? NewRequestId(),
            InstitutionId = "demo",
            ContractorId = contractor,
            Channel = Channel.PcBrowser,
            FirstOtp = first,
            SecondOtp = second,
        });

    public static AsyncUnaryCall<GetRequirementResponse> RequirementAsync(
        this OtpAuth.OtpAuthClient auth, string contractor, Channel channel = Channel.PcBrowser, string institution = "demo") =>
        auth.GetRequirementAsync(new GetRequirementRequest { InstitutionId = institution, ContractorId = contractor, Channel = channel });

    public static AsyncUnaryCall<GetBindingResponse> BindingAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, string institution = "demo") =>
        operations.GetBindingAsync(new GetBindingRequest { InstitutionId = institution, ContractorId = contractor });

    public static AsyncUnaryCall<ReportLostResponse> ReportLostAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, string institution = "demo") =>
        operations.ReportLostAsync(new()
        {
            RequestId = NewRequestId(), InstitutionId = institution, ContractorId = contractor, Kind = LossKind.Stolen, Reason = "called the help desk",
        });

    public static AsyncUnaryCall<OpenReregistrationResponse> OpenReregistrationAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, TimeSpan? validFor = null, string? requestId = null) =>
        operations.OpenReregistrationAsync(new()
        {
            RequestId = requestId ?? NewRequestId(),
            InstitutionId = "demo",
            ContractorId = contractor,
            ValidFor = validFor?.ToDuration(),
            Reason = "came to the branch",
        });

    public static AsyncUnaryCall<UnlockResponse> UnlockAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, string? requestId = null) =>
        operations.UnlockAsync(new()
        {
            RequestId = requestId ?? NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Reason = "mistyped",
        });

    public static AsyncUnaryCall<SuspendBindingResponse> SuspendBindingAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, string? requestId = null) =>
        operations.SuspendBindingAsync(new()
        {
            RequestId = requestId ?? NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Reason = "a court order",
        });

    public static AsyncUnaryCall<ResumeBindingResponse> ResumeBindingAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, string? requestId = null) =>
        operations.ResumeBindingAsync(new()
        {
            RequestId = requestId ?? NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Reason = "it was lifted",
        });

    public static AsyncUnaryCall<IssueTemporaryOtpResponse> IssueTemporaryOtpAsync(
        this OtpOperations.OtpOperationsClient operations,
        string contractor,
        int uses = 0,
        TimeSpan? validFor = null,
        string person = "",
        string? requestId = null) =>
        operations.IssueTemporaryOtpAsync(new()
        {
            RequestId = requestId ?? NewRequestId(),
            InstitutionId = "demo",
            ContractorId = contractor,
            Uses = uses,
            ValidFor = validFor?.ToDuration(),
            Reason = "the phone is at home",
            OperatorId = person,
        });

    /// <param name="operations">Whose certificate confirms.</param>
    /// <param name="contractor">Whose temporary OTP.</param>
    /// <param name="issued">The one that is meant.</param>
    /// <param name="person">Who confirms.</param>
    /// <param name="uses">How many times it can be used, as whoever confirms believes.</param>
    public static AsyncUnaryCall<ConfirmTemporaryOtpResponse> ConfirmTemporaryOtpAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, IssueTemporaryOtpResponse issued, string person = "", int uses = 1) =>
        operations.ConfirmTemporaryOtpAsync(new()
        {
            RequestId = NewRequestId(),
            InstitutionId = "demo",
            ContractorId = contractor,
            ExpiresAt = issued.ExpiresAt,
            Uses = uses,
            Reason = "called back",
            OperatorId = person,
        });

    public static AsyncUnaryCall<CheckOtpResponse> CheckOtpAsync(
        this OtpOperations.OtpOperationsClient operations, string contractor, string otp, string? requestId = null) =>
        operations.CheckOtpAsync(new()
        {
            RequestId = requestId ?? NewRequestId(), InstitutionId = "demo", ContractorId = contractor, Otp = otp, Reason = "cannot log in",
        });

    /// <summary>What StreamEvents tells up to now.</summary>
    public static async Task<List<StreamEventsResponse>> EventsUntilNowAsync(
        this OtpOperations.OtpOperationsClient operations, string resumeToken = "", string institution = "demo")
    {
        using var call = operations.StreamEvents(
            new() { InstitutionId = institution, ResumeToken = resumeToken, UntilNow = true }, deadline: TimeProvider.System.GetUtcNow().AddSeconds(30).UtcDateTime);
        return await call.ResponseStream.ReadAllAsync().ToListAsync();
    }

    /// <summary>The next event that a listener is told.</summary>
    public static async Task<StreamEventsResponse> NextAsync(this AsyncServerStreamingCall<StreamEventsResponse> listening)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        return await listening.ResponseStream.MoveNext(limit.Token) ? listening.ResponseStream.Current : throw new InvalidOperationException("The stream has ended.");
    }

    /// <summary>A contractor with an active binding, registered with the OTP of the step before the current one.</summary>
    public static async Task<(string Contractor, SoftToken Token)> RegisteredAsync(
        this OtpService service, string institution = "demo", int digits = 6, int period = 30, Algorithm algorithm = Algorithm.Sha1)
    {
        var token = await service.Operations.IssueAsync(digits, period, algorithm);
        var (contractor, id) = (NewContractor(), NewRequestId());
        var answer = await DecidedAsync(() => service.Auth.RegisterAsync(
            contractor, token.CredentialId, token.At(service.Clock.GetUtcNow(), -1), id, institution));
        Assert.That(answer.Outcome, Is.EqualTo(Outcome.Accepted), "registering for a test");
        return (contractor, token);
    }

    /// <summary>As the contract asks of callers: where nothing was decided, as on a busy machine, the same request again after the pause that the answer names.</summary>
    public static async Task<T> DecidedAsync<T>(Func<AsyncUnaryCall<T>> call, int attempts = 3)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await call();
            }
            catch (RpcException busy) when (busy.StatusCode == StatusCode.Unavailable && attempt < attempts)
            {
                await Task.Delay(new Refusal(busy).RetryDelay ?? TimeSpan.Zero);
            }
        }
    }
}
