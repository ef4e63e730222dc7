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
        using var channel = OtpAuthChannel.Create("http://127.0.0.1:5080");
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
