using System.Globalization;
using System.Text.Json.Nodes;
using OtpAuthService.Callers;

namespace OtpCtl.Commands.Caller;

/// <summary>Callers as this program prints them.</summary>
internal static class CallerRows
{
    public static JsonObject Of(string name, OtpAuthService.Callers.Caller caller)
    {
        var row = new JsonObject
        {
            ["id"] = caller.Id,
            ["name"] = name,
            ["roles"] = Texts(Enum.GetValues<CallerRoles>().Where(role => role != CallerRoles.None && caller.Has(role)).Select(role => $"{role}")),
            ["institutions"] = Texts(caller.Institutions.Select(institution => institution.Value).Order(StringComparer.Ordinal)),
        };
        if (caller.NotAfter is { } end)
        {
            row["not_after"] = Text(end);
        }

        if (caller.Bypasses.Count > 0)
        {
            row["bypass"] = Texts(caller.Bypasses.OrderBy(bypass => bypass.Key.Value, StringComparer.Ordinal).Select(bypass => $"{bypass.Key} until {Text(bypass.Value.NotAfter)}"));
        }

        return row;
    }

    private static string Text(DateTimeOffset moment) => moment.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(text => JsonValue.Create(text))]);
}
