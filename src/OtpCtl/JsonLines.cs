using System.Globalization;
using System.Runtime.CompilerServices;

namespace OtpCtl;

/// <summary>Files with a JSON document on each line, which a program has appended to until it was ended.</summary>
internal static class JsonLines
{
    /// <param name="file">Which.</param>
    /// <param name="parse">Null for what is no such document: that line is skipped with a warning, as a crash leaves one behind.</param>
    /// <param name="not">What such a line is, as the warning says.</param>
    /// <param name="warnings">Where to warn.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>The documents with the numbers of their lines.</returns>
    public static async IAsyncEnumerable<(int Line, T Value)> ReadAsync<T>(
        FileInfo file, Func<string, T?> parse, string not, TextWriter warnings, [EnumeratorCancellation] CancellationToken cancellation)
        where T : class
    {
        var number = 0;
        await foreach (var line in File.ReadLinesAsync(file.FullName, cancellation))
        {
            number++;
            if (parse(line) is { } value)
            {
                yield return (number, value);
            }
            else if (!string.IsNullOrWhiteSpace(line))
            {
                warnings.WriteLine(string.Create(CultureInfo.InvariantCulture, $"otpctl: line {number} of {file.Name} is {not}, cut off perhaps: skipped."));
            }
        }
    }
}
