using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Credentials.Pskc;
using OtpAuthService.Diagnoses;
using OtpAuthService.Events;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Submissions;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using BindingState = OtpAuthService.Bindings.BindingState;

namespace OtpAuthService.Services;

/// <summary>The operators' service.</summary>
internal sealed class OtpOperationsGrpcService(
    CredentialIssuer issuer,
    CredentialImport import,
    SupplierDirectory suppliers,
    CredentialExport export,
    BindingDirectory bindings,
    Loss loss,
    Reregistration reregistration,
    Unlocking unlocking,
    BindingStop bindingStop,
    TemporaryOtps temporaryOtps,
    OtpCheck otpCheck,
    FailureTallies failures,
    BypassSwitch bypassSwitch,
    InstitutionDirectory institutions,
    PolicyChange policyChange,
    BypassOptOut bypassOptOut,
    KeyRotation rotation,
    FenceRaising fences,
    EventStream events,
    AuditQuery auditQuery,
    AuditVerification auditVerification,
    Diagnoses.Diagnosis diagnosis,
    Fingerprints fingerprints,
    TimeProvider time) : OtpOperations.OtpOperationsBase
{
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
        using var secrets = new FileSecrets(header!.PreSharedKey.ToByteArray(), header.Password.ToByteArray());
        try
        {
            var (delivery, format) = ReadHeader(read, context, header);
            using var digest = BeginDigest(header);
            await using var pieces = ReadPiecesAsync(requestStream).GetAsyncEnumerator(context.CancellationToken);
            await using var file = new UploadedFile(pieces, digest);
            var order = new ImportOrder((upload, stop) => ImportFormats.Read(format, upload, secrets, stop), header.Supplier, header.DryRun);
            var answer = await import.ImportAsync(delivery, order, file, context.CancellationToken);
            return new ImportCredentialsResponse { Imported = answer.Verdict.Imported ?? 0, Repeated = answer.Repeated };
        }
        finally
        {
            Clear(header.PreSharedKey);
            Clear(header.Password);
        }
    }

    public override async Task<SetSupplierResponse> SetSupplier(SetSupplierRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var (supplier, noRegistrationFrom, verifyUntil) = read.Supplier(request.Supplier);
        var submission = ReadAct(read, context, request, "SetSupplier", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var answer = await suppliers.SetAsync(submission, supplier, noRegistrationFrom, verifyUntil, context.CancellationToken);
        return new SetSupplierResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<GetSuppliersResponse> GetSuppliers(GetSuppliersRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        read.ThrowIfInvalid();
        Authorize(context, institution);

        var known = await suppliers.ReadAsync(institution, context.CancellationToken);
        return new GetSuppliersResponse { Suppliers = { known.Select(s => s.ToWire()) } };
    }

    public override async Task<RequestExportResponse> RequestExport(RequestExportRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var scope = read.Check(
            request.Scope != ExportScope.Unspecified && System.Enum.IsDefined(request.Scope), request.Scope, "scope", "must be set to a known scope");
        var supplier = read.SupplierName(request.Supplier);
        var submission = ReadAct(read, context, request, "RequestExport", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var (answer, id) = await export.RequestAsync(submission, scope, supplier, context.CancellationToken);
        return new RequestExportResponse
        {
            ExportId = id.ToString("N"),
            ExpiresAt = (answer.DecidedAt + ExportOrder.Lifetime).ToTimestamp(),
            DecidedAt = answer.DecidedAt.ToTimestamp(),
            Repeated = answer.Repeated,
        };
    }

    public override async Task<ConfirmExportResponse> ConfirmExport(ConfirmExportRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var id = read.ExportId(request.ExportId);
        var submission = ReadAct(read, context, request, "ConfirmExport", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId);
        var answer = await export.ConfirmAsync(submission, id, context.CancellationToken);
        Require(answer, () => GrpcErrors.ExportNotConfirmable(answer.Verdict.Outcome));
        return new ConfirmExportResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task ExportCredentials(
        ExportCredentialsRequest request, IServerStreamWriter<ExportCredentialsResponse> responseStream, ServerCallContext context)
    {
        using var secrets = new FileSecrets(request.PreSharedKey.ToByteArray(), request.Password.ToByteArray());
        try
        {
            var read = new RequestReader();
            var requestId = read.RequestId(request.RequestId);
            var institution = read.Institution(request.InstitutionId);
            var id = read.ExportId(request.ExportId);
            read.Check(request.PreSharedKey.Length is 0 or 16 or 24 or 32, secrets, "pre_shared_key", "must be 16, 24 or 32 bytes");
            read.Check(request.Password.Length is 0 or (>= 12 and <= 128), secrets, "password", "must be 12 to 128 bytes");
            read.Check(request.Password.IsEmpty != request.PreSharedKey.IsEmpty, secrets, "password", "must be set where pre_shared_key is not, and only there");
            var person = read.Operator(request.OperatorId);
            read.ThrowIfInvalid();
            var submission = new Submission(
                Authorize(context, institution), requestId, "ExportCredentials", institution, fingerprints.Of("ExportCredentials", request)) { Operator = person };
            var answer = await export.FetchAsync(
                submission, id, (total, credentials) => SendAsync(total, credentials, secrets, responseStream), context.CancellationToken);
            Require(answer, () => GrpcErrors.ExportNotHandedOut(answer.Verdict.Outcome));
        }
        finally
        {
            Clear(request.PreSharedKey);
            Clear(request.Password);
        }
    }

    private static async Task SendAsync(
        long total, IAsyncEnumerable<ExportedCredential> credentials, FileSecrets secrets, IServerStreamWriter<ExportCredentialsResponse> responses)
    {
        const int Piece = 32 * 1024;
        using var pending = new MemoryStream();
        using var file = new PskcWriter(pending, secrets);
        var written = 0L;
        file.Begin();
        await foreach (var (credential, key) in credentials)
        {
            file.Write(credential, key);
            written++;
            file.Flush();
            if (pending.Length >= Piece)
            {
                await SendPendingAsync();
            }
        }

        file.End();
        file.Flush();
        await SendPendingAsync();

        async Task SendPendingAsync()
        {
            for (var sent = 0; sent < pending.Length; sent += Piece)
            {
                var piece = ByteString.CopyFrom(pending.GetBuffer(), sent, Math.Min(Piece, (int)pending.Length - sent));
                await responses.WriteAsync(new ExportCredentialsResponse { Chunk = piece, Credentials = written, Total = total });
            }

            pending.SetLength(0);
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
            TemporaryOtp = budget?.TemporaryOtp is { UsesLeft: > 0 } temporary ? temporary.ToWire() : null,
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
        var answer = Require(await loss.ReportAsync(submission, kind, context.CancellationToken), GrpcErrors.NotActive);
        return new ReportLostResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<OpenReregistrationResponse> OpenReregistration(OpenReregistrationRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var validFor = read.ReregistrationTime(request.ValidFor);
        var submission = ReadAct(
            read, context, request, "OpenReregistration", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var answer = Require(await reregistration.OpenAsync(submission, validFor, context.CancellationToken), GrpcErrors.NotLost);
        return new OpenReregistrationResponse
        {
            OpenUntil = (answer.DecidedAt + validFor).ToTimestamp(), DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated,
        };
    }

    public override async Task<UnlockResponse> Unlock(UnlockRequest request, ServerCallContext context)
    {
        var submission = ReadAct(
            new RequestReader(), context, request, "Unlock", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var answer = Require(await unlocking.UnlockAsync(submission, context.CancellationToken), () => GrpcErrors.NotFound("contractor"));
        return new UnlockResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<SuspendBindingResponse> SuspendBinding(SuspendBindingRequest request, ServerCallContext context)
    {
        var submission = ReadAct(
            new RequestReader(), context, request, "SuspendBinding", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var answer = Require(await bindingStop.StopAsync(submission, context.CancellationToken), GrpcErrors.NotActive);
        return new SuspendBindingResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<ResumeBindingResponse> ResumeBinding(ResumeBindingRequest request, ServerCallContext context)
    {
        var submission = ReadAct(
            new RequestReader(), context, request, "ResumeBinding", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var answer = Require(await bindingStop.ResumeAsync(submission, context.CancellationToken), GrpcErrors.NotStopped);
        return new ResumeBindingResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<IssueTemporaryOtpResponse> IssueTemporaryOtp(IssueTemporaryOtpRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var validFor = read.TemporaryOtpTime(request.ValidFor);
        var uses = read.Check(request.Uses is >= 0 and <= 5, request.Uses == 0 ? 1 : request.Uses, "uses", "must be 1 to 5");
        var submission = ReadAct(
            read, context, request, "IssueTemporaryOtp", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var (answer, issued) = await temporaryOtps.IssueAsync(submission, validFor, uses, context.CancellationToken);
        Require(answer, GrpcErrors.NotActive);
        return issued is null
            ? throw GrpcErrors.TemporaryOtpReplaced()
            : new IssueTemporaryOtpResponse
            {
                TemporaryOtp = issued.Otp,
                ExpiresAt = issued.Stored.ExpiresAt.ToTimestamp(),
                AwaitsConfirmation = issued.Stored.AwaitsConfirmation,
                DecidedAt = answer.DecidedAt.ToTimestamp(),
                Repeated = answer.Repeated,
            };
    }

    public override async Task<ConfirmTemporaryOtpResponse> ConfirmTemporaryOtp(ConfirmTemporaryOtpRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var expiresAt = read.Moment(request.ExpiresAt, "expires_at") ?? read.Check(request.ExpiresAt is not null, DateTimeOffset.MinValue, "expires_at", "must be set");
        var uses = read.Check(request.Uses is >= 1 and <= 5, request.Uses, "uses", "must be 1 to 5");
        var submission = ReadAct(
            read, context, request, "ConfirmTemporaryOtp", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        var answer = await temporaryOtps.ConfirmAsync(submission, expiresAt, uses, context.CancellationToken);
        Require(answer, answer.Verdict.Outcome == Outcome.Mismatch ? GrpcErrors.SecondPersonNeeded : GrpcErrors.NothingToConfirm);
        return new ConfirmTemporaryOtpResponse { DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
    }

    public override async Task<CheckOtpResponse> CheckOtp(CheckOtpRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var otp = read.Otp(request.Otp);
        var submission = ReadAct(
            read, context, request, "CheckOtp", request.RequestId, request.InstitutionId, request.Reason, request.OperatorId, request.ContractorId);
        failures.ThrowIfSpent(submission.Caller, submission.Institution);
        var answer = await otpCheck.CheckAsync(submission, otp, context.CancellationToken);
        var response = new CheckOtpResponse { Outcome = answer.Verdict.Outcome, DecidedAt = answer.DecidedAt.ToTimestamp(), Repeated = answer.Repeated };
        if (answer.Verdict.OffsetSteps is { } offset)
        {
            response.OffsetSteps = offset;
        }

        return response;
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

    public override async Task StreamEvents(StreamEventsRequest request, IServerStreamWriter<StreamEventsResponse> responseStream, ServerCallContext context)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        var after = read.ResumeToken(request.ResumeToken);
        read.ThrowIfInvalid();
        Authorize(context, institution);
        await events.RunAsync(
            institution,
            after,
            request.UntilNow,
            (told, credential) => responseStream.WriteAsync(told.ToWire(credential), context.CancellationToken),
            context.CancellationToken);
    }

    public override async Task<DiagnoseResponse> Diagnose(DiagnoseRequest request, ServerCallContext context)
    {
        var read = new RequestReader();
        var institution = read.Institution(request.InstitutionId);
        read.ThrowIfInvalid();
        Authorize(context, institution);
        var found = await diagnosis.LookAsync(institution, context.CancellationToken);
        return new DiagnoseResponse { Diagnoses = { found.Select(finding => finding.ToWire()) }, LookedAt = time.GetUtcNow().ToTimestamp() };
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

    /// <summary>An act that was refused is on record all the same.</summary>
    private static Answer Require(Answer answer, Func<RpcException> refusal) =>
        answer.Verdict.Outcome == Outcome.Accepted ? answer : throw refusal();

    private static Callers.Caller Authorize(ServerCallContext context, InstitutionId institution)
    {
        var caller = CallInterceptor.CallerOf(context);
        return caller.Institutions.Contains(institution) ? caller : throw GrpcErrors.ForeignInstitution();
    }

    private static (Submission Delivery, ImportFormat Format) ReadHeader(RequestReader read, ServerCallContext context, ImportCredentialsHeader header)
    {
        var requestId = read.RequestId(header.RequestId);
        var institution = read.Institution(header.InstitutionId);
        var format = read.Check(
            header.Format != ImportFormat.Unspecified && System.Enum.IsDefined(header.Format), header.Format, "header.format", "must be set to a known format");
        read.SupplierName(header.Supplier, "header.supplier");
        read.Check(
            header.Password.IsEmpty || header.PreSharedKey.IsEmpty, header.Password, "header.password", "must be empty where pre_shared_key is set");
        var person = read.Operator(header.OperatorId);
        read.ThrowIfInvalid();
        return (new Submission(Authorize(context, institution), requestId, "ImportCredentials", institution, Fingerprint: []) { Operator = person }, format);
    }

    /// <summary>Of everything but whether it is a dry run: that one has the answer that the import would have, also where the import was made.</summary>
    private IncrementalHash BeginDigest(ImportCredentialsHeader header)
    {
        var digest = fingerprints.Begin("ImportCredentials");
        var asImport = header.Clone();
        asImport.DryRun = false;
        var content = asImport.ToByteArray();
        digest.AppendData(content);
        CryptographicOperations.ZeroMemory(content);
        return digest;
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPiecesAsync(IAsyncStreamReader<ImportCredentialsRequest> parts)
    {
        while (await parts.MoveNext())
        {
            if (parts.Current.PartCase != ImportCredentialsRequest.PartOneofCase.Chunk)
            {
                throw new InvalidRequestException("chunk", "must be in every message after the first");
            }

            var chunk = parts.Current.Chunk;
            try
            {
                yield return chunk.Memory;
            }
            finally
            {
                Clear(chunk);
            }
        }
    }

    /// <summary>Keys in the clear came in it, or what opens them. Nobody else has these bytes: they were read from the network for this call.</summary>
    private static void Clear(ByteString received)
    {
        if (MemoryMarshal.TryGetArray(received.Memory, out var bytes))
        {
            CryptographicOperations.ZeroMemory(bytes);
        }
    }
}
