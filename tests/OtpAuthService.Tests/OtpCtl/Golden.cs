namespace OtpAuthService.Tests;

/// <summary>What the program prints, as it was last reviewed.</summary>
internal static class Golden
{
    private static string Folder => RepositoryFolder.Of("tests/OtpAuthService.Tests/OtpCtl/Golden");

    /// <summary>UPDATE_GOLDEN=1 rewrites the file; the diff is then reviewed like code.</summary>
    public static void Assert(string file, string actual)
    {
        var path = Path.Combine(Folder, file);
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            File.WriteAllText(path, actual);
        }

        NUnit.Framework.Assert.That(actual, Is.EqualTo(File.Exists(path) ? File.ReadAllText(path) : ""), $"differs from {file}");
    }

    public static IEnumerable<string> Names(string pattern) => Directory.GetFiles(Folder, pattern).Select(path => Path.GetFileName(path));
}
