using System.CommandLine;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;
using OtpCtl.Commands.Audit;

namespace OtpCtl.Commands.Supplier;

/// <summary>Reads the dates in force, changes those that were named, and sends both: one that is not sent would be taken away.</summary>
internal static class SetCommand
{
    private const string Never = "never";

    private static readonly Option<string> Name = new("--name")
    {
        Description = "The supplier, as its credentials name it.",
        HelpName = "name",
        Required = true,
    };

    private static readonly Option<Bound> NoRegistrationFrom = DateOption(
        "--no-registration-from", "From then on its credentials cannot be registered: ISO 8601, in the local zone where it names none; or never.");

    private static readonly Option<Bound> VerifyUntil = DateOption(
        "--verify-until", "From then on OTPs of its credentials are refused; likewise. Not before --no-registration-from.");

    public static Command Create()
    {
        var command = new Command("set", "Sets until when the institution takes a supplier's credentials; what is not named stays as it is.")
        {
            Name, NoRegistrationFrom, VerifyUntil, ReasonOption.Option, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.Validators.Add(result =>
        {
            if (result.GetResult(NoRegistrationFrom) is null && result.GetResult(VerifyUntil) is null)
            {
                result.AddError("nothing to change: name at least one date, see --help.");
            }
        });
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => SetAsync(parsed, call), cancellation));
        return command.WithExample("otpctl supplier set --name Example --no-registration-from 2027-04-01 --verify-until 2027-10-01 --reason 'moves to another token' --apply");
    }

    private static async Task<int> SetAsync(ParseResult parsed, ServiceCall call)
    {
        var name = parsed.GetRequiredValue(Name);
        var known = await call.Service.Operations.GetSuppliersAsync(new() { InstitutionId = call.Institution }, cancellationToken: call.Cancellation);
        var current = known.Suppliers.SingleOrDefault(supplier => supplier.Name == name);
        var request = new SetSupplierRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Supplier = new()
            {
                Name = name,
                NoRegistrationFrom = Date(parsed, NoRegistrationFrom, current?.NoRegistrationFrom),
                VerifyUntil = Date(parsed, VerifyUntil, current?.VerifyUntil),
            },
            Reason = parsed.GetRequiredValue(ReasonOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        return await Change.RunAsync(
            parsed,
            request,
            () => Task.FromResult<IMessage?>(current),
            () => call.Service.Operations.SetSupplierAsync(request, cancellationToken: call.Cancellation).ResponseAsync);
    }

    private static Timestamp? Date(ParseResult parsed, Option<Bound> option, Timestamp? current) =>
        parsed.GetValue(option) is { } named ? named.Moment?.ToTimestamp() : current;

    // Not "90d", which elsewhere is so long ago: somebody who meant "in 90 days" would end a supplier at once.
    private static Option<Bound> DateOption(string name, string description) => new(name)
    {
        Description = description,
        HelpName = $"moment|{Never}",
        CustomParser = result =>
        {
            var text = result.Tokens.Single().Value;
            var date = MomentOption.ParseDate(text, TimeProvider.System.LocalTimeZone);
            if (date is null && text != Never)
            {
                result.AddError($"'{text}' is not a date: 2027-04-01T09:00:00+09:00, 2027-04-01T00:00Z, 2027-04-01T09:00, 2027-04-01 or {Never}.");
            }

            return new Bound(date);
        },
    };

    /// <summary>A date as it was named; null: never.</summary>
    private sealed record Bound(DateTimeOffset? Moment);
}
