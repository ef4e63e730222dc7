using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using OtpAuthService.Institutions;

namespace OtpAuthService.Bindings;

/// <summary>契約者ID: the customer as the institution knows them; 1 to 64 of <c>[A-Za-z0-9._-]</c>, case-exact.</summary>
internal readonly record struct ContractorId
{
    private const int MaxLength = 64;
    private static readonly SearchValues<char> Alphabet =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    private ContractorId(string value) => Value = value;

    public string Value { get; }

    public static bool TryParse([NotNullWhen(true)] string? text, out ContractorId id)
    {
        var valid = text is { Length: >= 1 and <= MaxLength } && !text.AsSpan().ContainsAnyExcept(Alphabet);
        id = valid ? new ContractorId(text!) : default;
        return valid;
    }

    /// <summary>For what was checked before: values from the database.</summary>
    public static ContractorId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException("Not a contractor id: 1 to 64 of [A-Za-z0-9._-].");

    public override string ToString() => Value;
}

/// <summary>A contractor of an institution: contractor ids are unique only within their institution.</summary>
internal readonly record struct ContractorRef(InstitutionId Institution, ContractorId Contractor);
