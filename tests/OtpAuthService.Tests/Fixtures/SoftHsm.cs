using System.Runtime.InteropServices;
using System.Text;
using OtpAuthService.Keys;

namespace OtpAuthService.Tests.Fixtures;

/// <summary>
/// A token of SoftHSM, in software what a hardware security module is: made by Debian's own tools, as an operator does. The module reads its
/// configuration once per process: so the whole run has one folder of tokens, and every test its own token in it.
/// </summary>
internal sealed class SoftHsm : IDisposable
{
    public const string ModuleFile = "/usr/lib/softhsm/libsofthsm2.so";
    public const string Pin = "92741836";
    private const string OfficerPin = "55550123";

    private static readonly Lazy<string> Root = new(Configure);

    private readonly string folder;

    private SoftHsm(string label, string folder)
    {
        Label = label;
        this.folder = folder;
    }

    public string Label { get; }

    public Pkcs11Options Options => new() { ModuleFile = ModuleFile, TokenLabel = Label, Pin = Pin };

    private string TokenFile => Path.Combine(folder, "token.object");

    private string Away => Path.Combine(Root.Value, Label);

    /// <summary>An empty token.</summary>
    public static async Task<SoftHsm> NewAsync()
    {
        var label = $"{Guid.NewGuid():N}";
        var tokens = Path.Combine(Root.Value, "tokens");
        await ChildProcess.RunAsync("softhsm2-util", ["--init-token", "--free", "--label", label, "--pin", Pin, "--so-pin", OfficerPin]);
        var folder = Directory.EnumerateDirectories(tokens)
            .Single(token => File.ReadAllBytes(Path.Combine(token, "token.object")).AsSpan().IndexOf(Encoding.ASCII.GetBytes(label)) >= 0);
        return new SoftHsm(label, folder);
    }

    /// <summary>A token with a KEK and a key pair for signing.</summary>
    public static async Task<SoftHsm> NewWithKeysAsync()
    {
        var token = await NewAsync();
        await token.ToolAsync("--keygen", "--key-type", "AES:32", "--label", "otp-kek", "--id", "0000000000000001", "--sensitive", "--private");
        await token.ToolAsync(
            "--keypairgen", "--key-type", "EC:prime256v1", "--label", "otp-audit-signing", "--id", "01", "--usage-sign", "--sensitive", "--private");
        return token;
    }

    /// <summary>OpenSC's pkcs11-tool, logged in to the token.</summary>
    public Task<string> ToolAsync(params string[] arguments) =>
        ChildProcess.RunAsync("pkcs11-tool", ["--module", ModuleFile, "--token-label", Label, "--login", "--pin", Pin, .. arguments]);

    /// <summary>As when a card is pulled or the HSM's partition is taken away.</summary>
    public void TakeAway() => Directory.Move(folder, Away);

    public void BringBack() => Directory.Move(Away, folder);

    /// <summary>Whoever makes the module read its tokens waits: the token's own file is a pipe into which nobody writes.</summary>
    public async Task HangAsync()
    {
        File.Move(TokenFile, $"{TokenFile}.kept");
        await ChildProcess.RunAsync("mkfifo", [TokenFile]);
    }

    public Task ContinueAsync() => ChildProcess.RunAsync("bash", ["-c", "exec 3<>\"$1\" && mv \"$1.kept\" \"$1\"", "bash", TokenFile]);

    public void Dispose()
    {
        foreach (var left in new[] { folder, Away }.Where(Directory.Exists))
        {
            Directory.Delete(left, recursive: true);
        }
    }

    private static string Configure()
    {
        var root = Directory.CreateTempSubdirectory("otpauth-hsm-").FullName;
        var file = Path.Combine(root, "softhsm2.conf");
        Directory.CreateDirectory(Path.Combine(root, "tokens"));
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(root, recursive: true);
        File.WriteAllText(file, $"directories.tokendir = {Path.Combine(root, "tokens")}\nobjectstore.backend = file\nlog.level = ERROR\n");
        // For children, and for this process: .NET's environment is its own copy, which native code does not see.
        Environment.SetEnvironmentVariable("SOFTHSM2_CONF", file);
        return SetEnvironment("SOFTHSM2_CONF", file, overwrite: 1) == 0
            ? root
            : throw new InvalidOperationException($"setenv failed with {Marshal.GetLastPInvokeError()}.");
    }

#pragma warning disable SYSLIB1054 // Source-generated marshalling asks for unsafe blocks.
    [DllImport("libc", EntryPoint = "setenv", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetEnvironment(string name, string value, int overwrite);
#pragma warning restore SYSLIB1054
}
