using System.Security.Cryptography;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Submissions;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using BindingState = OtpAuthService.Bindings.BindingState;

namespace OtpAuthService.Services;

/// <summary>The operators' service. What it does not override yet answers UNIMPLEMENTED.</summary>
internal sealed class OtpOperationsGrpcService(
    CredentialIssuer issuer,
    CredentialImport import,
    BindingDirectory bindings,
    Loss loss,
    BypassSwitch bypassSwitch,
    InstitutionDirectory institutions,
    PolicyChange policyChange,
    BypassOptOut bypassOptOut,
    KeyRotation rotation,
    FenceRaising fences,
    AuditQuery auditQuery,
    AuditVerification auditVerification,
    Fingerprints fingerprints,
    TimeProvider time) : OtpOperations.OtpOperationsBase
{
    /// <summary>Some 10,000 credentials; a file is held in memory while it is checked as a whole.</summary>
    private const int MaxImportBytes = 16 * 1024 * 1024;

    public override async Task<GetInstitutionResponse> GetInstitution(GetInstitutionRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var id = read.Institution(request.InstitutionId);
        read.ThrowIfInvalid();
        Authorize(context, id);

        var institution = await institutions.ReadAsync(id, context.CancellationToken);
        return new GetInstitutionResponse
        {
            DisplayName = institution.DisplayName,
            Policy = institution.ToWire(),
            PolicyVersion = institution.PolicyVersion,
            BypassStoppedAt = institution.BypassStoppedAt?.ToTimestamp(),
        };
    }

    public override async Task<SetInstitutionPolicyResponse> SetInstitutionPolicy(SetInstitutionPolicyRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var name = read.DisplayName(request.DisplayName);
        var policy = read.Policy(request.Policy);
        var version = read.Check(request.ExpectedVersion >= 0, request.ExpectedVersion, "expected_version", "must not be negative");
        var submission = ReadAct(read, context, request, "SetInstitutionPolicy", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var answer = await policyChange.SetAsync(submission, name, policy, version, context.CancellationToken);
        return new SetInstitutionPolicyResponse { PolicyVersion = version + 1, DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<IssueCredentialResponse> IssueCredential(IssueCredentialRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var requestId = read.RequestId(request.RequestId);
        var institution = read.Institution(request.InstitutionId);
        var digits = read.Check(request.Digits is 0 or 6 or 8, request.Digits == 0 ? 6 : request.Digits, "digits", "must be 6 or 8");
        var period = read.Check(
            request.PeriodSeconds is 0 or 30 or 60, request.PeriodSeconds == 0 ? 30 : request.PeriodSeconds, "period_seconds", "must be 30 or 60");
        var algorithm = read.Check(
            System.Enum.IsDefined(request.Algorithm),
            request.Algorithm == Algorithm.Unspecified ? Algorithm.Sha1 : request.Algorithm,
            "algorithm",
            "must be a known algorithm");
        var person = read.Operator(request.OperatorId);
        read.ThrowIfInvalid();

        var submission = new Submission(
            Authorize(context, institution), requestId, "IssueCredential", institution, fingerprints.Of("IssueCredential", request)) { Operator = person };
        var issued = await issuer.IssueAsync(submission, algorithm, digits, period, context.CancellationToken);
        return new IssueCredentialResponse
        {
            CredentialId = issued.CredentialId.Value,
            OtpauthUri = issued.OtpauthUri,
            Repeated = issued.Repeated,
        };
    }

    public override async Task<ImportCredentialsResponse> ImportCredentials(
        IAsyncStreamReader<ImportCredentialsRequest> requestStream, ServerCallContext context)
    {
        var read = new RequestReader();
        var header = await requestStream.MoveNext() ? requestStream.Current.Header : null;
        read.Check(header is not null, header, "header", "must be the first message");
        read.ThrowIfInvalid();
        var requestId = read.RequestId(header!.RequestId);
        var institution = read.Institution(header.InstitutionId);
        read.Check(header.Format == ImportFormat.Pskc, header.Format, "header.format", "must be a known format");
        read.Check(CredentialImport.IsSupplierName(header.Supplier), header.Supplier, "header.supplier", "must be up to 64 printable characters");
        var person = read.Operator(header.OperatorId);
        read.ThrowIfInvalid();
        var caller = Authorize(context, institution);

        var (file, fingerprint) = await ReadFileAsync(requestStream, header);
        var preSharedKey = header.PreSharedKey.ToByteArray();
        try
        {
            file.Position = 0;
            var credentials = PskcReader.Read(file, preSharedKey);
            var submission = new Submission(caller, requestId, "ImportCredentials", institution, fingerprint) { Operator = person };
            var answer = await import.ImportAsync(submission, credentials, header.Supplier, context.CancellationToken);
            return new ImportCredentialsResponse { Imported = answer.Verdict.Imported ?? 0, Repeated = answer.Repeated };
        }
        catch (PskcException refused)
        {
            throw new InvalidRequestException("chunk", $"is not a file that can be imported: {refused.Message}");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(preSharedKey);
            CryptographicOperations.ZeroMemory(file.GetBuffer());
        }
    }

    public override async Task<GetCredentialResponse> GetCredential(GetCredentialRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        var id = read.Credential(request.CredentialId);
        read.ThrowIfInvalid();
        Authorize(context, institution);

        var credential = await bindings.FindCredentialAsync(id, context.CancellationToken);
        if (credential is null)
        {
            throw GrpcErrors.NotFound("credential");
        }

        return new GetCredentialResponse
        {
            Credential = credential.ToWire(),
            ContractorId = (await bindings.FindHolderAsync(institution, credential.Id, context.CancellationToken))?.Value ?? "",
        };
    }

    public override async Task<GetBindingResponse> GetBinding(GetBindingRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        read.ThrowIfInvalid();
        Authorize(context, contractor.Institution);

        var institution = await institutions.FindAsync(contractor.Institution, context.CancellationToken);
        var (history, budget) = await bindings.FindHistoryAsync(contractor, context.CancellationToken);
        if (history.Count == 0 && budget is null)
        {
            throw GrpcErrors.NotFound("binding");
        }

        return new GetBindingResponse
        {
            History = { history.Select(b => b.ToWire()) },
            ConsecutiveFailures = budget?.ConsecutiveFailures ?? 0,
            NeverBypassed = budget?.NeverBypassed ?? false,
            Lockout = budget?.LockoutAt(time.GetUtcNow(), institution.Limits) is { } lockout ? new V1.Lockout { Until = lockout.Until?.ToTimestamp() } : null,
        };
    }

    public override async Task<ReportLostResponse> ReportLost(ReportLostRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var kind = read.Check(
            request.Kind != LossKind.Unspecified && System.Enum.IsDefined(request.Kind), request.Kind, "kind", "must be set to a known kind");
        var submission = ReadAct(
            read, context, request, "ReportLost", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var answer = await loss.ReportAsync(
            submission, new ContractorRef(submission.Institution, submission.Contractor!.Value), kind, context.CancellationToken);
        return answer.Verdict.Outcome == Outcome.Accepted
            ? new ReportLostResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated }
            : throw GrpcErrors.NotActive();
    }

    public override async Task<StopBypassResponse> StopBypass(StopBypassRequest request, ServerCallContext context)
    {
        var submission = ReadAct(new RequestReader(), context, request, "StopBypass", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var answer = await bypassSwitch.TurnAsync(submission, stopped: true, context.CancellationToken);
        return new StopBypassResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<ResumeBypassResponse> ResumeBypass(ResumeBypassRequest request, ServerCallContext context)
    {
        var submission = ReadAct(new RequestReader(), context, request, "ResumeBypass", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var answer = await bypassSwitch.TurnAsync(submission, stopped: false, context.CancellationToken);
        return new ResumeBypassResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<SetBypassOptOutResponse> SetBypassOptOut(SetBypassOptOutRequest request, ServerCallContext context)
    {
        var submission = ReadAct(
            new RequestReader(), context, request, "SetBypassOptOut", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var answer = await bypassOptOut.SetAsync(submission, request.NeverBypass, context.CancellationToken);
        return new SetBypassOptOutResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<RotateKeysResponse> RotateKeys(RotateKeysRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var kind = read.Check(
            request.Kind != KeyKind.Unspecified && System.Enum.IsDefined(request.Kind), request.Kind, "kind", "must be set to a known kind");
        var submission = ReadAct(read, context, request, "RotateKeys", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var answer = kind == KeyKind.DataKey
            ? await rotation.RotateDataKeyAsync(submission, context.CancellationToken)
            : await rotation.RotateKekAsync(submission, context.CancellationToken);
        return new RotateKeysResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<GetKeyStatusResponse> GetKeyStatus(GetKeyStatusRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        read.ThrowIfInvalid();
        Authorize(context, institution);
        return (await rotation.ReadStatusAsync(context.CancellationToken)).ToWire();
    }

    public override async Task<RaiseFenceResponse> RaiseFence(RaiseFenceRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var until = read.Moment(request.Until, "until");
        read.Check(!(until > time.GetUtcNow() + Fence.Furthest), until, "until", "must be at most 1 hour from now");
        var submission = ReadAct(read, context, request, "RaiseFence", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var (answer, fence) = await fences.RaiseAsync(submission, until, context.CancellationToken);
        return new RaiseFenceResponse { Fence = fence?.Until.ToTimestamp(), DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<GetFenceResponse> GetFence(GetFenceRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        read.ThrowIfInvalid();
        Authorize(context, institution);

        var fence = await fences.FindAsync(context.CancellationToken);
        return new GetFenceResponse { Fence = fence?.Until.ToTimestamp(), RaisedAt = fence?.RaisedAt.ToTimestamp(), Reason = fence?.Reason ?? "" };
    }

    public override async Task QueryAudit(QueryAuditRequest request, IServerStreamWriter<QueryAuditResponse> responseStream, ServerCallContext context)
    {
        var filter = ReadFilter(request);
        Authorize(context, filter.Institution);
        await auditQuery.RunAsync(
            filter,
            (record, credential) => responseStream.WriteAsync(new QueryAuditResponse { Record = record.ToWire(credential) }, context.CancellationToken),
            context.CancellationToken);
    }

    public override async Task<VerifyAuditResponse> VerifyAudit(VerifyAuditRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        read.Check(request.ChainId >= 0, request.ChainId, "chain_id", "must not be negative");
        read.Check(request.Position >= 0, request.Position, "position", "must not be negative");
        read.Check(request.ShippedHeadNumber >= 0, request.ShippedHeadNumber, "shipped_head_number", "must not be negative");
        read.Check(
            request.ShippedHeadHash.Length == (request.ShippedHeadNumber == 0 ? 0 : SHA256.HashSizeInBytes),
            request.ShippedHeadHash,
            "shipped_head_hash",
            "must be 32 bytes with shipped_head_number, and none without");
        read.ThrowIfInvalid();
        Authorize(context, institution);

        var report = await auditVerification.VerifyAsync(
            request.ChainId,
            request.Position,
            request.ShippedHeadNumber == 0 ? null : (request.ShippedHeadNumber, request.ShippedHeadHash.ToByteArray()),
            context.CancellationToken);
        return report.ToWire();
    }

    private AuditFilter ReadFilter(QueryAuditRequest request)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        var until = read.Moment(request.Until, "until") ?? time.GetUtcNow();
        var since = read.Moment(request.Since, "since") ?? until.AddDays(-1);
        read.Check(since < until && until - since <= TimeSpan.FromDays(400), since, "since", "must be before until, and at most 400 days before it");
        read.Check(System.Enum.IsDefined(request.Outcome), request.Outcome, "outcome", "must be a known outcome");
        read.Check(request.Limit >= 0, request.Limit, "limit", "must not be negative");
        var filter = new AuditFilter(institution, since, until)
        {
            Contractor = request.ContractorId.Length == 0 ? null : read.Contractor(request.ContractorId),
            Credential = request.CredentialId.Length == 0 ? null : read.Credential(request.CredentialId),
            Rpc = request.Rpc.Length == 0 ? null : request.Rpc,
            Outcome = request.Outcome == Outcome.Unspecified ? null : request.Outcome,
            CallerId = request.CallerId.Length == 0 ? null : request.CallerId,
            RequestId = request.RequestId.Length == 0 ? null : request.RequestId,
            Limit = request.Limit == 0 ? null : request.Limit,
        };
        read.ThrowIfInvalid();
        return filter;
    }

    /// <summary>What every act of an operator has.</summary>
    private Submission ReadAct(
        RequestReader read,
        ServerCallContext context,
        IMessage request,
        string rpc,
        string requestId,
        string institution,
        string reason,
        string @operator,
        string? contractor = null)
    {
        requestId = read.RequestId(requestId);
        var forWhom = read.Institution(institution);
        ContractorId? who = contractor is null ? null : read.Contractor(contractor);
        reason = read.Reason(reason);
        var person = read.Operator(@operator);
        read.ThrowIfInvalid();
        return new Submission(Authorize(context, forWhom), requestId, rpc, forWhom, fingerprints.Of(rpc, request), who) { Reason = reason, Operator = person };
    }

    private static Callers.Caller Authorize(ServerCallContext context, InstitutionId institution)
    {
        var caller = CallInterceptor.CallerOf(context);
        return caller.Institutions.Contains(institution) ? caller : throw GrpcErrors.ForeignInstitution();
    }

    private async Task<(MemoryStream File, byte[] Fingerprint)> ReadFileAsync(
        IAsyncStreamReader<ImportCredentialsRequest> parts, ImportCredentialsHeader header)
    {
        using var content = fingerprints.Begin("ImportCredentials");
        content.AppendData(header.ToByteArray());
        var file = new MemoryStream();
        while (await parts.MoveNext())
        {
            if (parts.Current.PartCase != ImportCredentialsRequest.PartOneofCase.Chunk)
            {
                throw new InvalidRequestException("chunk", "must be in every message after the first");
            }

            if (file.Length + parts.Current.Chunk.Length > MaxImportBytes)
            {
                throw new InvalidRequestException("chunk", "is too much: a file has at most 16 MiB; split it");
            }

            content.AppendData(parts.Current.Chunk.Span);
            file.Write(parts.Current.Chunk.Span);
        }

        return (file, content.GetHashAndReset());
    }
}
