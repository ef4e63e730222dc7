using System.Runtime.Versioning;
using System.Security.Cryptography;
using OtpAuthService.Keys;

namespace OtpAuthService.Tests.Keys;

[TestFixture]
[Platform(Exclude = "Win", Reason = "Modes of files are Unix's.")]
[UnsupportedOSPlatform("windows")]
public class FileKekTests
{
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(DataKey.SizeInBytes);
    private static readonly byte[] About = "about"u8.ToArray();

    private string path = null!;

    [SetUp]
    public void MakeFile()
    {
        path = Path.Combine(Directory.CreateTempSubdirectory("otpauth-kek-").FullName, "kek");
        FileKek.Create(path);
    }

    [TearDown]
    public void RemoveFile() => Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);

    [TestCase("")]
    [TestCase("not base64")]
    [TestCase("AAAA")]
    [TestCase("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [TestCase("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nnot base64")]
    public async Task File_WithSomethingElse_IsRefusedWithASentence(string content)
    {
        await File.WriteAllTextAsync(path, content);
        Assert.That(() => new FileKek(path), Throws.InstanceOf<InvalidDataException>().With.Message.Contains("openssl rand -base64 32"));
    }

    [Test]
    public void File_Made_IsReadableByItsOwnerOnly() =>
        Assert.That(File.GetUnixFileMode(path), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));

    [TestCase(UnixFileMode.OtherRead)]
    [TestCase(UnixFileMode.OtherWrite)]
    [TestCase(UnixFileMode.GroupWrite)]
    public void File_OpenToOthers_IsRefused(UnixFileMode mode)
    {
        File.SetUnixFileMode(path, File.GetUnixFileMode(path) | mode);
        Assert.That(() => new FileKek(path), Throws.InstanceOf<InvalidDataException>().With.Message.Contains("chmod 600"));
    }

    [Test]
    public async Task Advance_NoNewLine_SaysWhatToDo()
    {
        using var kek = new FileKek(path);
        var newest = await kek.NewestAsync(default);
        var refused = await Assert.ThrowsAsync<KekNotReadyException>(async () => await kek.AdvanceAsync(newest, default));
        Assert.That(refused!.Message, Does.Contain("openssl rand -base64 32 >>"));
    }

    [Test]
    public async Task Advance_NewLine_WrapsUnderItAndStillOpensTheOld()
    {
        using var kek = new FileKek(path);
        var old = await kek.NewestAsync(default);
        var wrapped = await kek.WrapAsync(old, Key, About, default);
        await File.AppendAllTextAsync(path, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)) + "\n");

        var next = await kek.AdvanceAsync(old, default);
        Assert.That(next, Is.Not.EqualTo(old));
        Assert.That(await kek.NewestAsync(default), Is.EqualTo(next));
        Assert.That(await OpenAsync(kek, old, wrapped), Is.EqualTo(Key));
        Assert.That(await OpenAsync(kek, next, await kek.WrapAsync(next, Key, About, default)), Is.EqualTo(Key));
        await Assert.ThrowsAsync<AuthenticationTagMismatchException>(() => OpenAsync(kek, next, wrapped));
    }

    /// <summary>A replica that read the file before the line came looks again when it meets the version.</summary>
    [Test]
    public async Task Unwrap_VersionThatCameLater_IsRead()
    {
        using var before = new FileKek(path);
        await File.AppendAllTextAsync(path, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)) + "\n");
        using var after = new FileKek(path);
        var version = await after.NewestAsync(default);
        var wrapped = await after.WrapAsync(version, Key, About, default);
        Assert.That(await OpenAsync(before, version, wrapped), Is.EqualTo(Key));
    }

    private static async Task<byte[]> OpenAsync(FileKek kek, string version, byte[] wrapped)
    {
        var key = new byte[DataKey.SizeInBytes];
        await kek.UnwrapAsync(version, wrapped, About, key, default);
        return key;
    }
}
