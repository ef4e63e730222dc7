using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Grpc.Core;
using OtpAuthService.V1;
using Spectre.Console;

namespace OtpCtl.Commands.Export;

/// <summary>An export is there once, also for the same request sent again: there is no --request-id.</summary>
internal static class FetchCommand
{
    // Not the 3 s of other calls: a million credentials over a slow line.
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(30);

    private static readonly Option<FileInfo> File = new("--file")
    {
        Description = "The file to make. Its owner alone can read it; one that is there is not overwritten.",
        HelpName = "file",
        Required = true,
    };

    private static readonly Option<FileInfo> KeyFile = new Option<FileInfo>("--key-file")
    {
        Description = "A file with the key to encrypt with, in hex: 16, 24 or 32 bytes for AES.",
        HelpName = "file",
    }.AcceptExistingOnly();

    private static readonly Option<bool> KeyStdin = new("--key-stdin")
    {
        Description = "Read that key, in hex, from stdin. On a terminal it is asked for twice, without echo.",
    };

    private static readonly Option<FileInfo> PasswordFile = new Option<FileInfo>("--password-file")
    {
        Description = "A file whose first line is the password to encrypt with, 12 to 128 bytes.",
        HelpName = "file",
    }.AcceptExistingOnly();

    private static readonly Option<bool> PasswordStdin = new("--password-stdin")
    {
        Description = "Read that password from stdin. On a terminal it is asked for twice, without echo.",
    };

    public static Command Create()
    {
        var command = new Command(
            "fetch", "Whoever requested it: writes the confirmed export to a file, once, encrypted (RFC 6030 PSKC) under a key or password. What breaks off is removed, and counts as fetched.")
        {
            ExportIdOption.Option, File, KeyFile, KeyStdin, PasswordFile, PasswordStdin, OperatorOption.Option, ApplyOption.Option,
        };
        command.Validators.Add(result =>
        {
            var given = new[] { result.GetResult(KeyFile) is not null, result.GetValue(KeyStdin), result.GetResult(PasswordFile) is not null, result.GetValue(PasswordStdin) };
            if (given.Count(one => one) != 1)
            {
                result.AddError("One of --key-file, --key-stdin, --password-file and --password-stdin is needed.");
            }
        });
        SecretFile.RefuseExisting(command, File);
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => FetchAsync(parsed, call), cancellation));
        return command.WithExample("otpctl export fetch --id 0f8fad5bd9cb469fa16570867728950e --operator h.sato --file leaving.pskc --key-file key.hex --apply");
    }

    private static async Task<int> FetchAsync(ParseResult parsed, ServiceCall call)
    {
        var request = new ExportCredentialsRequest
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            ExportId = parsed.GetRequiredValue(ExportIdOption.Option),
            OperatorId = OperatorOption.Read(parsed),
        };
        if (!parsed.GetValue(ApplyOption.Option))
        {
            return await Change.DryRunAsync(parsed, request, Now.NotToldAsync);
        }

        using var file = SecretFile.Create(parsed.GetRequiredValue(File));
        var (key, password) = await ReadSecretAsync(parsed, call.Cancellation);
        (request.PreSharedKey, request.Password) = (ByteString.CopyFrom(key), ByteString.CopyFrom(password));
        using var download = call.Service.Operations.ExportCredentials(
            request, deadline: (TimeProvider.System.GetUtcNow() + Deadline).UtcDateTime, cancellationToken: call.Cancellation);
        try
        {
            var credentials = AnswerOutput.IsForPeople(parsed)
                ? await DrawAsync(download, file.Content)
                : await ReceiveAsync(download, file.Content, _ => { });
            file.Keep();
            AnswerOutput.Write(parsed, new JsonObject { ["applied"] = true, ["file"] = $"{parsed.GetValue(File)}", ["credentials"] = credentials });
            return ExitCode.Success;
        }
        catch (RpcException e) when (!e.IsRefusal() && call.Service.HasConnected)
        {
            WriteWhatIsLeft(parsed);
            throw;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && !e.IsWithoutReader())
        {
            parsed.InvocationConfiguration.Error.WriteLine($"otpctl: {e.Message}");
            WriteWhatIsLeft(parsed);
            return ExitCode.Unavailable;
        }
    }

    private static async Task<long> DrawAsync(AsyncServerStreamingCall<ExportCredentialsResponse> download, FileStream file)
    {
        var credentials = 0L;
        await AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(async progress =>
            {
                var bar = progress.AddTask("receiving");
                credentials = await ReceiveAsync(download, file, piece => bar.Value = 100.0 * piece.Credentials / Math.Max(1, piece.Total));
                bar.Value = bar.MaxValue;
            });
        return credentials;
    }

    private static async Task<long> ReceiveAsync(
        AsyncServerStreamingCall<ExportCredentialsResponse> download, FileStream file, Action<ExportCredentialsResponse> received)
    {
        var credentials = 0L;
        // Ends without an exception only where the service says that this was all.
        await foreach (var piece in download.ResponseStream.ReadAllAsync())
        {
            await file.WriteAsync(piece.Chunk.Memory);
            credentials = piece.Credentials;
            received(piece);
        }

        return credentials;
    }

    private static void WriteWhatIsLeft(ParseResult parsed) => parsed.InvocationConfiguration.Error.WriteLine(
        "otpctl: no file was made. What was handed out in part counts as fetched: where the next fetch is refused with EXPORT_FETCHED, request and confirm the export anew.");

    private static async Task<(byte[] Key, byte[] Password)> ReadSecretAsync(ParseResult parsed, CancellationToken cancellation)
    {
        if (parsed.GetValue(KeyFile) is { } keyFile)
        {
            return (await KeyOrPassword.ReadKeyAsync(keyFile, cancellation), []);
        }

        if (parsed.GetValue(PasswordFile) is { } passwordFile)
        {
            return ([], await KeyOrPassword.ReadPasswordAsync(passwordFile, cancellation));
        }

        return parsed.GetValue(KeyStdin)
            ? (KeyOrPassword.ParseKey(await AskAsync("key (hex)", cancellation)), [])
            : ([], Encoding.UTF8.GetBytes(await AskAsync("password", cancellation)));
    }

    // Twice: with a slip of the finger nobody could open the file, and it is there once.
    private static async Task<string> AskAsync(string name, CancellationToken cancellation)
    {
        var secret = await SecretInput.ReadLineAsync(name, cancellation);
        return Console.IsInputRedirected || await SecretInput.ReadLineAsync($"{name}, again", cancellation) == secret
            ? secret
            : throw new UsageException($"the two are not the same {name}.");
    }
}
