namespace OtpAuthService.Bench.Client;

/// <summary>A call failed, was answered wrongly or not at all: there is no number to report then.</summary>
internal sealed class LoadFailedException(string message, Exception? inner = null) : Exception(message, inner);
