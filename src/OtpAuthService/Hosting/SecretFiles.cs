namespace OtpAuthService.Hosting;

/// <summary>Every setting of the service can be given as the path of a file that holds it: <c>ConnectionStrings__Postgres_FILE=/run/secrets/postgres</c>.</summary>
internal static class SecretFiles
{
    private const string Suffix = "_FILE";

    /// <summary>Only settings of this service: other programs have variables of that form too.</summary>
    private static readonly string[] Sections = ["ConnectionStrings", OtpAuthOptions.Section, "Kestrel"];

    public static void AddSecretFiles(this ConfigurationManager configuration)
    {
        var files = Sections.SelectMany(section => configuration.GetSection(section).AsEnumerable())
            .Where(setting => setting.Key.EndsWith(Suffix, StringComparison.Ordinal) && !string.IsNullOrEmpty(setting.Value))
            .ToList();
        foreach (var (key, path) in files)
        {
            if (!File.Exists(path))
            {
                throw new InvalidDataException($"{key.Replace(":", "__", StringComparison.Ordinal)} names {path}, which does not exist.");
            }

            configuration[key[..^Suffix.Length]] = File.ReadAllText(path).Trim();
        }
    }
}
