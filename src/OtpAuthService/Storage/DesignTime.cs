using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;
using Npgsql;

namespace OtpAuthService.Storage;

/// <summary>For <c>dotnet ef</c> only: builds the model without a server to connect to.</summary>
internal sealed class PostgresDesignTimeFactory : IDesignTimeDbContextFactory<PostgresOtpDbContext>
{
    public PostgresOtpDbContext CreateDbContext(string[] args) =>
        new(new DbContextOptionsBuilder<PostgresOtpDbContext>().UsePostgres(NpgsqlDataSource.Create("Host=127.0.0.1")).Options);
}

/// <inheritdoc cref="PostgresDesignTimeFactory"/>
internal sealed class SqliteDesignTimeFactory : IDesignTimeDbContextFactory<SqliteOtpDbContext>
{
    public SqliteOtpDbContext CreateDbContext(string[] args) =>
        new(new DbContextOptionsBuilder<SqliteOtpDbContext>().UseSqliteFile("design-time.db").Options);
}
