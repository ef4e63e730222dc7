using System.CommandLine;

namespace OtpCtl;

/// <summary>Options of every command.</summary>
internal static class GlobalOptions
{
    public static readonly Option<string> Address = new("--address")
    {
        Description = "The service: https://host:port, or http:// to this machine. Environment: OTPCTL_ADDRESS.",
        HelpName = "url",
        DefaultValueFactory = _ => FromEnvironment("OTPCTL_ADDRESS") ?? "http://127.0.0.1:5080",
        Recursive = true,
    };

    public static readonly Option<string?> Certificate = new("--certificate")
    {
        Description = "The client certificate for https, a PEM file; its intermediates follow it. Environment: OTPCTL_CERTIFICATE.",
        HelpName = "file",
        DefaultValueFactory = _ => FromEnvironment("OTPCTL_CERTIFICATE"),
        Recursive = true,
    };

    public static readonly Option<string?> Key = new("--key")
    {
        Description = "Its private key, a PEM file, not encrypted. Default: in the certificate's file. Environment: OTPCTL_KEY.",
        HelpName = "file",
        DefaultValueFactory = _ => FromEnvironment("OTPCTL_KEY"),
        Recursive = true,
    };

    public static readonly Option<string?> Trust = new("--trust")
    {
        Description = "The only roots to trust, a PEM file. Default: the system's. Environment: OTPCTL_TRUST.",
        HelpName = "file",
        DefaultValueFactory = _ => FromEnvironment("OTPCTL_TRUST"),
        Recursive = true,
    };

    public static readonly Option<string> Institution = new("--institution")
    {
        Description = "The bank to act for. Environment: OTPCTL_INSTITUTION.",
        HelpName = "id",
        DefaultValueFactory = _ => FromEnvironment("OTPCTL_INSTITUTION") ?? "demo",
        Recursive = true,
    };

    public static readonly Option<bool> Json = new("--json")
    {
        Description = "Print the result as one JSON document (proto3 JSON with the field names of the .proto files).",
        Recursive = true,
    };

    /// <summary>An empty variable is how compose files and shells say "not set".</summary>
    public static string? FromEnvironment(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
