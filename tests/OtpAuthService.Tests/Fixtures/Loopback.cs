using System.Net;
using System.Net.Sockets;

namespace OtpAuthService.Tests.Fixtures;

internal static class Loopback
{
    /// <summary>A port that nobody listens on right now.</summary>
    public static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
