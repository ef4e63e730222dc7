namespace OtpAuthService.Credentials;
internal sealed record PskcCredential(string Id, byte[] Key, Algorithm Algorithm, int Digits, int PeriodSeconds, string? Manufacturer, DateTimeOffset? ValidFrom, DateTimeOffset? ValidUntil);
internal static class PskcReader { public static IReadOnlyList<PskcCredential> Read(Stream file, byte[] preSharedKey) => throw new PskcException(""); }
internal sealed class PskcException(string m) : Exception(m);
