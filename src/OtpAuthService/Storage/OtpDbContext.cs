using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;
using OtpAuthService.Audit;
using OtpAuthService.Bindings;
using OtpAuthService.Callers;
using OtpAuthService.Credentials;
using OtpAuthService.Events;
using OtpAuthService.Institutions;
using OtpAuthService.Keys;
using OtpAuthService.Submissions;
using OtpAuthService.Verification;

namespace OtpAuthService.Storage;

/// <summary>The tables. One model for both databases; a context type each, because each has migrations of its own.</summary>
internal abstract class OtpDbContext(DbContextOptions options) : DbContext(options)
{
    public DbSet<Institution> Institutions => Set<Institution>();

    public DbSet<Credential> Credentials => Set<Credential>();

    public DbSet<Binding> Bindings => Set<Binding>();

    public DbSet<Contractor> Contractors => Set<Contractor>();

    public DbSet<StoredAnswer> Answers => Set<StoredAnswer>();

    public DbSet<AuditRecord> AuditRecords => Set<AuditRecord>();

    public DbSet<AuditChainRow> AuditChains => Set<AuditChainRow>();

    public DbSet<ContractorEvent> Events => Set<ContractorEvent>();

    public DbSet<AuditHead> AuditHeads => Set<AuditHead>();

    public DbSet<LossReport> LossReports => Set<LossReport>();

    public DbSet<SupplierDates> SupplierDates => Set<SupplierDates>();

    public DbSet<ExportOrder> ExportOrders => Set<ExportOrder>();

    public DbSet<PolicyVersion> PolicyVersions => Set<PolicyVersion>();

    public DbSet<DataKey> DataKeys => Set<DataKey>();

    public DbSet<FailureMinute> FailureMinutes => Set<FailureMinute>();

    public DbSet<Fence> Fences => Set<Fence>();

    protected override void ConfigureConventions(ModelConfigurationBuilder configuration)
    {
        configuration.Properties<InstitutionId>().HaveConversion<InstitutionIdConverter>().HaveMaxLength(32);
        configuration.Properties<ContractorId>().HaveConversion<ContractorIdConverter>().HaveMaxLength(64);
        configuration.Properties<CredentialId>().HaveConversion<CredentialIdConverter>().HaveMaxLength(40);
        configuration.Properties<TimeStep>().HaveConversion<TimeStepConverter>();
        // Unix milliseconds on both databases: SQLite cannot compare its text form of a DateTimeOffset.
        configuration.Properties<DateTimeOffset>().HaveConversion<UnixMillisecondsConverter>();
        configuration.Properties<TimeSpan>().HaveConversion<MillisecondsConverter>();
        configuration.Properties<Enum>().HaveConversion<short>();
    }

    protected override void OnModelCreating(ModelBuilder model)
    {
        model.Entity<Institution>(institution =>
        {
            institution.Ignore(i => i.Suppliers);
            institution.Property(i => i.DisplayName).HasMaxLength(64);
            // Two changes on the same version: one is rolled back and told so.
            institution.Property(i => i.PolicyVersion).IsConcurrencyToken();
            // Defaults for rows that the version before this one adds.
            institution.Property(i => i.ChannelsNeedingOtp).HasDefaultValue(Channels.PcBrowser | Channels.Smartphone);
            institution.Property(i => i.TemporaryLimit).HasDefaultValue(GuessLimits.Loosest.Temporary);
            institution.Property(i => i.HardLimit).HasDefaultValue(GuessLimits.Loosest.Hard);
            institution.Property(i => i.TemporaryLock).HasDefaultValue(GuessLimits.Loosest.Lock);
            institution.Property(i => i.ForeignLossReports).HasDefaultValue(ForeignLossReports.Signal);
            institution.Property(i => i.OutcomeDetail).HasDefaultValue(OutcomeDetail.Full);
            institution.Property(i => i.AuditContractorIds).HasDefaultValue(AuditContractorIds.Plain);
            institution.Property(i => i.TemporaryOtpNeedsConfirmation).HasDefaultValue(false);
            institution.Property(i => i.ContractorMayUnlock).HasDefaultValue(false);
        });

        model.Entity<PolicyVersion>(version =>
        {
            version.HasKey(v => new { v.InstitutionId, v.Version });
            version.Property(v => v.DisplayName).HasMaxLength(64);
            version.Property(v => v.CallerId).HasMaxLength(128);
            version.Property(v => v.Reason).HasMaxLength(200);
        });

        model.Entity<Credential>(credential =>
        {
            credential.HasIndex(c => c.CredentialId).IsUnique();
            credential.Property(c => c.Supplier).HasMaxLength(64);
            // What a claim rests on: written only if it is as it was read (promise P1).
            credential.Property(c => c.LastTimeStep).IsConcurrencyToken();
            credential.Property(c => c.Status).IsConcurrencyToken();
            credential.Property(c => c.DriftDays).HasDefaultValue(0);
            credential.ToTable(table => table.HasCheckConstraint("ck_credentials_digits", "digits IN (6, 8)"));
            credential.ToTable(table => table.HasCheckConstraint("ck_credentials_period", "period_seconds > 0"));
        });

        model.Entity<Binding>(binding =>
        {
            // A stopped one may be resumed, so that nobody else takes its place.
            var current = $"state IN ({(short)BindingState.Active}, {(short)BindingState.Stopped})";
            binding.HasOne(b => b.Credential).WithMany().HasForeignKey(b => b.CredentialRef).OnDelete(DeleteBehavior.Restrict);
            binding.HasOne<Institution>().WithMany().HasForeignKey(b => b.InstitutionId).OnDelete(DeleteBehavior.Restrict);
            binding.HasIndex(b => new { b.InstitutionId, b.ContractorId })
                .IsUnique().HasFilter(current).HasDatabaseName("ux_bindings_one_active_per_contractor");
            binding.HasIndex(b => new { b.InstitutionId, b.CredentialRef })
                .IsUnique().HasFilter(current).HasDatabaseName("ux_bindings_one_contractor_per_credential");
            binding.HasIndex(b => new { b.InstitutionId, b.ContractorId, b.Id }).HasDatabaseName("ix_bindings_history");
        });

        model.Entity<SupplierDates>(dates =>
        {
            dates.Property(d => d.Supplier).HasMaxLength(64);
            dates.Property(d => d.CallerId).HasMaxLength(128);
            dates.Property(d => d.OperatorId).HasMaxLength(64);
            dates.Property(d => d.Reason).HasMaxLength(200);
        });

        model.Entity<ExportOrder>(order =>
        {
            order.Property(o => o.Id).ValueGeneratedNever();
            order.Property(o => o.Supplier).HasMaxLength(64);
            order.Property(o => o.RequestedBy).HasMaxLength(128);
            order.Property(o => o.RequestedByOperator).HasMaxLength(64);
            order.Property(o => o.ConfirmedBy).HasMaxLength(128);
            order.Property(o => o.ConfirmedByOperator).HasMaxLength(64);
            order.Property(o => o.Reason).HasMaxLength(200);
            order.Ignore(o => o.Requester);
        });

        model.Entity<LossReport>(report => report.HasKey(r => new { r.CredentialRef, r.InstitutionId }));

        model.Entity<Contractor>(contractor =>
        {
            contractor.HasKey(c => new { c.InstitutionId, c.ContractorId });
            // Not an owned one, which a locked reading would join to the row as it was before the wait for the lock.
            contractor.ComplexProperty(c => c.TemporaryOtp, otp =>
            {
                // The naming convention leaves these out.
                otp.Ignore(o => o.Issuer);
                otp.Property(o => o.Salt).HasColumnName("temporary_otp_salt");
                otp.Property(o => o.IssuedUnder).HasColumnName("temporary_otp_issued_under");
                otp.Property(o => o.IssuedBy).HasColumnName("temporary_otp_issued_by").HasMaxLength(128);
                otp.Property(o => o.IssuedByOperator).HasColumnName("temporary_otp_issued_by_operator").HasMaxLength(64);
                otp.Property(o => o.ExpiresAt).HasColumnName("temporary_otp_expires_at");
                otp.Property(o => o.UsesLeft).HasColumnName("temporary_otp_uses_left");
                otp.Property(o => o.AwaitsConfirmation).HasColumnName("temporary_otp_awaits_confirmation");
            });
        });

        model.Entity<StoredAnswer>(answer =>
        {
            // No index by time: it would cost every decision what it saves the sweeper twice a minute.
            answer.HasKey(a => a.Key);
            answer.Property(a => a.Key).ValueGeneratedNever();
        });

        model.Entity<AuditRecord>(record =>
        {
            record.ToTable("audit_trail");
            // By months, so the moment is part of the primary key: every unique key of a partitioned table has to hold it.
            record.HasKey(r => new { r.ChainId, r.Position, r.DecidedAt });
            record.Property(r => r.CallerId).HasMaxLength(128);
            record.Property(r => r.OperatorId).HasMaxLength(64);
            record.Property(r => r.RequestId).HasMaxLength(64);
            record.Property(r => r.ContractorId).HasMaxLength(64);
            record.Property(r => r.Rpc).HasMaxLength(32);
            record.Property(r => r.Reason).HasMaxLength(200);
        });

        model.Entity<ContractorEvent>(told =>
        {
            told.ToTable("events");
            told.Property(e => e.Rpc).HasMaxLength(32);
            told.Property(e => e.RequestId).HasMaxLength(64);
            told.HasIndex(e => new { e.InstitutionId, e.Id });
            told.Ignore(e => e.Position);
        });

        model.Entity<AuditHead>(head =>
        {
            head.HasKey(h => h.Number);
            head.Property(h => h.Number).ValueGeneratedNever();
        });

        model.Entity<DataKey>(key =>
        {
            // That credentials refer to it stands in the migration, for PostgreSQL only: SQLite has one replica, which knows what it wraps under.
            key.HasKey(k => k.Version);
            key.Property(k => k.Version).ValueGeneratedNever();
            key.Property(k => k.KekVersion).HasMaxLength(128);
            key.Ignore(k => k.AssociatedData);
        });

        model.Entity<FailureMinute>(minute =>
        {
            minute.HasKey(m => new { m.CallerId, m.InstitutionId, m.Minute });
            minute.Property(m => m.CallerId).HasMaxLength(128);
        });

        model.Entity<Fence>(fence =>
        {
            fence.HasKey(f => f.Evidence);
            fence.Property(f => f.Evidence).HasMaxLength(200);
            fence.Property(f => f.Reason).HasMaxLength(200);
            fence.HasIndex(f => f.Until);
        });
    }

    private sealed class InstitutionIdConverter() : ValueConverter<InstitutionId, string>(id => id.Value, text => InstitutionId.Parse(text));

    private sealed class ContractorIdConverter() : ValueConverter<ContractorId, string>(id => id.Value, text => ContractorId.Parse(text));

    private sealed class CredentialIdConverter() : ValueConverter<CredentialId, string>(id => id.Value, text => CredentialId.Parse(text));

    private sealed class TimeStepConverter() : ValueConverter<TimeStep, long>(step => step.Value, value => new TimeStep(value));

    private sealed class UnixMillisecondsConverter() : ValueConverter<DateTimeOffset, long>(
        moment => moment.ToUnixTimeMilliseconds(), value => DateTimeOffset.FromUnixTimeMilliseconds(value));

    private sealed class MillisecondsConverter() : ValueConverter<TimeSpan, long>(
        span => (long)span.TotalMilliseconds, value => TimeSpan.FromMilliseconds(value));
}

/// <summary>The tables in PostgreSQL.</summary>
internal sealed class PostgresOtpDbContext(DbContextOptions<PostgresOtpDbContext> options) : OtpDbContext(options)
{
    protected override void ConfigureConventions(ModelConfigurationBuilder configuration)
    {
        base.ConfigureConventions(configuration);
        // Ids are compared byte by byte: a bank's database may sort by the rules of a language, which costs more on every index.
        configuration.Properties<string>().UseCollation("C");
        configuration.Properties<InstitutionId>().UseCollation("C");
        configuration.Properties<ContractorId>().UseCollation("C");
        configuration.Properties<CredentialId>().UseCollation("C");
    }

    protected override void OnModelCreating(ModelBuilder model)
    {
        base.OnModelCreating(model);
        // Not an identity: whoever is given a number has to have a transaction id by then (EventHorizon).
        model.Entity<ContractorEvent>().Property(e => e.Id).HasDefaultValueSql("next_event_id()");
    }
}

/// <summary>The tables in a SQLite file.</summary>
internal sealed class SqliteOtpDbContext(DbContextOptions<SqliteOtpDbContext> options) : OtpDbContext(options);
