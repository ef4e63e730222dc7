using OtpAuthService.Tests.Fixtures;

namespace OtpAuthService.Bench.Lab;

/// <summary>The product as it is published, Release, in a folder of its own.</summary>
internal sealed class Publication
{
    private readonly string folder;

    private Publication(string folder) => this.folder = folder;

    public string Program => Path.Combine(folder, "OtpAuthService.dll");

    public string RuntimeConfig => Path.Combine(folder, "OtpAuthService.runtimeconfig.json");

    public static async Task<Publication> MakeAsync(string folder)
    {
        var project = Path.Combine(RepositoryRoot(), "src", "OtpAuthService");
        await ChildProcess.RunAsync("dotnet", ["publish", project, "--configuration", "Release", "--output", folder]);
        return new Publication(folder);
    }

    /// <summary>The checkout that this program was built in.</summary>
    public static string RepositoryRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "OtpAuthService.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("Run it from a checkout of the repository: it publishes the service from there.");
    }
}
