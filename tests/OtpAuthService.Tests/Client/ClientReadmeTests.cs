using OtpAuthService.Client;
using OtpAuthService.V1;

namespace OtpAuthService.Tests;

/// <summary>The example of the package's README compiles, because it is the one below.</summary>
public sealed class ClientReadmeTests
{
    [Test]
    public async Task Readme_Example_IsTheCodeBelow()
    {
        var readme = await File.ReadAllTextAsync(RepositoryFolder.Of("src/OtpAuthService.Client/README.md"));
        var source = await File.ReadAllTextAsync(RepositoryFolder.Of("tests/OtpAuthService.Tests/Client/ClientReadmeTests.cs"));

        var example = readme.Split("```csharp\n")[1].Split("```")[0];

        Assert.That(source.Replace("\n        ", "\n", StringComparison.Ordinal), Does.Contain(example));
    }

    internal static async Task<bool> MayLogInAsync(string contractorId, string otp)
    {
        using var channel = OtpAuthChannel.Create("https://otp.bank.example:5080", new OtpAuthTls
        {
            CertificateFile = "/run/tls/frontend-1.pem", // names the caller by its URI; intermediates follow it
            KeyFile = "/run/tls/frontend-1.key",
            TrustFile = "/run/tls/ca.pem", // the only roots that the service's certificate may lead to
        });
        var answer = await channel.OtpAuth.VerifyAsync(new VerifyRequest
        {
            RequestId = RequestId.New(), // once per customer submission; the same again if you retry yourself
            InstitutionId = "demo",
            ContractorId = contractorId,
            Channel = Channel.PcBrowser,
            Purpose = Purpose.Login,
            Otp = otp,
        });
        return answer.Decision == Decision.Allow; // the decision, whatever the outcome
    }
}
