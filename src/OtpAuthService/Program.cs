using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;
using OtpAuthService;
using OtpAuthService.Audit;
using OtpAuthService.Hosting;

if (args is ["--version"])
{
    Console.WriteLine(Server.Version);
    return 0;
}

try
{
    await using var app = Server.Build(args);
    await Server.PrepareAsync(app, Console.Out);
    if (args is ["retire-audit", var before, ..])
    {
        await app.Services.GetRequiredService<AuditRetirement>().RunAsync(before, Console.Out, CancellationToken.None);
        return 0;
    }

    await app.RunAsync();
    return 0;
}
catch (Exception refused) when (refused is StartRefusedException or InvalidDataException or OptionsValidationException)
{
    await Console.Error.WriteLineAsync($"otp-auth-service does not start: {refused.Message}");
    return 1;
}
catch (IOException inUse) when (inUse.InnerException is AddressInUseException)
{
    await Console.Error.WriteLineAsync(
        $"otp-auth-service does not start: {inUse.Message} Stop the other process, or set Kestrel__Endpoints__Grpc__Url and Kestrel__Endpoints__Management__Url.");
    return 1;
}
