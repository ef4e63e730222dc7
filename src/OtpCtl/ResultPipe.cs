using System.IO.Pipes;
using System.Net.Sockets;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OtpCtl;

/// <summary>
/// stdout where it is a pipe whose reader may leave, as <c>head</c> does. Console hides that from its writers, who would go on asking
/// the service for what nobody reads.
/// </summary>
internal static class ResultPipe
{
    private const int BrokenPipe = 32; // EPIPE

    /// <summary>From now on, writing to a pipe on stdout throws once its reader has left, see <see cref="IsWithoutReader"/>.</summary>
    public static void WatchReader()
    {
        if (OperatingSystem.IsWindows() || !Console.IsOutputRedirected)
        {
            return;
        }

        try
        {
            var pipe = new AnonymousPipeClientStream(PipeDirection.Out, new SafePipeHandle(preexistingHandle: 1, ownsHandle: false));
            Console.SetOut(new StreamWriter(pipe, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { AutoFlush = true });
        }
        catch (IOException)
        {
            // Not a pipe but a file, for one: Console can write to that.
        }
    }

    /// <summary>Nobody reads the result any more: there is nothing left to do, and nothing to complain of.</summary>
    public static bool IsWithoutReader(this Exception error) =>
        // .NET reports it in either way, depending on how it writes to what kind of pipe.
        error is IOException && (error.HResult == BrokenPipe || error.InnerException is SocketException { NativeErrorCode: BrokenPipe });
}
