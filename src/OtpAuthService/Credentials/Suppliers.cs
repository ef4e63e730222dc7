using System.Collections.Frozen;
using Microsoft.EntityFrameworkCore;
using OtpAuthService.Institutions;
using OtpAuthService.Storage;

namespace OtpAuthService.Credentials;

/// <summary>The suppliers whose credentials an institution does not take any more, or will not: when a bank moves from one kind of token to another.</summary>
internal sealed class Suppliers(IEnumerable<SupplierDates> inForce)
{
    public static readonly Suppliers WithoutDates = new([]);

    private readonly FrozenDictionary<string, SupplierDates> dates = inForce.ToFrozenDictionary(d => d.Supplier);

    /// <summary>Those in force at an institution, one for each supplier.</summary>
    public static IQueryable<SupplierDates> InForce(OtpDbContext db, InstitutionId institution)
    {
        var there = db.SupplierDates.AsNoTracking().Where(d => d.InstitutionId == institution || d.InstitutionId == null);
        return there.Where(d => !there.Any(later => later.Supplier == d.Supplier && later.Id > d.Id));
    }

    /// <summary>Whether a supplier's credentials can be registered.</summary>
    public bool AreRegistered(string supplier, DateTimeOffset now) =>
        !(dates.TryGetValue(supplier, out var of) && (of.NoRegistrationFrom <= now || of.VerifyUntil <= now));

    /// <summary>Whether OTPs of a supplier's credentials are looked at.</summary>
    public bool AreVerified(string supplier, DateTimeOffset now) => !(dates.TryGetValue(supplier, out var of) && of.VerifyUntil <= now);
}
