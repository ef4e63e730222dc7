using System.Security.Cryptography;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using OtpAuthService.Tests.Fixtures;
using OtpAuthService.V1;
using OtpNet;
using static OtpAuthService.Tests.Credentials.PskcFiles;

namespace OtpAuthService.Tests.Credentials;

/// <summary>ImportCredentials over gRPC, in every format: the right keys, or one clear sentence and nothing stored.</summary>
[TestFixture(StoreKind.Sqlite)]
[TestFixture(StoreKind.Postgres)]
public class ImportTests(StoreKind kind)
{
    private const string Aes128 = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
    private const string HmacSha1 = "http://www.w3.org/2000/09/xmldsig#hmac-sha1";

    private static readonly byte[] FigureKey = "12345678901234567890"u8.ToArray();

    private OtpService service = null!;

    private DateTimeOffset Now => service.Clock.GetUtcNow();

    [OneTimeSetUp]
    public async Task StartAsync() => service = await OtpService.StartAsync(kind);

    [OneTimeTearDown]
    public async Task StopAsync() => await service.DisposeAsync();

    [TearDown]
    public void NoErrorWasLogged() => Assert.That(service.Errors.Errors, Is.Empty);

    // The RFC's figures that hold a key are HOTP, so only their algorithm is changed; ids are the test's, for each is imported once.
    [TestCase(Figure3, "12345678", "", "", 8, TestName = "Pskc_Figure3AsTotp_Verifies")]
    [TestCase(Figure6, "12345678", PreSharedKey, "", 8, TestName = "Pskc_Figure6AsTotp_Verifies")]
    [TestCase(Figure7, "123456", "", "qwerty", 8, TestName = "Pskc_Figure7AsTotp_Verifies")]
    public async Task Pskc_FigureAsTotp_Verifies(string figure, string figureId, string preSharedKey, string password, int digits)
    {
        var id = NewId();
        var file = AsTotp(figure).Replace($"Id=\"{figureId}\"", $"Id=\"{id}\"", StringComparison.Ordinal);

        var answer = await ImportAsync(Pskc(preSharedKey, password), file);

        Assert.That((answer.Imported, answer.Repeated), Is.EqualTo((1, false)));
        await AssertVerifiesAsync(id, new Totp(FigureKey, totpSize: digits));
    }

    [Test]
    public async Task Pskc_EveryParameter_IsTakenOver()
    {
        var (first, second) = (NewId(), NewId());
        var file = Plain.Replace("VSMT00000001", first, StringComparison.Ordinal).Replace("VSMT00000002", second, StringComparison.Ordinal);

        Assert.That((await ImportAsync(Pskc(), file)).Imported, Is.EqualTo(2));

        // Its clock is four steps of a minute ahead, the file says.
        await AssertVerifiesAsync(first, new Totp(FigureKey, step: 60, mode: OtpHashMode.Sha256, totpSize: 8), TimeSpan.FromMinutes(4));
        await AssertVerifiesAsync(second, new Totp("ABCDEFGHIJKLMNOP"u8.ToArray()));
        var shown = (await ShowAsync(first)).Credential;
        Assert.That(
            (shown.Digits, shown.PeriodSeconds, shown.Algorithm, shown.DriftSteps, shown.Supplier, shown.ValidFrom.ToDateTimeOffset(), shown.ValidUntil.ToDateTimeOffset()),
            Is.EqualTo((8, 60, Algorithm.Sha256, 4, "TokenVendorAcme", new DateTimeOffset(2026, 4, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2031, 4, 1, 0, 0, 0, TimeSpan.Zero))));
    }

    [TestCase("{0},{1},totp", "6", 30)]
    [TestCase("{0}, {1}, TOTP, 8", "8", 30)]
    [TestCase("{0};{1};totp;6;60", "6", 60)]
    [TestCase("\"{0}\",\"{1}\",\"60\"", "6", 60)]
    [TestCase("# from the maker\n\nserial,secret,interval,digits\n{0},{1},30,8", "8", 30)]
    [TestCase("\uFEFFSerial Number\tSeed\tType\tModel\r\n{0}\t{1}\ttotp\tC100\r\n", "6", 30)]
    [TestCase("serial,key,time_step,hashlib,otplen,manufacturer\n{0},{1},60,SHA256,8,Acme", "8", 60, OtpHashMode.Sha256)]
    public async Task Csv_EveryForm_Verifies(string form, string digits, int period, OtpHashMode hash = OtpHashMode.Sha1)
    {
        var (id, key) = (NewId(), RandomNumberGenerator.GetBytes(20));
        var file = form.Replace("{0}", id, StringComparison.Ordinal).Replace("{1}", Convert.ToHexString(key), StringComparison.Ordinal);

        Assert.That((await ImportAsync(Csv(), file)).Imported, Is.EqualTo(1));

        await AssertVerifiesAsync(id, new Totp(key, period, hash, digits == "8" ? 8 : 6));
    }

    [Test]
    public async Task Csv_InMicrosoftsForm_HasItsKeysInBase32()
    {
        var (id, key) = (NewId(), RandomNumberGenerator.GetBytes(20));
        var file = $"upn,serial number,secret key,time interval,manufacturer,model\nhanako@demo.example,{id},{Base32Encoding.ToString(key)},30,Acme,C200\n";

        await ImportAsync(Csv(), file);

        await AssertVerifiesAsync(id, new Totp(key));
        Assert.That((await ShowAsync(id)).Credential.Supplier, Is.EqualTo("Acme"));
    }

    [Test]
    public async Task Vip_AnswersInARow_Verify()
    {
        var ids = new[] { NewId(), NewId(), NewId() };
        var keys = ids.Select(_ => RandomNumberGenerator.GetBytes(20)).ToArray();
        var answers = ids.Zip(keys, (id, key) => VipFiles.With(id, key, VipFiles.PublishedKey, "2031-04-01T00:00:00.000Z")).ToArray();
        // One behind the other without so much as a line break, and one that says nothing of XML.
        var file = answers[0].TrimEnd() + answers[1] + answers[2][answers[2].IndexOf("<Get", StringComparison.Ordinal)..];

        Assert.That((await ImportAsync(Vip(), file)).Imported, Is.EqualTo(3));

        for (var i = 0; i < 3; i++)
        {
            await AssertVerifiesAsync(ids[i], new Totp(keys[i]));
        }

        Assert.That((await ShowAsync(ids[0])).Credential.ValidUntil.ToDateTimeOffset(), Is.EqualTo(new DateTimeOffset(2031, 4, 1, 0, 0, 0, TimeSpan.Zero)));
    }

    [Test]
    public async Task Vip_UnderAKeyOfItsOwn_Verifies()
    {
        var (id, key, openedBy) = (NewId(), RandomNumberGenerator.GetBytes(20), RandomNumberGenerator.GetBytes(16));

        await ImportAsync(Vip(openedBy), VipFiles.With(id, key, openedBy, "2031-04-01T00:00:00.000Z"));

        await AssertVerifiesAsync(id, new Totp(key));
    }

    // With another id and a later expiry: the recorded one is past.
    [Test]
    public async Task Vip_RecordedAnswer_GivesTheKeyThatPythonVipaccessReads()
    {
        var id = NewId();

        await ImportAsync(Vip(), VipFiles.Recorded.Replace("VSST26070843", id, StringComparison.Ordinal).Replace("2017-", "2031-", StringComparison.Ordinal));

        await AssertVerifiesAsync(id, new Totp(VipFiles.RecordedKey));
    }

    private static IEnumerable<TestCaseData> RefusedFiles()
    {
        var entities = string.Concat(Enumerable.Range(1, 9).Select(i => $"<!ENTITY l{i} \"{string.Concat(Enumerable.Repeat($"&l{i - 1};", 10))}\">"));
        var figure6 = AsTotp(Figure6);
        var names = string.Join(' ', Enumerable.Range(0, 2_000).Select(i => $"n{i}=\"\""));
        var mac = figure6.IndexOf("<ValueMAC>", StringComparison.Ordinal);
        var macEnd = figure6.IndexOf("</ValueMAC>", StringComparison.Ordinal) + "</ValueMAC>".Length;

        yield return Case("BrokenMac", Pskc(PreSharedKey), With(figure6, "Su+NvtQf", "Su+NvtQg"), "Key package 1 ('12345678') at line 17 does not match its MAC");
        yield return Case("MissingMac", Pskc(PreSharedKey), figure6[..mac] + figure6[macEnd..], "Key package 1 ('12345678') at line 17 has an encrypted key without a ValueMAC");
        yield return Case("WrongPreSharedKey", Pskc("00000000000000000000000000000000"), figure6, "the pre-shared key is another one");
        yield return Case("NoPreSharedKey", Pskc(), figure6, "has encrypted keys: give the pre-shared key 'Pre-shared-key'");
        yield return Case("WrongPassword", Pskc(password: "Qwerty"), AsTotp(Figure7), "the password is another one");
        yield return Case("NoPassword", Pskc(), AsTotp(Figure7), "under a password (PBKDF2): give the password");
        yield return Case("Hotp", Pskc(), Figure3, "Key package 1 ('12345678') at line 3 holds an HOTP (counter-based) key");
        yield return Case("Xxe", Pskc(), With(Plain, "?>", "?><!DOCTYPE KeyContainer [<!ENTITY k SYSTEM \"file:///etc/hostname\">]>"), "The file has a DTD (DOCTYPE), which is not allowed");
        yield return Case("BillionLaughs", Pskc(), With(With(Plain, "?>", $"?><!DOCTYPE KeyContainer [<!ENTITY l0 \"lol\">{entities}]>"), "<Issuer>Issuer", "<Issuer>&l9;"), "has a DTD");
        yield return Case("IdTwice", Pskc(), With(Plain, "Id=\"VSMT00000002\"", "Id=\"vsmt-0000 0001\""), "Line 28 has the credential id 'VSMT00000001' of line 3 again");
        yield return Case("NoCredentialId", Pskc(), With(Plain, "Id=\"VSMT00000002\"", "Id=\"番号\""), "Line 28 names a key '番号', which is not a credential id");
        yield return Case("Key120Bits", Pskc(), With(Plain, "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=", "MTIzNDU2Nzg5MDEyMzQ1"), "Key package 1 ('VSMT00000001') at line 3 has a key of 120 bits");
        yield return Case("UnknownAlgorithm", Pskc(), With(Plain, "pskc#totp", "pskc#ocra"), "Key package 2 ('VSMT00000002') at line 28 holds a key for");
        yield return Case("Period0", Pskc(), With(Plain, "<PlainValue>60<", "<PlainValue>0<"), "at line 3 has a TimeInterval of '0'");
        yield return Case("Digits9", Pskc(), With(Plain, "Length=\"8\"", "Length=\"9\""), "at line 3 has OTPs of Length '9'");
        yield return Case("UnknownPolicy", Pskc(), With(Plain, "<Policy>", "<Policy><OnlyIndoors/>"), "at line 3 has a 'OnlyIndoors' in its Policy, which is not understood");
        yield return Case("NamesWithoutEnd", Pskc(), With(Plain, "<Issuer>", $"<x xmlns=\"urn:x\" {names}/><Issuer>"), "The file has more or longer names of elements and attributes than any such file");
        yield return Case("CutOff", Pskc(), Plain[..^40], "is not well-formed XML at line");

        const string Hex = "3132333435363738393031323334353637383930";
        yield return Case("CsvHotp", Csv(), $"AAAA0001,{Hex},totp\nAAAA0002,{Hex},hotp\n", "Line 2 holds an HOTP (counter-based) key");
        yield return Case("CsvUntyped", Csv(), $"AAAA0001,{Hex}\n", "Line 1 has 2 fields");
        yield return Case("CsvPeriod0", Csv(), $"\nAAAA0001,{Hex},0\n", "Line 2 has a interval of '0'");
        yield return Case("CsvDigits9", Csv(), $"AAAA0001,{Hex},totp,9\n", "Line 1 has OTPs of Length '9'");
        yield return Case("CsvKey120Bits", Csv(), $"AAAA0001,{Hex[..30]},totp\n", "Line 1 has a key of 120 bits");
        yield return Case("CsvKeyNotHex", Csv(), $"AAAA0001,{Hex[..39]}x,totp\n", "Line 1 has a key that is not hex");
        yield return Case("CsvUnknownColumn", Csv(), $"serial,secret,interval,counter\nAAAA0001,{Hex},30,0\n", "has a column 'counter', which is not understood");
        yield return Case("CsvNoType", Csv(), $"serial,secret\nAAAA0001,{Hex}\n", "Line 2 has neither a type nor an interval, so that it may be HOTP");
        yield return Case("CsvFieldMissing", Csv(), $"serial,secret,interval\nAAAA0001,{Hex}\n", "Line 2 has 2 fields, but the first line names 3 columns");
        yield return Case("CsvIdTwice", Csv(), $"AAAA-0001,{Hex},30\naaaa0001,{Hex},30\n", "Line 2 has the credential id 'AAAA0001' of line 1 again");
        yield return Case("CsvUnknownAlgorithm", Csv(), $"serial,secret,interval,algorithm\nAAAA0001,{Hex},30,MD5\n", "Line 2 has the algorithm 'MD5'");
        yield return Case("CsvPassword", Header(ImportFormat.OathCsv, "", "secret"), $"AAAA0001,{Hex},30\n", "has plain keys (CSV has no others)");
        yield return Case("CsvSupplierThatXmlCannotHold", Csv(), $"serial,secret,interval,manufacturer\nAAAA0001,{Hex},30,Ac\uFFFFme\n", "Line 2 names a manufacturer that is not up to 64 printable characters");
        yield return Case("CsvEmpty", Csv(), "# nothing\n", "The file has no credential");

        yield return Case("VipRefusal", Vip(), VipFiles.Recorded.Replace("0000<", "4e4a<", StringComparison.Ordinal), "Answer 1 at line 1 is a refusal (ReasonCode '4e4a')");
        yield return Case("VipHotp", Vip(), VipFiles.Recorded.Replace("<TimeStep>30</TimeStep>", "<Counter>0</Counter>", StringComparison.Ordinal), "Answer 1 ('VSST26070843') at line 1 holds an HOTP");
        yield return Case("VipPeriod0", Vip(), VipFiles.Recorded.Replace("<TimeStep>30", "<TimeStep>0", StringComparison.Ordinal), "has a TimeStep of '0'");
        yield return Case("VipDigits9", Vip(), VipFiles.Recorded.Replace("6DIGITS", "9DIGITS", StringComparison.Ordinal), "has the algorithm 'HMAC-SHA1-TRUNC-9DIGITS'");
        yield return Case("VipWrongKey", Vip(new byte[16]), VipFiles.Recorded, "cannot be decrypted");
        yield return Case("VipKey256Bits", Vip(), VipFiles.With("VSST26070843", new byte[32], VipFiles.PublishedKey, "2031-04-01T00:00:00Z"), "Answer 1 ('VSST26070843') at line 1 cannot be decrypted to a key of 160 bits: its key is another one");
        yield return Case("VipNamesWithoutEnd", Vip(), VipFiles.Recorded.Replace("<Usage otp", $"<Usage {names} otp", StringComparison.Ordinal), "The file has more or longer names of elements and attributes than any such file");
        yield return Case("VipXxe", Vip(), VipFiles.Recorded.Replace("?>", "?><!DOCTYPE x [<!ENTITY k SYSTEM \"file:///etc/hostname\">]>", StringComparison.Ordinal), "has a DTD (DOCTYPE)");
        yield return Case("VipIdTwice", Vip(), VipFiles.Recorded + VipFiles.Recorded, "has the credential id 'VSST26070843' of line 1 again");
        yield return Case("VipCutOff", Vip(), VipFiles.Recorded + VipFiles.Recorded[..^30], "does not end with a GetSharedSecretResponse: what begins at line 34");
        yield return Case("VipOtherXml", Vip(), "<a><GetSharedSecretResponse></GetSharedSecretResponse></a>", "is not well-formed XML");

        static TestCaseData Case(string name, ImportCredentialsHeader header, string file, string words) =>
            new TestCaseData(header, file, words).SetName($"Import_{name}_IsRefusedAsAWhole");
    }

    [TestCaseSource(nameof(RefusedFiles))]
    public async Task Import_FileWithAFault_IsRefusedAsAWhole(ImportCredentialsHeader header, string file, string words)
    {
        var before = await service.TracesAsync();

        var dry = await RefusalAsync(new ImportCredentialsHeader(header) { RequestId = Calls.NewRequestId(), DryRun = true }, file);
        var refusal = await RefusalAsync(new ImportCredentialsHeader(header) { RequestId = Calls.NewRequestId() }, file);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(refusal.StatusCode, Is.EqualTo(StatusCode.InvalidArgument));
            Assert.That(refusal.Status.Detail, Does.StartWith("chunk is not a file that can be imported: ").And.Contain(words));
            Assert.That(dry.Status.Detail, Is.EqualTo(refusal.Status.Detail), "a dry run is told the same");
            Assert.That(await service.TracesAsync(), Is.EqualTo(before), "nothing is stored");
        }
    }

    [Test]
    public async Task Import_FileWithManyFaults_TellsTheFirstTen()
    {
        var lines = Enumerable.Range(1, 30).Select(i => $"AAAA{i:D4},00,totp");

        var refusal = await RefusalAsync(Csv(), string.Join('\n', lines));

        var told = refusal.GetRpcStatus()!.GetDetail<BadRequest>()!.FieldViolations;
        Assert.That(told, Has.Count.EqualTo(10));
        Assert.That(told[9].Description, Does.Contain("Line 10 has a key of 8 bits"));
    }

    [Test]
    public async Task Import_KnownCredentials_AreToldWithTheirLinesAndNothingIsTakenIn()
    {
        var ids = Enumerable.Range(0, 3).Select(_ => NewId()).ToArray();
        await ImportAsync(Csv(), $"{ids[1]},{Hex()},30\n{ids[2]},{Hex()},30\n");
        var before = await service.TracesAsync();

        foreach (var dryRun in (bool[])[true, false])
        {
            var refusal = await RefusalAsync(new(Csv()) { DryRun = dryRun }, string.Concat(ids.Select(id => $"{id},{Hex()},30\n")));
            Assert.That(refusal.StatusCode, Is.EqualTo(StatusCode.AlreadyExists));
            Assert.That(refusal.Status.Detail, Does.Contain($"credential {ids[1]} (line 2), credential {ids[2]} (line 3)").And.Not.Contain(ids[0]));
        }

        Assert.That(await service.TracesAsync(), Is.EqualTo(before));
    }

    [Test]
    public async Task Import_DryRun_StoresNothingAndItsRequestIdIsFree()
    {
        var (requestId, file) = (Calls.NewRequestId(), $"{NewId()},{Hex()},30\n");
        var before = await service.TracesAsync();

        var dry = await ImportAsync(new(Csv()) { RequestId = requestId, DryRun = true }, file);
        Assert.That((dry.Imported, dry.Repeated), Is.EqualTo((1, false)));
        Assert.That(await service.TracesAsync(), Is.EqualTo(before));

        var applied = await ImportAsync(new(Csv()) { RequestId = requestId }, file);
        var again = await ImportAsync(new(Csv()) { RequestId = requestId, DryRun = true }, file);
        Assert.That((applied.Imported, applied.Repeated, again.Imported, again.Repeated), Is.EqualTo((1, false, 1, true)));
    }

    [Test]
    public async Task Import_SameRequestIdWithAnotherFile_IsInvalid()
    {
        var requestId = Calls.NewRequestId();
        await ImportAsync(new(Csv()) { RequestId = requestId }, $"{NewId()},{Hex()},30\n");

        var refusal = await RefusalAsync(new(Csv()) { RequestId = requestId }, $"{NewId()},{Hex()},30\n");

        Assert.That((refusal.StatusCode, refusal.Status.Detail), Is.EqualTo((StatusCode.InvalidArgument, "request_id was used for another request within the last 120 s; each submission takes a new one")));
    }

    /// <summary>A long file takes longer to arrive than an answer is kept: what counts is when its retry began.</summary>
    [Test]
    public async Task Import_RetryThatTakesLongToArrive_GetsTheFirstAnswer()
    {
        var (requestId, file) = (Calls.NewRequestId(), $"{NewId()},{Hex()},30\n");
        await ImportAsync(new(Csv()) { RequestId = requestId }, file);

        using var call = service.Operations.ImportCredentials();
        await call.RequestStream.WriteAsync(new() { Header = new(Csv()) { RequestId = requestId, InstitutionId = "demo" } });
        await call.RequestStream.WriteAsync(new() { Chunk = ByteString.CopyFromUtf8(file[..5]) });
        // Another import has begun and ended meanwhile: so has the look for this one's answer.
        await ImportAsync(Csv(), $"{NewId()},{Hex()},30\n");
        service.Clock.Advance(TimeSpan.FromSeconds(150));
        await call.RequestStream.WriteAsync(new() { Chunk = ByteString.CopyFromUtf8(file[5..]) });
        await call.RequestStream.CompleteAsync();

        var answer = await call;
        Assert.That((answer.Imported, answer.Repeated), Is.EqualTo((1, true)));
    }

    [Test]
    public async Task Import_KeyAndPassword_IsInvalid()
    {
        var refusal = await RefusalAsync(Pskc(PreSharedKey, "qwerty"), Plain);

        Assert.That(refusal.Status.Detail, Is.EqualTo("header.password must be empty where pre_shared_key is set"));
    }

    [Test]
    public async Task Import_ForASupplierThatXmlCannotHold_IsInvalid()
    {
        var refusal = await RefusalAsync(new(Csv()) { Supplier = "Ac\uFFFFme" }, $"{NewId()},{Hex()},30\n");

        Assert.That(refusal.Status.Detail, Is.EqualTo("header.supplier must be up to 64 printable characters"));
    }

    [Test]
    public async Task Import_ThirdAtOnce_IsToldToComeBack()
    {
        var calls = new[] { await BeginAsync(), await BeginAsync(), await BeginAsync() };

        var ended = await Task.WhenAny(calls.Select(call => call.ResponseAsync));

        var busy = await Assert.ThrowsAsync<RpcException>(async () => await ended);
        Assert.That(
            (busy!.StatusCode, busy.GetRpcStatus()!.GetDetail<ErrorInfo>()!.Reason, busy.GetRpcStatus()!.GetDetail<RetryInfo>()!.RetryDelay.Seconds),
            Is.EqualTo((StatusCode.ResourceExhausted, "IMPORTS_BUSY", 10)));
        foreach (var call in calls.Where(call => call.ResponseAsync != ended))
        {
            await call.RequestStream.CompleteAsync();
            Assert.That((await call).Imported, Is.EqualTo(1));
        }

        Array.ForEach(calls, call => call.Dispose());

        async Task<AsyncClientStreamingCall<ImportCredentialsRequest, ImportCredentialsResponse>> BeginAsync()
        {
            var call = service.Operations.ImportCredentials();
            await call.RequestStream.WriteAsync(new() { Header = new(Csv()) { InstitutionId = "demo", RequestId = Calls.NewRequestId() } });
            try
            {
                await call.RequestStream.WriteAsync(new() { Chunk = ByteString.CopyFromUtf8($"{NewId()},{Hex()},30\n") });
            }
            catch (Exception e) when (e is RpcException or InvalidOperationException)
            {
                // Refused already.
            }

            return call;
        }
    }

    private static ImportCredentialsHeader Pskc(string preSharedKey = "", string password = "") => Header(ImportFormat.Pskc, preSharedKey, password);

    private static ImportCredentialsHeader Csv() => Header(ImportFormat.OathCsv, "", "");

    private static ImportCredentialsHeader Vip(byte[]? key = null) => Header(ImportFormat.Vip, Convert.ToHexString(key ?? []), "");

    private static ImportCredentialsHeader Header(ImportFormat format, string preSharedKey, string password) => new()
    {
        Format = format, PreSharedKey = ByteString.CopyFrom(Convert.FromHexString(preSharedKey)), Password = ByteString.CopyFromUtf8(password),
    };

    private Task<ImportCredentialsResponse> ImportAsync(ImportCredentialsHeader header, string file) => service.Operations.ImportAsync(header, file);

    private async Task<RpcException> RefusalAsync(ImportCredentialsHeader header, string file) =>
        (await Assert.ThrowsAsync<RpcException>(async () => await ImportAsync(header, file)))!;

    private async Task AssertVerifiesAsync(string id, Totp totp, TimeSpan ahead = default)
    {
        var contractor = Calls.NewContractor();
        var otp = totp.ComputeTotp((Now + ahead).UtcDateTime);
        Assert.That((await service.Auth.RegisterAsync(contractor, id, otp)).Outcome, Is.EqualTo(Outcome.Accepted));
    }

    private async Task<GetCredentialResponse> ShowAsync(string id) =>
        await service.Operations.GetCredentialAsync(new() { InstitutionId = "demo", CredentialId = id });

    private static string Hex() => Convert.ToHexString(RandomNumberGenerator.GetBytes(20));

    private static string NewId() => "TEST" + Guid.NewGuid().ToString("N")[..20].ToUpperInvariant();
}
