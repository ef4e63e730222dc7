using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Export;

internal static class RequestCommand
{
    private static readonly Option<string> Scope = new Option<string>("--scope")
    {
        Description = "The credentials that contractors of the institution have registered now, or those and all that no contractor of any institution ever registered.",
        Required = true,
    }.AcceptOnlyFromAmong("registered", "registered-and-unused");

    private static readonly Option<string?> Supplier = new("--supplier") { Description = "Only of this supplier. Default: of all.", HelpName = "name" };

    public static Command Create()
    {
        var command = new Command(
            "request", "The first of two persons: says which credentials are to be handed out with their keys. Prints the export's id; within 24 hours it is confirmed and fetched.")
        {
            Scope, Supplier, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => RequestAsync(parsed, call), cancellation));
        return command.WithExample("otpctl export request --scope registered --operator h.sato --reason 'moves to another service' --apply");
    }

    private static Task<int> RequestAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new RequestExportRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Scope = ScopeOf(parsed.GetRequiredValue(Scope)),
            Supplier = parsed.GetValue(Supplier) ?? "",
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return Change.RunAsync(
            parsed,
            request,
            Now.NothingAsync,
            () => call.Service.Operations.RequestExportAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }

    private static ExportScope ScopeOf(string text) => text switch
    {
        "registered" => ExportScope.Registered,
        "registered-and-unused" => ExportScope.RegisteredAndUnused,
        _ => throw new ArgumentOutOfRangeException(nameof(text), text, "Not a scope."),
    };
}
