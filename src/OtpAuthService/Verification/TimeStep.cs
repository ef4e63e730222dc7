namespace OtpAuthService.Verification;

/// <summary>RFC 6238's counter T: whole periods since the Unix epoch. Not a time, and not comparable between different periods.</summary>
internal readonly record struct TimeStep(long Value) : IComparable<TimeStep>
{
    /// <summary>Before every time step that can be claimed.</summary>
    public static readonly TimeStep None = new(-1);

    /// <summary>The step that contains <paramref name="moment"/> (RFC 6238 section 4.2, T0 = 0).</summary>
    public static TimeStep At(DateTimeOffset moment, int periodSeconds) => new(moment.ToUnixTimeSeconds() / periodSeconds);

    /// <summary>When this step begins.</summary>
    public DateTimeOffset Start(int periodSeconds) => DateTimeOffset.FromUnixTimeSeconds(Value * periodSeconds);

    public TimeStep Plus(int steps) => new(Value + steps);

    public int CompareTo(TimeStep other) => Value.CompareTo(other.Value);

    public static bool operator <(TimeStep left, TimeStep right) => left.Value < right.Value;

    public static bool operator >(TimeStep left, TimeStep right) => left.Value > right.Value;

    public static bool operator <=(TimeStep left, TimeStep right) => left.Value <= right.Value;

    public static bool operator >=(TimeStep left, TimeStep right) => left.Value >= right.Value;
}
