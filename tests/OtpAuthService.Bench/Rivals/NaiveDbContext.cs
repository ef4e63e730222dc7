using System.ComponentModel.DataAnnotations;
using Microsoft.EntityFrameworkCore;

namespace OtpAuthService.Bench.Rivals;

/// <summary>The naive rival's tables.</summary>
internal sealed class NaiveDbContext(DbContextOptions<NaiveDbContext> options) : DbContext(options)
{
    public DbSet<NaiveBinding> Bindings => Set<NaiveBinding>();

    public DbSet<NaiveCredential> Credentials => Set<NaiveCredential>();

    public DbSet<NaiveAuditRecord> AuditRecords => Set<NaiveAuditRecord>();

    protected override void OnModelCreating(ModelBuilder model) =>
        model.Entity<NaiveBinding>().HasIndex(b => new { b.InstitutionId, b.ContractorId }).IsUnique();
}

internal sealed class NaiveCredential
{
    public long Id { get; init; }

    [MaxLength(40)]
    public required string CredentialId { get; init; }

    public required byte[] Secret { get; init; }

    public int Digits { get; init; }

    public int PeriodSeconds { get; init; }

    public DateTime? LastUsedAt { get; set; }
}

internal sealed class NaiveBinding
{
    public long Id { get; init; }

    [MaxLength(32)]
    public required string InstitutionId { get; init; }

    [MaxLength(64)]
    public required string ContractorId { get; init; }

    public long CredentialId { get; init; }

    public NaiveCredential Credential { get; init; } = null!;

    public bool IsActive { get; init; }
}

internal sealed class NaiveAuditRecord
{
    public long Id { get; init; }

    public DateTime At { get; init; }

    [MaxLength(64)]
    public required string RequestId { get; init; }

    [MaxLength(32)]
    public required string InstitutionId { get; init; }

    [MaxLength(64)]
    public required string ContractorId { get; init; }

    public int Purpose { get; init; }

    public int Outcome { get; init; }
}
