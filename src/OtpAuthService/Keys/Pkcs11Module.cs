using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Net.Pkcs11Interop.Common;
using Net.Pkcs11Interop.HighLevelAPI;
using Calls = Net.Pkcs11Interop.LowLevelAPI80.Pkcs11Library;
using ISession = Net.Pkcs11Interop.HighLevelAPI.ISession;

namespace OtpAuthService.Keys;

/// <summary>
/// A PKCS#11 module in this process. C_Initialize counts for the whole process, whoever calls it: so there is one instance per file, which
/// is kept to the end of the process, and who uses it takes turns.
/// </summary>
internal sealed class Pkcs11Module
{
    public static readonly Pkcs11InteropFactories Factories = new();

    private static readonly ConcurrentDictionary<string, Pkcs11Module> Modules = new(StringComparer.Ordinal);

    private readonly string file;
    private Calls? calls;
    private IPkcs11Library? library;

    // Pkcs11Interop asks for "libdl", which Debian 12 has under its full name only.
    static Pkcs11Module() => NativeLibrary.SetDllImportResolver(
        typeof(Pkcs11InteropFactories).Assembly,
        (name, _, _) => name == "libdl" && NativeLibrary.TryLoad("libdl.so.2", out var handle) ? handle : IntPtr.Zero);

    private Pkcs11Module(string file) => this.file = file;

    /// <summary>Held by whoever calls the module: one call at a time, a few dozen in the life of a service.</summary>
    public SemaphoreSlim Turn { get; } = new(1, 1);

    /// <summary>Grows when the module is left: sessions of before are void.</summary>
    public int Age { get; private set; }

    /// <summary>Loads nothing yet.</summary>
    public static Pkcs11Module Of(string file) => Modules.GetOrAdd(file, path => new Pkcs11Module(path));

    /// <summary>Loads the module, where that was not done. Only in one's turn.</summary>
    /// <exception cref="KekUnavailableException">There is no such file, or this is no platform for it.</exception>
    /// <exception cref="Pkcs11Exception">It cannot be initialised.</exception>
    /// <exception cref="UnmanagedException">It cannot be loaded.</exception>
    public IPkcs11Library Enter()
    {
        if (!File.Exists(file))
        {
            throw new KekUnavailableException($"The PKCS#11 module {file} does not exist.");
        }

        if (Platform.NativeULongSize != 8 || Platform.StructPackingSize != 0)
        {
            throw new KekUnavailableException("PKCS#11 modules are used on 64-bit Linux only.");
        }

        // This one is kept, so that the module stays in memory when it is left: not every module bears to be unloaded.
        calls ??= new Calls(file);
        return library ??= Factories.Pkcs11LibraryFactory.LoadPkcs11Library(Factories, file, AppType.MultiThreaded);
    }

    /// <summary>C_Finalize: some modules see a token that came back only after a new C_Initialize. Only in one's turn.</summary>
    public void Leave()
    {
        Age++;
        library?.Dispose();
        library = null;
    }

    /// <summary>
    /// C_Decrypt into a buffer of the caller. That of Pkcs11Interop's own session leaves a copy of what it decrypted behind.
    /// </summary>
    /// <returns>How many bytes it came to.</returns>
    /// <exception cref="Pkcs11Exception">The module refuses.</exception>
    public int Decrypt(ISession session, IMechanism mechanism, IObjectHandle key, byte[] encrypted, byte[] decrypted)
    {
        var form = (Net.Pkcs11Interop.LowLevelAPI80.CK_MECHANISM)mechanism.ToMarshalableStructure();
        Check("C_DecryptInit", calls!.C_DecryptInit(session.SessionId, ref form, key.ObjectId));
        var length = (ulong)decrypted.Length;
        Check("C_Decrypt", calls.C_Decrypt(session.SessionId, encrypted, (ulong)encrypted.Length, decrypted, ref length));
        return (int)length;
    }

    private static void Check(string call, CKR answer)
    {
        if (answer != CKR.CKR_OK)
        {
            throw new Pkcs11Exception(call, answer);
        }
    }
}
