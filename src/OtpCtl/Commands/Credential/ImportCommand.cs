using System.CommandLine;
using System.Text;
using Google.Protobuf;
using Grpc.Core;
using OtpAuthService.V1;
using Spectre.Console;

namespace OtpCtl.Commands.Credential;

internal static class ImportCommand
{
    private const int ChunkBytes = 32 * 1024;

    // Not the 3 s of other calls: a supplier's file may hold a million credentials.
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(30);

    private static readonly Argument<FileInfo> File =
        new Argument<FileInfo>("FILE") { Description = "The supplier's file." }.AcceptExistingOnly();

    private static readonly Option<string> Format = new Option<string>("--format")
    {
        Description = "The form of the file: PSKC is RFC 6030; CSV has a serial number, a key in hex, and \"totp\" or an interval; VIP is an answer of VIP's provisioning service, or several in a row.",
        DefaultValueFactory = _ => "pskc",
    }.AcceptOnlyFromAmong("pskc", "csv", "vip");

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

    private static readonly Option<FileInfo> PasswordFile = new Option<FileInfo>("--password-file")
    {
        Description = "A file whose first line is the password that opens a file with password-based encryption.",
        HelpName = "file",
    }.AcceptExistingOnly();

    private static readonly Option<bool> PasswordStdin = new("--password-stdin")
    {
        Description = "Read that password from stdin. On a terminal it is asked for, without echo, where the file needs one.",
    };

    public static Command Create()
    {
        var command = new Command("import", "Takes in a supplier's file of credentials, all or nothing; a dry run until told otherwise.")
        {
            File, Format, Supplier, KeyFile, KeyStdin, PasswordFile, PasswordStdin, OperatorOption.Option, ApplyOption.Option, ServiceCall.RequestIdOption,
        };
        command.Validators.Add(result =>
        {
            var given = new[] { result.GetResult(KeyFile) is not null, result.GetValue(KeyStdin), result.GetResult(PasswordFile) is not null, result.GetValue(PasswordStdin) };
            if (given.Count(one => one) > 1)
            {
                result.AddError("--key-file, --key-stdin, --password-file and --password-stdin exclude each other.");
            }
        });
        command.SetAction((parsed, cancellation) => ServiceCall.RunAsync(parsed, call => ImportAsync(parsed, call), cancellation));
        return command.WithExample("otpctl credential import tokens.xml --supplier Example --key-file key.hex --apply");
    }

    private static async Task<int> ImportAsync(ParseResult parsed, ServiceCall call)
    {
        var apply = parsed.GetValue(ApplyOption.Option);
        var (key, password) = await ReadSecretAsync(parsed, call.Cancellation);
        var header = new ImportCredentialsHeader
        {
            RequestId = call.RequestId,
            InstitutionId = call.Institution,
            Format = FormatOf(parsed.GetRequiredValue(Format)),
            Supplier = parsed.GetValue(Supplier) ?? "",
            PreSharedKey = ByteString.CopyFrom(key),
            Password = ByteString.CopyFrom(password),
            OperatorId = OperatorOption.Read(parsed),
            DryRun = !apply,
        };
        await using var file = parsed.GetRequiredValue(File).OpenRead();
        using var upload = call.Service.Operations.ImportCredentials(
            deadline: (TimeProvider.System.GetUtcNow() + Deadline).UtcDateTime, cancellationToken: call.Cancellation);
        var answer = AnswerOutput.IsForPeople(parsed)
            ? await DrawAsync(upload, header, file)
            : await SendAsync(upload, header, file, _ => { });
        AnswerOutput.WriteApplied(parsed, answer, apply);
        if (!apply)
        {
            Change.WriteLastLine(parsed);
        }

        return ExitCode.Success;
    }

    private static async Task<ImportCredentialsResponse> DrawAsync(
        AsyncClientStreamingCall<ImportCredentialsRequest, ImportCredentialsResponse> upload, ImportCredentialsHeader header, FileStream file)
    {
        var answer = new ImportCredentialsResponse();
        await AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(async progress =>
            {
                var bar = progress.AddTask("sending", maxValue: Math.Max(1, file.Length));
                answer = await SendAsync(upload, header, file, sent =>
                {
                    bar.Value = sent;
                    // What follows takes as long as the service needs: nobody can tell how far it is.
                    bar.Description = sent < file.Length ? "sending" : header.DryRun ? "being checked" : "being taken in";
                    bar.IsIndeterminate = sent >= file.Length;
                });
                bar.IsIndeterminate = false;
            });
        return answer;
    }

    private static async Task<ImportCredentialsResponse> SendAsync(
        AsyncClientStreamingCall<ImportCredentialsRequest, ImportCredentialsResponse> upload, ImportCredentialsHeader header, FileStream file, Action<long> sent)
    {
        var stream = upload.RequestStream;
        try
        {
            await stream.WriteAsync(new() { Header = header });
            var chunk = new byte[ChunkBytes];
            for (int read; (read = await file.ReadAsync(chunk)) > 0; sent(file.Position))
            {
                // It is on its way to the network when this returns, so that the buffer may be filled anew.
                await stream.WriteAsync(new() { Chunk = UnsafeByteOperations.UnsafeWrap(chunk.AsMemory(0, read)) });
            }

            await stream.CompleteAsync();
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            // The service answered before the end of the file: its answer says why.
        }

        return await upload.ResponseAsync;
    }

    private static ImportFormat FormatOf(string text) => text switch
    {
        "pskc" => ImportFormat.Pskc,
        "csv" => ImportFormat.OathCsv,
        "vip" => ImportFormat.Vip,
        _ => throw new ArgumentOutOfRangeException(nameof(text), text, "Not a format."),
    };

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

        var needed = parsed.GetValue(KeyStdin) ? FileSecret.Key
            : parsed.GetValue(PasswordStdin) ? FileSecret.Password
            : parsed.GetRequiredValue(Format) == "pskc" ? FileSecrets.NeededBy(parsed.GetRequiredValue(File).FullName)
            : FileSecret.None;
        if (needed != FileSecret.None && Console.IsInputRedirected && !parsed.GetValue(KeyStdin) && !parsed.GetValue(PasswordStdin))
        {
            throw new UsageException(needed == FileSecret.Key
                ? "the keys in the file are encrypted: give --key-file or --key-stdin."
                : "the keys in the file are encrypted under a password: give --password-file or --password-stdin.");
        }

        return needed switch
        {
            FileSecret.Key => (KeyOrPassword.ParseKey(await SecretInput.ReadLineAsync("pre-shared key (hex)", cancellation)), []),
            FileSecret.Password => ([], Encoding.UTF8.GetBytes(await SecretInput.ReadLineAsync("password", cancellation))),
            _ => ([], []),
        };
    }
}
