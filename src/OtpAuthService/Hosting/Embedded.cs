using System.Collections.Frozen;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using QRCoder;

namespace OtpAuthService.Hosting;

/// <summary>The default without any settings: everything under one folder, loopback only, and a credential to try out.</summary>
internal sealed class Embedded(CredentialIssuer issuer, OtpStore store, TextWriter output)
{
    private const string Demo = "demo";

    /// <summary>Fills in what the embedded default brings along.</summary>
    public static void Complete(OtpAuthOptions options)
    {
        if (options is { Pkcs11: null, Transit: null })
        {
            options.KekFile ??= Path.Combine(options.DataFolder, "kek");
        }

        options.LocalCaller ??= new LocalCallerOptions { Enabled = true, Bypass = true };
        if (options.LocalCaller.Institutions.Count == 0)
        {
            options.LocalCaller.Institutions.Add(Demo);
        }
    }

    /// <summary>Makes folder and KEK on the first start. A KEK that is gone while its database remains is not replaced: the keys would be lost.</summary>
    public static void PrepareFolder(OtpAuthOptions options)
    {
        Directory.CreateDirectory(options.DataFolder);
        if (options.KekFile is { } kek && !File.Exists(kek) && !File.Exists(options.DatabaseFile))
        {
            FileKek.Create(kek);
        }
    }

    /// <summary>Issues one credential where there is none yet, and shows it with the commands to try next.</summary>
    public async Task WelcomeAsync(CancellationToken cancellation)
    {
        if (await store.ReadAsync((db, stop) => db.Credentials.AnyAsync(stop), cancellation))
        {
            return;
        }

        var institution = InstitutionId.Parse(Demo);
        var starter = new Caller("first-start", CallerRoles.Operator, new[] { institution }.ToFrozenSet());
        var issued = await issuer.IssueAsync(
            new Submission(starter, "first-start-demo-credential", "IssueCredential", institution, Fingerprint: []),
            Algorithm.Sha1,
            digits: 6,
            periodSeconds: 30,
            cancellation);
        using var qr = QRCodeGenerator.GenerateQrCode(issued.OtpauthUri, QRCodeGenerator.ECCLevel.M);
        await output.WriteLineAsync(
            $"""

            A credential to try out (トークンID): {issued.CredentialId}
            Scan it with any authenticator app, or add the address by hand:
            {issued.OtpauthUri}

            {new AsciiQRCode(qr).GetGraphicSmall()}

            Next, in a second shell:
              dotnet run --project src/OtpCtl -- demo
              dotnet run --project src/OtpCtl -- binding register --contractor C-0001 --credential {issued.CredentialId} --apply
              dotnet run --project src/OtpCtl -- binding verify --contractor C-0001

            """);
    }
}
