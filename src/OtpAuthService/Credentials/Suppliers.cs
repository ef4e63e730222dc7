using System.Collections.Frozen;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Storage;

namespace OtpAuthService.Credentials;

/// <summary>The suppliers whose credentials are, or will be, taken no more: when a bank moves from one kind of token to another. The same for all institutions.</summary>
internal sealed class Suppliers(IEnumerable<SupplierDates> inForce)
{
    public static readonly Suppliers WithoutDates = new([]);

    private readonly FrozenDictionary<string, SupplierDates> dates = inForce.ToFrozenDictionary(d => d.Supplier);

    /// <summary>Those in force, by supplier.</summary>
    public static IQueryable<SupplierDates> InForce(OtpDbContext db) => db.SupplierDates.AsNoTracking()
        .Where(d => !db.SupplierDates.Any(later => later.Supplier == d.Supplier && later.Id > d.Id));

    /// <summary>Whether a supplier's credentials can be registered.</summary>
    public bool AreRegistered(string supplier, DateTimeOffset now) =>
        !(dates.TryGetValue(supplier, out var of) && (of.NoRegistrationFrom <= now || of.VerifyUntil <= now));

    /// <summary>Whether OTPs of a supplier's credentials are looked at.</summary>
    public bool AreVerified(string supplier, DateTimeOffset now) => !(dates.TryGetValue(supplier, out var of) && of.VerifyUntil <= now);
}
