using System.Security.Cryptography;
using System.Text.Json.Serialization;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Storage;
using OtpAuthService.Submissions;
using OtpNet;

namespace OtpAuthService.Credentials;

/// <summary>IssueCredential: makes a key and an id, and hands the key out once as an otpauth URI.</summary>
internal sealed class CredentialIssuer(DecisionLedger ledger, OtpStore store, InstitutionDirectory institutions, KeyWrapping wrapping)
{
    public const string Supplier = "issued";

    /// <summary>RFC 4226 section 4, R6 recommends 160 bits.</summary>
    private const int KeySizeInBytes = 20;

    public async Task<IssuedCredential> IssueAsync(
        Submission submission, Algorithm algorithm, int digits, int periodSeconds, CancellationToken cancellation)
    {
        var answer = await ledger.DecideApartAsync(new PendingDecision(
            submission,
            async turn =>
            {
                var credential = await MakeAsync(submission.Institution, algorithm, digits, periodSeconds, turn.Now, turn.Stop);
                turn.Db.Credentials.Add(credential);
                // Saved here for its row number; an id that exists already is a lost race, and the transaction runs again with another.
                await turn.Db.SaveChangesAsync(turn.Stop);
                return Verdict.Accepted with { CredentialRef = credential.Id };
            },
            cancellation));
        // Read back, also after a fresh decision: what is handed out is what is stored, and a retry gets the same.
        var issued = await store.ReadAsync(
            (db, stop) => db.Credentials.AsNoTracking().SingleAsync(c => c.Id == answer.Verdict.CredentialRef, stop), cancellation);
        var institution = await institutions.FindAsync(submission.Institution, cancellation);
        using var key = await wrapping.UnwrapAsync(issued, cancellation);
        return new IssuedCredential(issued.CredentialId, Uri(issued, key, institution), answer.Repeated);
    }

    private async Task<Credential> MakeAsync(
        InstitutionId institution, Algorithm algorithm, int digits, int periodSeconds, DateTimeOffset now, CancellationToken stop)
    {
        var id = CredentialId.Random();
        using var key = new PinnedKey(KeySizeInBytes);
        RandomNumberGenerator.Fill(key.Bytes);
        var wrapped = await wrapping.WrapAsync(key.AsMemory(), id, algorithm, stop);
        return new Credential
        {
            CredentialId = id,
            WrappedKey = wrapped.Bytes,
            KeyVersion = wrapped.Version,
            Algorithm = algorithm,
            Digits = digits,
            PeriodSeconds = periodSeconds,
            Supplier = Supplier,
            SuppliedTo = institution,
            CreatedAt = now,
        };
    }

    private static string Uri(Credential credential, PinnedKey key, Institution institution)
    {
        var hash = credential.Algorithm switch
        {
            Algorithm.Sha1 => OtpHashMode.Sha1,
            Algorithm.Sha256 => OtpHashMode.Sha256,
            Algorithm.Sha512 => OtpHashMode.Sha512,
            _ => throw new InvalidOperationException($"Algorithm {credential.Algorithm} is not known."),
        };
        return new OtpUri(
            OtpType.Totp,
            Base32Encoding.ToString(key.Bytes.ToArray()),
            credential.CredentialId.Value,
            institution.DisplayName,
            hash,
            credential.Digits,
            credential.PeriodSeconds).ToString();
    }
}

/// <summary>What is handed out, once: it holds the key.</summary>
internal sealed record IssuedCredential(CredentialId CredentialId, [property: JsonIgnore] string OtpauthUri, bool Repeated)
{
    public override string ToString() => $"IssuedCredential {CredentialId} (key hidden)";
}
