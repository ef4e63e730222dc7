using System.Collections.Frozen;
using System.Net;
using Microsoft.Extensions.Options;
using OtpAuthService.Hosting;
using OtpAuthService.Institutions;

namespace OtpAuthService.Callers;

/// <summary>
/// Identifies the process behind a connection. For now there is one identity, for trying out: whoever connects over loopback is the
/// local caller. Client certificates take its place in production.
/// </summary>
internal sealed class CallerDirectory(IOptions<OtpAuthOptions> options)
{
    private readonly Caller? local = options.Value.LocalCaller is { Enabled: true } settings
        ? new Caller("local", settings.Roles, settings.Institutions.Select(InstitutionId.Parse).ToFrozenSet())
        : null;

    /// <returns>The caller, or null where the connection does not identify one.</returns>
    public Caller? Identify(ConnectionInfo connection) =>
        connection.RemoteIpAddress is { } address && IPAddress.IsLoopback(address) ? local : null;
}
