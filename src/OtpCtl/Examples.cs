using System.CommandLine;
using System.Runtime.CompilerServices;

namespace OtpCtl;

/// <summary>What a command looks like when it is used; stands in its --help.</summary>
internal static class Examples
{
    private static readonly ConditionalWeakTable<Command, string> All = [];

    public static Command WithExample(this Command command, string example)
    {
        All.Add(command, example);
        return command;
    }

    /// <returns>Null for a noun, whose verbs have them.</returns>
    public static string? ExampleOf(Command command) => All.TryGetValue(command, out var example) ? example : null;
}
