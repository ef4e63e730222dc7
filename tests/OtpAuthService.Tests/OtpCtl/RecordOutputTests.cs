using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;
using OtpCtl.Commands.Audit;

namespace OtpAuthService.Tests;

/// <summary>How audit records are written: whatever somebody sent stands in them.</summary>
public sealed class RecordOutputTests
{
    [TestCase("K-1", "K-1")]
    [TestCase("", "")]
    [TestCase("called, twice", "\"called, twice\"")]
    [TestCase("said \"no\"", "\"said \"\"no\"\"\"")]
    [TestCase("two\nlines", "\"two\nlines\"")]
    [TestCase("=1+1", "'=1+1")]
    [TestCase("+81", "'+81")]
    [TestCase("-1", "'-1")]
    [TestCase("@SUM(A1)", "'@SUM(A1)")]
    [TestCase("＝1+1", "'＝1+1")]
    [TestCase("\t=1", "'\t=1")]
    [TestCase("\r=1", "\"'\r=1\"")]
    [TestCase("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"")]
    [TestCase("1=1", "1=1")]
    [TestCase("#0a1b", "#0a1b")]
    public void Csv_OfAValue_IsQuotedAndHarmless(string value, string field) => Assert.That(RecordCsv.Field(value), Is.EqualTo(field));

    [Test]
    public void Csv_OfARecord_HasEveryFieldOfIt()
    {
        Assert.That(RecordCsv.Header.Split(','), Is.EqualTo(AuditRecord.Descriptor.Fields.InDeclarationOrder().Select(field => field.Name)));
        Assert.That(RecordCsv.Of(Record()), Is.EqualTo(
            "3,12,2026-03-31T00:00:01.500Z,Verify,frontend-1,,0123456789abcdef,K-1,PC_BROWSER,LOGIN,ABCD12345678,0,ACCEPTED,ALLOW,,4," + string.Concat(Enumerable.Repeat("0a", 32))));
    }

    [Test]
    public void Csv_OfARecordWithoutContractor_LeavesWhatIsUnsetEmpty() =>
        Assert.That(
            RecordCsv.Of(new AuditRecord { ChainId = 1, Position = 1, DecidedAt = new Timestamp(), Rpc = "RotateKeys", OperatorId = "h.sato", Reason = "yearly" }),
            Is.EqualTo("1,1,1970-01-01T00:00:00.000Z,RotateKeys,,h.sato,,,,,,,,,yearly,0,"));

    [Test]
    public void Text_OfRecords_IsAlignedAndCannotSpeakToATerminal()
    {
        var plain = RecordText.Of(Record());
        var hostile = Record();
        hostile.Reason = "\u001b[2Jgone\r\n\u009bnew";

        var line = RecordText.Of(hostile);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(line, Does.EndWith("  \uFFFD[2Jgone\uFFFD\uFFFD\uFFFDnew"));
            Assert.That(plain, Does.EndWith("  ALLOW     -"));
            Assert.That(line.IndexOf("ALLOW", StringComparison.Ordinal), Is.EqualTo(plain.IndexOf("ALLOW", StringComparison.Ordinal)));
            Assert.That(RecordText.Header.IndexOf("decision", StringComparison.Ordinal), Is.EqualTo(plain.IndexOf("ALLOW", StringComparison.Ordinal)));
            Assert.That(RecordText.MarkupOf(hostile), Does.Contain("[green]ALLOW[/]").And.Contains("[[2Jgone"));
        }
    }

    private static AuditRecord Record() => new()
    {
        ChainId = 3,
        Position = 12,
        DecidedAt = Timestamp.FromDateTimeOffset(new DateTimeOffset(2026, 3, 31, 9, 0, 1, 500, TimeSpan.FromHours(9))),
        Rpc = "Verify",
        CallerId = "frontend-1",
        RequestId = "0123456789abcdef",
        ContractorId = "K-1",
        Channel = Channel.PcBrowser,
        Purpose = Purpose.Login,
        CredentialId = "ABCD12345678",
        TimeStep = 0,
        Outcome = Outcome.Accepted,
        Decision = Decision.Allow,
        PolicyVersion = 4,
        Hash = ByteString.CopyFrom([.. Enumerable.Repeat((byte)10, 32)]),
    };
}
