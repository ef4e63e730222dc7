using Microsoft.Extensions.Options;
using OtpAuthService;
using OtpAuthService.Hosting;

try
{
    await using var app = Server.Build(args);
    await Server.PrepareAsync(app, Console.Out);
    await app.RunAsync();
    return 0;
}
catch (Exception refused) when (refused is StartRefusedException or InvalidDataException or OptionsValidationException)
{
    await Console.Error.WriteLineAsync($"otp-auth-service does not start: {refused.Message}");
    return 1;
}
