using System.Runtime.CompilerServices;
using System.Text;
using OtpNet;
using static OtpAuthService.Credentials.RefusedFileException;

namespace OtpAuthService.Credentials;

/// <summary>
/// Reads lines of "serial number, key, …" as token makers deliver them: with a first line that names the columns, or in the order of
/// <see cref="ReadInOrder"/>. What a line does not say for certain, above all that it is TOTP and not HOTP, refuses the file.
/// </summary>
internal static class OathCsvReader
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Names of columns, without spaces, underscores and hyphens.</summary>
    private static readonly Dictionary<string, Column> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        ["serial"] = Column.Serial, ["serialnumber"] = Column.Serial, ["serialno"] = Column.Serial, ["tokenserial"] = Column.Serial,
        ["tokenid"] = Column.Serial, ["credentialid"] = Column.Serial,
        ["secret"] = Column.Key, ["secretkey"] = Column.Key, ["secrethex"] = Column.Key, ["seed"] = Column.Key, ["key"] = Column.Key, ["otpkey"] = Column.Key,
        ["type"] = Column.Type, ["tokentype"] = Column.Type,
        ["digits"] = Column.Digits, ["otplen"] = Column.Digits, ["otplength"] = Column.Digits,
        ["interval"] = Column.Interval, ["timeinterval"] = Column.Interval, ["timestep"] = Column.Interval, ["period"] = Column.Interval,
        ["algorithm"] = Column.Algorithm, ["hashlib"] = Column.Algorithm, ["hash"] = Column.Algorithm,
        ["manufacturer"] = Column.Manufacturer, ["vendor"] = Column.Manufacturer,
        ["model"] = Column.Ignored, ["upn"] = Column.Upn,
    };

    private enum Column
    {
        Serial,
        Key,
        Type,
        Digits,
        Interval,
        Algorithm,
        Manufacturer,

        /// <summary>Whose token it is; only Microsoft's form has it, and that one has keys in Base32.</summary>
        Upn,
        Ignored,
    }

    /// <summary>Reads keys in the clear: the format knows no others.</summary>
    /// <exception cref="RefusedFileException">The file cannot be read any further.</exception>
    public static async IAsyncEnumerable<SuppliedEntry> ReadAsync(
        UploadedFile file, FileSecrets secrets, [EnumeratorCancellation] CancellationToken stop)
    {
        RefuseSecrets(secrets);
        using var lines = new StreamReader(file, StrictUtf8);
        Form? form = null;
        var (number, entries) = (0, 0);
        while (await ReadLineAsync(lines, number + 1, stop) is { } line)
        {
            number++;
            file.BeginEntry();
            if (string.IsNullOrWhiteSpace(line) || line.StartsWith('#'))
            {
                continue;
            }

            var first = form is null;
            form ??= Form.Of(line, number);
            if (first && form.Columns is not null)
            {
                continue;
            }

            entries++;
            yield return ReadEntry(line, number, form);
        }

        if (entries == 0)
        {
            throw new RefusedFileException(WholeFile, "has no credential");
        }
    }

    private static void RefuseSecrets(FileSecrets secrets)
    {
        if (!secrets.PreSharedKey.IsEmpty || !secrets.Password.IsEmpty)
        {
            throw new RefusedFileException(WholeFile, "has plain keys (CSV has no others), but a key or password to open it was given");
        }
    }

    private static async Task<string?> ReadLineAsync(StreamReader lines, int number, CancellationToken stop)
    {
        try
        {
            return await lines.ReadLineAsync(stop);
        }
        catch (DecoderFallbackException)
        {
            throw new RefusedFileException(WholeFile, $"is not UTF-8, at line {number} or soon behind it");
        }
    }

    private static SuppliedEntry ReadEntry(string line, int number, Form form)
    {
        var where = $"Line {number}";
        try
        {
            var fields = form.Split(line, where);
            return new SuppliedEntry(form.Columns is { } columns ? ReadByName(fields, columns, number, where) : ReadInOrder(fields, number, where), null);
        }
        catch (RefusedFileException refusal)
        {
            return new SuppliedEntry(null, refusal);
        }
    }

    /// <summary><c>serial, key, totp[, digits[, interval]]</c> or <c>serial, key, interval</c>.</summary>
    private static SuppliedCredential ReadInOrder(string[] fields, int number, string where)
    {
        if (fields.Length is < 3 or > 5)
        {
            throw new RefusedFileException(
                where, $"has {fields.Length} fields; a serial number, a key in hex, and \"totp\" or an interval are needed, digits and an interval may follow");
        }

        var isTyped = !char.IsAsciiDigit(fields[2].FirstOrDefault());
        if (isTyped)
        {
            RequireTotp(fields[2], where);
        }
        else if (fields.Length > 3)
        {
            throw new RefusedFileException(where, "has fields behind its interval, which are not understood");
        }

        var digits = fields.Length > 3 ? SuppliedCredential.ReadDigits(fields[3], "Length", where) : 6;
        var interval = isTyped ? fields.ElementAtOrDefault(4) : fields[2];
        var period = interval is null ? 30 : SuppliedCredential.ReadPeriod(interval, "interval", where);
        return new SuppliedCredential(number, fields[0], ReadKey(fields[1], isBase32: false, where), Algorithm.Sha1, digits, period);
    }

    private static SuppliedCredential ReadByName(string[] fields, Column[] columns, int number, string where)
    {
        if (fields.Length != columns.Length)
        {
            throw new RefusedFileException(where, $"has {fields.Length} fields, but the first line names {columns.Length} columns");
        }

        var type = Field(Column.Type);
        if (type is not null)
        {
            RequireTotp(type, where);
        }

        var interval = Field(Column.Interval);
        if (type is null && interval is null)
        {
            throw new RefusedFileException(where, "has neither a type nor an interval, so that it may be HOTP");
        }

        var digits = Field(Column.Digits) is { } length ? SuppliedCredential.ReadDigits(length, "Length", where) : 6;
        var period = interval is null ? 30 : SuppliedCredential.ReadPeriod(interval, "interval", where);
        var algorithm = ReadAlgorithm(Field(Column.Algorithm), where);
        var serial = Field(Column.Serial) ?? "";
        var key = ReadKey(Field(Column.Key) ?? "", isBase32: columns.Contains(Column.Upn), where);
        return new SuppliedCredential(number, serial, key, algorithm, digits, period) { Manufacturer = Field(Column.Manufacturer) };

        string? Field(Column column) => Array.IndexOf(columns, column) is >= 0 and var at && fields[at].Length > 0 ? fields[at] : null;
    }

    private static void RequireTotp(string type, string where)
    {
        if (!type.Equals("totp", StringComparison.OrdinalIgnoreCase))
        {
            var name = type.Equals("hotp", StringComparison.OrdinalIgnoreCase) ? "an HOTP (counter-based) key" : $"a key of type {Quote(type)}";
            throw new RefusedFileException(where, $"holds {name}; only TOTP keys can be imported");
        }
    }

    private static Algorithm ReadAlgorithm(string? name, string where) => name?.ToUpperInvariant().Replace("-", "", StringComparison.Ordinal) switch
    {
        null or "SHA1" or "HMACSHA1" => Algorithm.Sha1,
        "SHA256" or "HMACSHA256" => Algorithm.Sha256,
        "SHA512" or "HMACSHA512" => Algorithm.Sha512,
        _ => throw new RefusedFileException(where, $"has the algorithm {Quote(name)}; SHA1, SHA256 and SHA512 are supported"),
    };

    private static byte[] ReadKey(string text, bool isBase32, string where)
    {
        byte[] key;
        try
        {
            key = isBase32 ? Base32Encoding.ToBytes(text) : Convert.FromHexString(text);
        }
        catch (Exception malformed) when (malformed is FormatException or ArgumentException)
        {
            // Not repeated, for it may be a key with a typing mistake.
            throw new RefusedFileException(where, $"has a key that is not {(isBase32 ? "Base32" : "hex")}");
        }

        return SuppliedCredential.RequireKeyLength(key, where);
    }

    /// <summary>What parts the fields, and the columns where the first line names them.</summary>
    private sealed record Form(char Separator, Column[]? Columns)
    {
        public static Form Of(string line, int number)
        {
            char[] separators = [',', ';', '\t'];
            var form = new Form(separators.MaxBy(s => line.Count(c => c == s)), null);
            var names = form.Split(line, $"Line {number}").Select(Bare).ToArray();
            if (!names.Any(Names.ContainsKey))
            {
                return form;
            }

            var unknown = Array.Find(names, name => !Names.ContainsKey(name));
            if (unknown is not null)
            {
                throw new RefusedFileException(WholeFile, $"has a column {Quote(unknown)}, which is not understood");
            }

            var columns = names.Select(name => Names[name]).ToArray();
            return columns.Contains(Column.Serial) && columns.Contains(Column.Key) && columns.Where(c => c != Column.Ignored).Distinct().Count() == columns.Count(c => c != Column.Ignored)
                ? form with { Columns = columns }
                : throw new RefusedFileException(WholeFile, "needs a column for the serial number and one for the key, and none twice");
        }

        /// <summary>Fields may stand in quotes; a separator or a quote inside them is in no such file.</summary>
        public string[] Split(string line, string where)
        {
            var fields = line.Split(Separator, StringSplitOptions.TrimEntries);
            for (var i = 0; i < fields.Length; i++)
            {
                if (fields[i] is ['"', .. var inner, '"'])
                {
                    fields[i] = inner.Trim();
                }

                if (fields[i].Contains('"', StringComparison.Ordinal))
                {
                    throw new RefusedFileException(where, "has a quote inside a field");
                }
            }

            return fields;
        }

        private static string Bare(string name) => string.Concat(name.Where(c => c is not (' ' or '_' or '-')));
    }
}
