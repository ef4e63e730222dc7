namespace OtpAuthService.Submissions;

/// <summary>The caller's mistake in one field of a request: INVALID_ARGUMENT, with nothing counted or stored.</summary>
/// <param name="name">The field as the proto names it.</param>
/// <param name="rule">What the field must be; never repeats its value.</param>
internal sealed class InvalidRequestException(string name, string rule) : Exception($"{name} {rule}")
{
    public string Field => name;

    public string Rule => rule;
}
