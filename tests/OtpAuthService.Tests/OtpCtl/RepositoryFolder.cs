namespace OtpAuthService.Tests;

/// <summary>Finds files of the repository from wherever the tests were built to.</summary>
internal static class RepositoryFolder
{
    public static string Of(string relativePath)
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "OtpAuthService.sln")))
        {
            folder = folder.Parent ?? throw new DirectoryNotFoundException("The tests do not run inside the repository.");
        }

        return Path.Combine(folder.FullName, relativePath);
    }
}
