using System.CommandLine;
using OtpAuthService.Bench.Rivals;

namespace OtpAuthService.Bench.Commands;

/// <summary>Hosts one rival in a process of its own; <c>load</c> starts it.</summary>
internal static class ServeCommand
{
    private const string Name = "serve";

    private static readonly Argument<RivalKind> Rival = new("rival") { Description = "Which one." };
    private static readonly Option<int> Grpc = new("--grpc") { Description = "Port for calls, HTTP/2 without TLS.", Required = true };
    private static readonly Option<int> Management = new("--management") { Description = "Port for /metrics.", Required = true };
    private static readonly Option<string> Postgres = new("--postgres") { Description = "Connection string of an own database.", Required = true };
    private static readonly Option<string> Redis = new("--redis") { Description = "Connection string.", Required = true };

    public static Command Create()
    {
        var command = new Command(Name, "Hosts one rival server. Used by load; not meant to be called by hand.")
        {
            Rival, Grpc, Management, Postgres, Redis,
        };
        command.SetAction((parsed, _) => RivalHost.RunAsync(
            parsed.GetValue(Rival),
            new RivalSettings(
                parsed.GetValue(Grpc), parsed.GetValue(Management), parsed.GetValue(Postgres)!, parsed.GetValue(Redis)!)));
        return command;
    }

    /// <summary>The arguments that start a rival.</summary>
    public static IEnumerable<string> Arguments(RivalKind rival, RivalSettings settings) =>
    [
        Name, $"{rival}",
        Grpc.Name, $"{settings.GrpcPort}",
        Management.Name, $"{settings.ManagementPort}",
        Postgres.Name, settings.Postgres,
        Redis.Name, settings.Redis,
    ];
}
