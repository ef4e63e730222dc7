using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace OtpAuthService.Institutions;

/// <summary>Names a bank that uses the service: 1 to 32 of <c>[a-z0-9-]</c>.</summary>
internal readonly record struct InstitutionId
{
    private const int MaxLength = 32;
    private static readonly SearchValues<char> Alphabet = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-");

    private InstitutionId(string value) => Value = value;

    public string Value { get; }

    public static bool TryParse([NotNullWhen(true)] string? text, out InstitutionId id)
    {
        var valid = text is { Length: >= 1 and <= MaxLength } && !text.AsSpan().ContainsAnyExcept(Alphabet);
        id = valid ? new InstitutionId(text!) : default;
        return valid;
    }

    public static InstitutionId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException($"'{text}' is not an institution id: 1 to 32 of [a-z0-9-].");

    public override string ToString() => Value;
}
