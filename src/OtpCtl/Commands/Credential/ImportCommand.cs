using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using System.Xml;
using Google.Protobuf;
using Grpc.Core;
using OtpAuthService.Credentials;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Credential;

internal static class ImportCommand
{
    private const int ChunkBytes = 32 * 1024;

    // Not the 3 s of other calls: a supplier's file may hold many thousand credentials.
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    private static readonly Argument<FileInfo> File =
        new Argument<FileInfo>("FILE") { Description = "The supplier's file." }.AcceptExistingOnly();

    private static readonly Option<string> Format = new Option<string>("--format")
    {
        Description = "The form of the file: PSKC is RFC 6030.",
        DefaultValueFactory = _ => "pskc",
    }.AcceptOnlyFromAmong("pskc");

    private static readonly Option<string> Supplier = new("--supplier")
    {
        Description = "Who made the credentials. Default: the manufacturer named in the file.",
        HelpName = "name",
    };

    private static readonly Option<FileInfo> KeyFile = new Option<FileInfo>("--key-file")
    {
        Description = "A file with the pre-shared key, in hex, that opens a file with encrypted keys.",
        HelpName = "file",
    }.AcceptExistingOnly();

    private static readonly Option<bool> KeyStdin = new("--key-stdin")
    {
        Description = "Read that key, in hex, from stdin. On a terminal it is asked for, without echo, where the file needs one.",
    };

    public static Command Create()
    {
        var command = new Command("import", "Takes in a supplier's file of credentials, all or nothing.")
        {
            File, Format, Supplier, KeyFile, KeyStdin, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.Validators.Add(result =>
        {
            if (result.GetResult(KeyFile) is not null && result.GetValue(KeyStdin))
            {
                result.AddError("--key-file and --key-stdin exclude each other.");
            }
        });
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ImportAsync(parsed, call), cancellation));
        return command.WithExample("otpctl credential import tokens.xml --supplier Example --key-file key.hex --apply");
    }

    private static async Task<int> ImportAsync(ParseResult parsed, ServiceCall call)
    {
        var file = await System.IO.File.ReadAllBytesAsync(parsed.GetRequiredValue(File).FullName, call.Cancellation);
        var key = await ReadKeyAsync(parsed, file, call.Cancellation);
        if (!parsed.GetValue(ApplyOption.Option))
        {
            Describe(parsed, file, key);
            return ExitCode.Success;
        }

        var header = new ImportCredentialsHeader
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Format = ImportFormat.Pskc,
            Supplier = parsed.GetValue(Supplier) ?? "",
            PreSharedKey = ByteString.CopyFrom(key),
            OperatorId = OperatorOption.Read(parsed),
        };
        using var upload = call.Service.Operations.ImportCredentials(
            deadline: (TimeProvider.System.GetUtcNow() + Deadline).UtcDateTime, cancellationToken: call.Cancellation);
        await SendAsync(upload.RequestStream, header, file);
        AnswerOutput.WriteApplied(parsed, await upload.ResponseAsync);
        return ExitCode.Success;
    }

    /// <summary>The dry run: the file as the service would read it, read here. Nothing is sent, so credentials that are already there go unseen.</summary>
    private static void Describe(ParseResult parsed, byte[] file, byte[] key)
    {
        var read = Read(parsed, file, key);
        AnswerOutput.Write(parsed, new JsonObject
        {
            ["applied"] = false,
            ["rpc"] = "ImportCredentials",
            ["credentials"] = read.Count,
            ["first"] = read[0].Id,
            ["last"] = read[^1].Id,
            ["supplier"] = parsed.GetValue(Supplier) ?? string.Join(", ", read.Select(credential => credential.Manufacturer).OfType<string>().Distinct()),
        });
        Change.WriteLastLine(parsed);
    }

    private static IReadOnlyList<PskcCredential> Read(ParseResult parsed, byte[] file, byte[] key)
    {
        try
        {
            var read = PskcReader.Read(new MemoryStream(file), key);
            foreach (var credential in read)
            {
                CryptographicOperations.ZeroMemory(credential.Key);
            }

            return read;
        }
        catch (PskcException refused)
        {
            throw new UsageException($"the service would not take '{parsed.GetRequiredValue(File).Name}': {refused.Message}");
        }
    }

    private static async Task SendAsync(IClientStreamWriter<ImportCredentialsRequest> stream, ImportCredentialsHeader header, byte[] file)
    {
        try
        {
            await stream.WriteAsync(new() { Header = header });
            foreach (var chunk in file.Chunk(ChunkBytes))
            {
                await stream.WriteAsync(new() { Chunk = UnsafeByteOperations.UnsafeWrap(chunk) });
            }

            await stream.CompleteAsync();
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            // The service answered before the end of the file: its answer, which the caller awaits next, says why.
        }
    }

    private static async Task<byte[]> ReadKeyAsync(ParseResult parsed, byte[] file, CancellationToken cancellation)
    {
        try
        {
            return Convert.FromHexString((await ReadKeyHexAsync(parsed, file, cancellation)).Trim());
        }
        catch (FormatException)
        {
            throw new UsageException("the pre-shared key is not in hex.");
        }
    }

    private static async Task<string> ReadKeyHexAsync(ParseResult parsed, byte[] file, CancellationToken cancellation)
    {
        if (parsed.GetValue(KeyFile) is { } keyFile)
        {
            return await System.IO.File.ReadAllTextAsync(keyFile.FullName, cancellation);
        }

        if (!parsed.GetValue(KeyStdin) && !HasEncryptedKeys(file))
        {
            return "";
        }

        return parsed.GetValue(KeyStdin) || !Console.IsInputRedirected
            ? await SecretInput.ReadLineAsync("pre-shared key (hex)", cancellation)
            : throw new UsageException("the keys in the file are encrypted: give --key-file or --key-stdin.");
    }

    // Only to know whether to ask for a key. Whatever is wrong with the file is the service's to say.
    private static bool HasEncryptedKeys(byte[] file)
    {
        try
        {
            using var reader = XmlReader.Create(new MemoryStream(file), new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
            while (reader.Read())
            {
                if (reader.LocalName == "EncryptedValue")
                {
                    return true;
                }
            }

            return false;
        }
        catch (XmlException)
        {
            return false;
        }
    }
}
