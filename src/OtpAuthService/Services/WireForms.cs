using Google.Protobuf.WellKnownTypes;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
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

    public static V1.Binding ToWire(this Binding binding) => new()
    {
        CredentialId = binding.Credential.CredentialId.Value,
        State = binding.State switch
        {
            BindingState.Active => V1.BindingState.Active,
            BindingState.Suspended => V1.BindingState.Suspended,
            BindingState.Lost => V1.BindingState.Lost,
            _ => throw new InvalidOperationException($"State {binding.State} is not known."),
        },
        RegisteredAt = binding.RegisteredAt.ToTimestamp(),
        EndedAt = binding.EndedAt?.ToTimestamp(),
    };
}
