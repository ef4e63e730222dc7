using OtpCtl;
using OtpCtl.Commands.Audit;

namespace OtpAuthService.Tests;

/// <summary>Files of shipped heads: what outlives the database may have been cut off by a crash, but has to be read.</summary>
public sealed class ShippedHeadTests
{
    private const string Hash1 = "1111111111111111111111111111111111111111111111111111111111111111";
    private const string Hash2 = "22222222222222222222222222222222222222222222222222222222222222Fe";

    private readonly FileInfo file = new(Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()));

    [TearDown]
    public void Delete() => file.Delete();

    [TestCase($$"""{"number":7,"hash":"{{Hash1}}"}""", 7)]
    [TestCase($$"""{"made_at":"2026-03-31","number":7,"chains":[{"hash":"x"}],"hash":"{{Hash2}}","signature":"…"}""", 7)]
    [TestCase($$"""{"number":7,"hash":"{{Hash1}}"} {""", 0)]
    [TestCase($$"""{"number":7,"hash":"{{Hash1}}""", 0)]
    [TestCase($$"""{"number":0,"hash":"{{Hash1}}"}""", 0)]
    [TestCase($$"""{"number":-7,"hash":"{{Hash1}}"}""", 0)]
    [TestCase($$"""{"number":"7","hash":"{{Hash1}}"}""", 0)]
    [TestCase($$"""{"number":7.5,"hash":"{{Hash1}}"}""", 0)]
    [TestCase($$"""{"number":7,"hash":"{{Hash1}}00"}""", 0)]
    [TestCase("""{"number":7,"hash":"zz11111111111111111111111111111111111111111111111111111111111111"}""", 0)]
    [TestCase("""{"number":7}""", 0)]
    [TestCase("""[7]""", 0)]
    [TestCase("null", 0)]
    [TestCase("\0\0\0", 0)]
    public void Line_OfAFile_IsAHeadOrNone(string line, long number) => Assert.That(ShippedHead.Parse(line)?.Number ?? 0, Is.EqualTo(number));

    [Test]
    public async Task File_WithManyHeads_GivesTheOneWithTheHighestNumber()
    {
        var (head, warnings) = await ReadAsync(Line(8, Hash1) + "\n" + Line(10, Hash2) + "\n\n");

        Assert.That((head.Number, Convert.ToHexString(head.Hash)), Is.EqualTo((10, Hash2.ToUpperInvariant())));
        Assert.That(warnings, Is.Empty);
    }

    [Test]
    public async Task File_CutOffByACrash_GivesTheHeadBeforeAndAWarning()
    {
        var (head, warnings) = await ReadAsync(Line(8, Hash1) + "\n" + Line(9, Hash2)[..40]);

        Assert.That(head.Number, Is.EqualTo(8));
        Assert.That(warnings, Is.EqualTo($"otpctl: line 2 of {file.Name} is not a head, cut off perhaps: skipped.\n"));
    }

    [TestCase(9, Hash2, Description = "an older head again")]
    [TestCase(10, Hash2, Description = "the same number, another head")]
    public async Task File_WhoseHeadsStepBack_GivesTheHighestAndAWarning(long number, string hash)
    {
        var (head, warnings) = await ReadAsync(Line(10, Hash1) + "\n" + Line(number, hash) + "\n");

        Assert.That((head.Number, Convert.ToHexString(head.Hash)), Is.EqualTo((10, Hash1)));
        Assert.That(warnings, Does.Contain($"line 2 of {file.Name} has head {number} after head 10"));
    }

    [Test]
    public async Task File_WithTheSameHeadTwice_IsNoSurprise() =>
        Assert.That((await ReadAsync(Line(10, Hash1) + "\n" + Line(10, Hash1) + "\n")).Warnings, Is.Empty);

    [TestCase("")]
    [TestCase("\n\n")]
    [TestCase("not a head")]
    public async Task File_WithoutAHead_IsAUsageError(string content)
    {
        var refused = await Assert.ThrowsAsync<UsageException>(() => ReadAsync(content));
        Assert.That(refused!.Message, Is.EqualTo($"there is no head in {file.Name}."));
    }

    private async Task<(ShippedHead Head, string Warnings)> ReadAsync(string content)
    {
        await File.WriteAllTextAsync(file.FullName, content);
        var warnings = new StringWriter { NewLine = "\n" };
        return (await ShippedHead.ReadNewestAsync(file, warnings, CancellationToken.None), warnings.ToString());
    }

    private static string Line(long number, string hash) => $$"""{"number":{{number}},"hash":"{{hash}}"}""";
}
