using OtpAuthService.Client;

namespace OtpAuthService.Tests;

public sealed class OtpAuthAddressTests
{
    [TestCase("http://127.0.0.1:5080")]
    [TestCase("http://127.9.9.9:5080")]
    [TestCase("http://[::1]:5080")]
    [TestCase("http://localhost:5080")]
    [TestCase("http://LOCALHOST")]
    [TestCase("http://loopback", Description = "Uri turns it into localhost")]
    [TestCase("https://otp.example")]
    [TestCase("https://192.0.2.1:5080")]
    [TestCase("dns:///otp-headless.bank.svc:5080")]
    [TestCase("dns:///localhost")]
    [TestCase("DNS:///[::1]:5080")]
    public void Create_TlsOrLoopback_Succeeds(string address) => Assert.That(() => OtpAuthChannel.Create(address).Dispose(), Throws.Nothing);

    [TestCase("http://otp.example:5080")]
    [TestCase("http://192.0.2.1:5080")]
    [TestCase("http://0.0.0.0:5080")]
    [TestCase("http://[::]:5080")]
    [TestCase("http://localhost.otp.example")]
    [TestCase("http://127.0.0.1.otp.example")]
    [TestCase("http://127.0.0.1@otp.example")]
    public void Create_PlaintextToAnotherMachine_IsRefused(string address) =>
        Assert.That(() => OtpAuthChannel.Create(address), Throws.ArgumentException.With.Message.Contains("use https"));

    [TestCase("")]
    [TestCase("127.0.0.1:5080")]
    [TestCase("localhost:5080")]
    [TestCase("ftp://127.0.0.1")]
    [TestCase("unix:/run/otp.sock")]
    [TestCase("dns://otp-headless:5080", Description = "a name server would stand there")]
    [TestCase("dns:otp-headless:5080")]
    [TestCase("dns:///")]
    [TestCase("dns:////otp-headless")]
    [TestCase("dns:///otp-headless:port")]
    [TestCase("dns:///otp-headless:5080/path")]
    [TestCase("dns:///user@otp-headless:5080")]
    public void Create_NotAnAddress_IsRefused(string address) =>
        Assert.That(() => OtpAuthChannel.Create(address), Throws.ArgumentException.With.Message.Contains("https://host:port"));
}
