using System.ComponentModel;
using System.Runtime.InteropServices;

namespace OtpAuthService.Hosting;

/// <summary>A core dump of this process would hold every key in the clear (promise P7).</summary>
internal static class CoreDumps
{
    private const int SetDumpable = 4;

    /// <summary>
    /// Has the kernel write none, whatever limits and core_pattern say, and keeps debuggers of the same user away (Linux, prctl(2), PR_SET_DUMPABLE). Elsewhere it is the operator's affair.
    /// </summary>
    public static void Forbid()
    {
        if (OperatingSystem.IsLinux() && Prctl(SetDumpable, 0, 0, 0, 0) != 0)
        {
            throw new StartRefusedException($"Core dumps could not be switched off: {new Win32Exception().Message}.");
        }
    }

    [DllImport("libc", EntryPoint = "prctl", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Prctl(int option, nuint second, nuint third, nuint fourth, nuint fifth);
}
