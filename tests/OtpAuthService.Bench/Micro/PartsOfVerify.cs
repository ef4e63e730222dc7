using System.Security.Cryptography;
using BenchmarkDotNet.Attributes;
using Google.Protobuf;
using OtpAuthService.Bindings;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.Services;
using OtpAuthService.V1;
using DataKey = OtpAuthService.Keys.DataKey;
using OtpAuthService.Verification;
using Credential = OtpAuthService.Credentials.Credential;

namespace OtpAuthService.Bench.Micro;

/// <summary>What a Verify does besides waiting for its stores.</summary>
[MemoryDiagnoser]
public class PartsOfVerify
{
    private const int PeriodSeconds = 30;

    private readonly byte[] key = RandomNumberGenerator.GetBytes(20);
    private readonly DateTimeOffset now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);
    private string digits = "";
    private Otp otp;
    private TimeStep current;
    private readonly PinnedKey dataKey = new(DataKey.SizeInBytes);
    private Credential credential = null!;
    private byte[] message = [];
    private OtpNet.Totp otpNet = null!;

    [GlobalSetup]
    public void SetUp()
    {
        otpNet = new OtpNet.Totp(key, PeriodSeconds);
        digits = otpNet.ComputeTotp(now.UtcDateTime);
        _ = Otp.TryParse(digits, out otp);
        current = TimeStep.At(now, PeriodSeconds);

        RandomNumberGenerator.Fill(dataKey.Bytes);
        using var nonces = RandomNumberGenerator.Create();
        var id = CredentialId.Random();
        credential = new Credential
        {
            CredentialId = id,
            WrappedKey = CredentialCipher.Wrap(dataKey, version: 1, key, id, Algorithm.Sha1, nonces),
            KeyVersion = 1,
            Algorithm = Algorithm.Sha1,
            Digits = digits.Length,
            PeriodSeconds = PeriodSeconds,
            Supplier = "bench",
            CreatedAt = now,
        };
        message = new VerifyRequest
        {
            RequestId = "0123456789abcdef0123456789abcdef",
            InstitutionId = "bench",
            ContractorId = "C00000001",
            Channel = Channel.PcBrowser,
            Purpose = Purpose.Login,
            Otp = digits,
        }.ToByteArray();
    }

    /// <summary>All three steps of the default window, in constant time.</summary>
    [Benchmark]
    public bool Match() => TotpMatcher.Match(key, Algorithm.Sha1, otp, current.Plus(-1), current.Plus(1)) is not null;

    /// <summary>The same question to Otp.NET, which stops at the first step that matches: here the second of three.</summary>
    [Benchmark]
    public bool MatchByOtpNet() => otpNet.VerifyTotp(now.UtcDateTime, digits, out _, new OtpNet.VerificationWindow(previous: 1, future: 1));

    [Benchmark]
    public int Unwrap()
    {
        using var opened = CredentialCipher.Unwrap(dataKey, credential.KeyVersion, credential.WrappedKey, credential.CredentialId, credential.Algorithm);
        return opened.Bytes.Length;
    }

    /// <summary>From the bytes of the message to domain values.</summary>
    [Benchmark]
    public int Parse()
    {
        var request = VerifyRequest.Parser.ParseFrom(message);
        var read = new RequestReader();
        read.RequestId(request.RequestId);
        var contractor = read.Contractor(request.InstitutionId, request.ContractorId);
        read.Channel(request.Channel);
        read.Purpose(request.Purpose);
        var submitted = read.Otp(request.Otp);
        read.ThrowIfInvalid();
        return contractor.Contractor.Value.Length + submitted.Length;
    }
}
