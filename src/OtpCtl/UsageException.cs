namespace OtpCtl;

/// <summary>What was asked for cannot be sent; the message is for the person at the keyboard. Nothing was sent.</summary>
internal sealed class UsageException(string message) : Exception(message);
