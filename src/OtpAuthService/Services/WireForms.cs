using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Diagnoses;
using OtpAuthService.Events;
using OtpAuthService.Keys;

namespace OtpAuthService.Services;

/// <summary>Domain records as operators see them.</summary>
internal static class WireForms
{
    public static V1.Credential ToWire(this Credential credential) => new()
    {
        CredentialId = credential.CredentialId.Value,
        Status = credential.Status switch
        {
            CredentialStatus.Active => V1.CredentialStatus.Active,
            CredentialStatus.Lost => V1.CredentialStatus.Lost,
            _ => throw new InvalidOperationException($"Status {credential.Status} is not known."),
        },
        Algorithm = credential.Algorithm,
        Digits = credential.Digits,
        PeriodSeconds = credential.PeriodSeconds,
        DriftSteps = credential.DriftSteps,
        Supplier = credential.Supplier,
        ValidFrom = credential.ValidFrom?.ToTimestamp(),
        ValidUntil = credential.ValidUntil?.ToTimestamp(),
    };

    public static V1.StreamEventsResponse ToWire(this ContractorEvent told, CredentialId? credential) => new()
    {
        ResumeToken = told.Position.ToString(),
        EventId = told.EventId.ToString("N"),
        Kind = told.Kind,
        OccurredAt = told.OccurredAt.ToTimestamp(),
        ContractorId = told.ContractorId.Value,
        CredentialId = credential?.Value ?? "",
        Rpc = told.Rpc,
        RequestId = told.RequestId,
        LockedUntil = told.LockedUntil?.ToTimestamp(),
    };

    public static V1.Diagnosis ToWire(this Finding finding) => new()
    {
        Subject = finding.Subject,
        State = finding.State,
        Detail = finding.Detail,
        Advice = finding.Advice,
    };

    public static V1.Supplier ToWire(this SupplierState supplier) => new()
    {
        Name = supplier.Name,
        NoRegistrationFrom = supplier.Dates?.NoRegistrationFrom?.ToTimestamp(),
        VerifyUntil = supplier.Dates?.VerifyUntil?.ToTimestamp(),
        Credentials = supplier.Credentials,
    };

    public static V1.GetKeyStatusResponse ToWire(this KeyStatus status) => new()
    {
        DataKeys =
        {
            status.DataKeys.Select(k => new V1.DataKey
            {
                Version = k.Key.Version,
                Use = k.Key.Use switch
                {
                    DataKeyUse.Credentials => V1.DataKeyUse.Credentials,
                    DataKeyUse.Service => V1.DataKeyUse.Service,
                    _ => throw new InvalidOperationException($"Use {k.Key.Use} is not known."),
                },
                KekVersion = k.Key.KekVersion,
                CreatedAt = k.Key.CreatedAt.ToTimestamp(),
                Credentials = k.Credentials,
            }),
        },
        NewestKek = status.NewestKek ?? "",
        Credentials = status.DataKeys.Sum(k => k.Credentials),
        ToRewrap = status.ToRewrap,
    };

    public static V1.AuditRecord ToWire(this AuditRecord record, CredentialId? credential)
    {
        var wire = new V1.AuditRecord
        {
            ChainId = record.ChainId,
            Position = record.Position,
            DecidedAt = record.DecidedAt.ToTimestamp(),
            Rpc = record.Rpc,
            CallerId = record.CallerId,
            OperatorId = record.OperatorId ?? "",
            RequestId = record.RequestId,
            ContractorId = record.ContractorId ?? "",
            Channel = record.Channel,
            Purpose = record.Purpose,
            CredentialId = credential?.Value ?? "",
            Outcome = record.Outcome,
            Decision = record.Decision,
            Reason = record.Reason ?? "",
            PolicyVersion = record.PolicyVersion ?? 0,
            Hash = ByteString.CopyFrom(record.Hash),
        };
        if (record.TimeStep is { } step)
        {
            wire.TimeStep = step.Value;
        }

        return wire;
    }

    public static V1.VerifyAuditResponse ToWire(this AuditReport report) => new()
    {
        Records = report.Records,
        Heads = report.Heads,
        NextChainId = report.Next?.Chain ?? 0,
        NextPosition = report.Next?.Position ?? 0,
        Finding = report.Fault is { } fault
            ? new V1.AuditFinding
            {
                Kind = fault.Kind, ChainId = fault.Chain, Position = fault.Position, HeadNumber = fault.Head, Detail = fault.Detail,
            }
            : null,
    };

    public static V1.Binding ToWire(this Binding binding) => new()
    {
        CredentialId = binding.Credential.CredentialId.Value,
        State = binding.State switch
        {
            BindingState.Active => V1.BindingState.Active,
            BindingState.Suspended => V1.BindingState.Suspended,
            BindingState.Lost => V1.BindingState.Lost,
            BindingState.Replaced => V1.BindingState.Replaced,
            BindingState.Stopped => V1.BindingState.Stopped,
            _ => throw new InvalidOperationException($"State {binding.State} is not known."),
        },
        RegisteredAt = binding.RegisteredAt.ToTimestamp(),
        EndedAt = binding.EndedAt?.ToTimestamp(),
        ReregistrationUntil = binding.ReregistrationUntil?.ToTimestamp(),
    };

    public static V1.TemporaryOtp ToWire(this TemporaryOtp temporary) => new()
    {
        ExpiresAt = temporary.ExpiresAt.ToTimestamp(), UsesLeft = temporary.UsesLeft, AwaitsConfirmation = temporary.AwaitsConfirmation,
    };
}
