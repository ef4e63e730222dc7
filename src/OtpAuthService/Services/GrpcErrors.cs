using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Events;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;
using RpcStatus = Google.Rpc.Status;

namespace OtpAuthService.Services;

/// <summary>The one place that makes gRPC errors: google.rpc.Status with ErrorInfo, and BadRequest or RetryInfo where they help.</summary>
internal static class GrpcErrors
{
    public const string Domain = "otpauth.v1";

    public static RpcException InvalidArgument(BadRequest violations) => Error(
        Code.InvalidArgument,
        "INVALID_REQUEST",
        string.Join("; ", violations.FieldViolations.Select(v => $"{v.Field} {v.Description}")),
        Any.Pack(violations));

    public static RpcException Malformed() => Error(Code.InvalidArgument, "MALFORMED_MESSAGE", "the message is not valid protobuf of this RPC's request");

    public static RpcException Unauthenticated() => Error(Code.Unauthenticated, "CALLER_UNKNOWN", "the caller could not be identified");

    public static RpcException NoRight(string method) =>
        Error(Code.PermissionDenied, "ROLE_MISSING", $"the caller's role does not include {method}");

    public static RpcException ForeignInstitution() =>
        Error(Code.PermissionDenied, "INSTITUTION_NOT_CALLERS", "the caller does not act for this institution");

    public static RpcException ChannelNotCallers() =>
        Error(Code.PermissionDenied, "CHANNEL_NOT_CALLERS", "the caller's role does not include this channel");

    public static RpcException NotActive() => Error(Code.FailedPrecondition, "BINDING_NOT_ACTIVE", "the contractor has no active binding");

    public static RpcException NotLost() => Error(Code.FailedPrecondition, "BINDING_NOT_LOST", "the contractor's credential is not lost");

    public static RpcException NotStopped() => Error(Code.FailedPrecondition, "BINDING_NOT_STOPPED", "the contractor's binding is not stopped");

    public static RpcException TemporaryOtpReplaced() =>
        Error(Code.FailedPrecondition, "TEMPORARY_OTP_REPLACED", "another temporary OTP was issued since; this one is void");

    public static RpcException NothingToConfirm() =>
        Error(Code.FailedPrecondition, "NOTHING_TO_CONFIRM", "the contractor has no such temporary OTP that awaits confirmation");

    public static RpcException SecondPersonNeeded() => Error(
        Code.FailedPrecondition, "SECOND_PERSON_NEEDED", "whoever confirms must be told from whoever issued: by another operator_id, or by another caller where neither names one");

    public static RpcException NotFound(string what) => Error(Code.NotFound, "NOT_FOUND", $"there is no such {what}");

    /// <summary>What stands against ConfirmExport.</summary>
    public static RpcException ExportNotConfirmable(Outcome refusal) => refusal switch
    {
        Outcome.AlreadyUsed => Error(Code.FailedPrecondition, "NOTHING_TO_CONFIRM", "the export was confirmed before"),
        Outcome.Mismatch => Error(
            Code.FailedPrecondition, "SECOND_PERSON_NEEDED", "whoever confirms must be told from whoever requested: by another operator_id, or by another caller where neither names one"),
        _ => ExportNotInForce(refusal),
    };

    /// <summary>What stands against ExportCredentials.</summary>
    public static RpcException ExportNotHandedOut(Outcome refusal) => refusal switch
    {
        Outcome.NotRegistered => Error(Code.FailedPrecondition, "EXPORT_NOT_CONFIRMED", "the export awaits the word of a second person (ConfirmExport)"),
        Outcome.Mismatch => Error(Code.FailedPrecondition, "EXPORT_OF_ANOTHER", "the export was requested by somebody else"),
        Outcome.AlreadyUsed => Error(Code.FailedPrecondition, "EXPORT_FETCHED", "the export was fetched before"),
        _ => ExportNotInForce(refusal),
    };

    /// <summary>What a failure means to the caller. Faults of ours are INTERNAL without a word of what they are.</summary>
    public static RpcException Of(Exception failure) => failure switch
    {
        RpcException known => known,
        InvalidRequestException invalid => InvalidArgument(new BadRequest
        {
            FieldViolations = { new BadRequest.Types.FieldViolation { Field = invalid.Field, Description = invalid.Rule } },
        }),
        ImportRefusedException refused => InvalidArgument(new BadRequest
        {
            FieldViolations =
            {
                refused.Faults.Select(fault => new BadRequest.Types.FieldViolation { Field = "chunk", Description = $"is not a file that can be imported: {fault}" }),
            },
        }),
        CredentialsExistException exist => Error(Code.AlreadyExists, "CREDENTIAL_EXISTS", exist.Message),
        ImportsBusyException busy => Error(
            Code.ResourceExhausted, "IMPORTS_BUSY", busy.Message, Any.Pack(new RetryInfo { RetryDelay = ImportsBusyException.RetryAfter.ToDuration() })),
        PolicyVersionException changed => Error(Code.Aborted, "POLICY_VERSION", changed.Message),
        InstitutionMissingException missing => Error(Code.FailedPrecondition, "INSTITUTION_MISSING", missing.Message),
        StoreUnavailableException unavailable => Error(
            Code.Unavailable,
            "STORE_UNAVAILABLE",
            $"{unavailable.Message}; send the same request_id again, which finds out or decides",
            Any.Pack(new RetryInfo { RetryDelay = StoreUnavailableException.RetryAfter.ToDuration() })),
        KekUnavailableException keys => Error(
            Code.Unavailable, "KEYS_UNAVAILABLE", keys.Message, Any.Pack(new RetryInfo { RetryDelay = StoreUnavailableException.RetryAfter.ToDuration() })),
        StoredKeyException => Error(
            Code.DataLoss, "STORED_KEY_UNUSABLE", "the stored key does not open, so nothing was decided or counted; the service's operators have been told"),
        KekNotReadyException notReady => Error(Code.FailedPrecondition, "KEK_NOT_READY", notReady.Message),
        EventsGoneException gone => Error(Code.OutOfRange, "EVENTS_GONE", gone.Message),
        EventStreamsBusyException busy => Error(
            Code.ResourceExhausted, "STREAMS_BUSY", busy.Message, Any.Pack(new RetryInfo { RetryDelay = EventStreamsBusyException.RetryAfter.ToDuration() })),
        ServiceStoppingException stopping => Error(
            Code.Unavailable, "SERVICE_STOPPING", stopping.Message, Any.Pack(new RetryInfo { RetryDelay = ServiceStoppingException.RetryAfter.ToDuration() })),
        QueueFullException full => Error(
            Code.ResourceExhausted,
            "QUEUE_FULL",
            full.Message,
            Any.Pack(new RetryInfo { RetryDelay = QueueFullException.RetryAfter.ToDuration() })),
        RateExceededException fast => Error(
            Code.ResourceExhausted, "RATE_EXCEEDED", fast.Message, Any.Pack(new RetryInfo { RetryDelay = fast.RetryAfter.ToDuration() })),
        FailureBudgetSpentException spent => Error(
            Code.ResourceExhausted,
            "FAILURE_BUDGET_SPENT",
            spent.Message,
            Any.Pack(new RetryInfo { RetryDelay = FailureBudgetSpentException.RetryAfter.ToDuration() })),
        BypassRefusedException { Refusal: BypassRefusal.Stopped } =>
            Error(Code.PermissionDenied, "BYPASS_STOPPED", "the institution has stopped answers without an OTP"),
        BypassRefusedException { Refusal: BypassRefusal.NotAllowed } =>
            Error(Code.PermissionDenied, "BYPASS_NOT_ALLOWED", "the institution's policy asks for an OTP on this channel"),
        BypassRefusedException => Error(Code.PermissionDenied, "BYPASS_NOT_GRANTED", "the caller has no grant in force for answers without an OTP"),
        // An IOException is of the caller's own connection, hung up in the middle of a stream; the stores' drivers wrap theirs.
        OperationCanceledException or IOException => Error(Code.Cancelled, "CANCELLED", "the caller no longer waits"),
        _ => Error(Code.Internal, "INTERNAL", "the service failed, so the result is not known"),
    };

    /// <summary>The reason of an error that this class has made.</summary>
    public static string ReasonOf(RpcException error) => error.GetRpcStatus()?.GetDetail<ErrorInfo>()?.Reason ?? "";

    private static RpcException ExportNotInForce(Outcome refusal) => refusal switch
    {
        Outcome.CredentialUnknown => Error(Code.NotFound, "EXPORT_UNKNOWN", "there is no such export"),
        Outcome.CredentialUnusable => Error(Code.FailedPrecondition, "EXPORT_EXPIRED", "the export was requested more than 24 hours ago"),
        _ => throw new InvalidOperationException($"{refusal} is no refusal of an export."),
    };

    private static RpcException Error(Code code, string reason, string message, params ReadOnlySpan<Any> details)
    {
        var status = new RpcStatus { Code = (int)code, Message = message };
        status.Details.Add(Any.Pack(new ErrorInfo { Reason = reason, Domain = Domain }));
        foreach (var detail in details)
        {
            status.Details.Add(detail);
        }

        return status.ToRpcException();
    }
}
