namespace OtpAuthService.Callers;

/// <summary>Who does an operator's act.</summary>
/// <param name="CallerId">The authenticated caller.</param>
/// <param name="Person">The person, where the caller names one.</param>
internal readonly record struct Actor(string CallerId, string? Person)
{
    /// <summary>
    /// Whether it may be the same person as another, for acts that take two. A caller that names no person is one; two callers that name the same one, in whatever
    /// case, are not two. Where only one of them names a person, the other may be that one.
    /// </summary>
    public bool MayBe(Actor other) => (Person, other.Person) switch
    {
        (null, null) => CallerId == other.CallerId,
        ({ } one, { } another) => string.Equals(one, another, StringComparison.OrdinalIgnoreCase),
        _ => true,
    };
}
