using System.Text;
using System.Text.Json.Nodes;
using OtpAuthService.Callers;
using OtpAuthService.V1;

namespace OtpAuthService.Tests.Callers;

/// <summary>The callers' file: one wrong word and nothing of it counts.</summary>
[TestFixture]
public class CallerRegistryTests
{
    private const string Grant =
        """{ "institution": "demo", "reason": "r", "approver": "a", "from": "2026-11-01T00:00:00Z", "notAfter": "2026-12-01T00:00:00Z", "perMinute": 60, "perContractorPerHour": 6 }""";

    private const string Frontend = """{ "id": "ib", "name": "spiffe://bank.example/ib", "roles": ["Frontend"], "institutions": ["demo"] }""";

    [Test]
    public void File_WithEverything_IsRead()
    {
        var registry = Read(
            $$"""
            // Comments are allowed.
            { "callers": [
              { "id": "ib", "name": "spiffe://bank.example/ib", "roles": ["Frontend"], "institutions": ["demo", "minato"], "channels": ["PC_BROWSER"],
                "callsPerSecond": 500, "failureBudget": { "signal": 10, "stop": 20 }, "notAfter": "2027-01-01T00:00:00+09:00" },
              { "id": "mobile", "name": "dns:mobile.bank.example", "roles": ["MobileGateway"], "institutions": ["demo"], "bypass": [ {{Grant}} ] },
            ] }
            """);
        var frontend = registry.Find("spiffe://bank.example/ib")!;
        var gateway = registry.Find("dns:mobile.bank.example")!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That((frontend.Id, frontend.Roles, frontend.CallsPerSecond, frontend.FailureBudget), Is.EqualTo(("ib", CallerRoles.Frontend, 500, new FailureBudget(10, 20))));
            Assert.That(frontend.Institutions.Select(i => i.Value), Is.EquivalentTo(new[] { "demo", "minato" }));
            Assert.That(frontend.NotAfter, Is.EqualTo(new DateTimeOffset(2026, 12, 31, 15, 0, 0, TimeSpan.Zero)));
            Assert.That((frontend.MaySay(Channel.PcBrowser), frontend.MaySay(Channel.Smartphone), frontend.MaySay(Channel.FeaturePhone)), Is.EqualTo((true, false, false)));
            Assert.That(gateway.Bypasses.Single().Value.PerContractorPerHour, Is.EqualTo(6));
            Assert.That((gateway.MaySay(Channel.PcBrowser), gateway.MaySay(Channel.FeaturePhone)), Is.EqualTo((false, true)));
            Assert.That(gateway.FailureBudget, Is.EqualTo(FailureBudget.Default));
            Assert.That(registry.Find("spiffe://bank.example/IB"), Is.Null);
        }
    }

    [TestCase("{ }", "callers")]
    [TestCase("{ 'callers': null }", "allers")]
    [TestCase("{ 'callers': [ null ] }", "")]
    [TestCase("{ 'callers': [], 'callers': [] }", "uplicate")]
    [TestCase("[]", "")]
    [TestCase("", "")]
    [TestCase("{ 'callers': [ { 'id': 'ib' } ] }", "roles")]
    public void File_WithAMistake_IsRefusedAsAWhole(string file, string sentence) => Refused(file.Replace('\'', '"'), sentence);

    [TestCase("{ 'rolles': ['Operator'] }", "rolles")]
    [TestCase("{ 'roles': [] }", "roles and institutions must not be empty")]
    [TestCase("{ 'roles': ['Root'] }", "roles")]
    [TestCase("{ 'roles': [15] }", "roles")]
    [TestCase("{ 'institutions': [] }", "roles and institutions must not be empty")]
    [TestCase("{ 'institutions': ['Demo'] }", "institution 'Demo' must be")]
    [TestCase("{ 'institutions': [null] }", "")]
    [TestCase("{ 'channels': ['CHANNEL_PC_BROWSER'] }", "channel 'CHANNEL_PC_BROWSER' must be")]
    [TestCase("{ 'channels': ['UNSPECIFIED'] }", "channel 'UNSPECIFIED' must be")]
    [TestCase("{ 'id': 'local' }", "id 'local' must be")]
    [TestCase("{ 'id': 'a b' }", "id 'a b' must be")]
    [TestCase("{ 'name': 'frontend' }", "name must be")]
    [TestCase("{ 'name': 'dns:Host' }", "name must be")]
    [TestCase("{ 'callsPerSecond': 0 }", "callsPerSecond must be")]
    [TestCase("{ 'callsPerSecond': '5' }", "callsPerSecond")]
    [TestCase("{ 'failureBudget': { 'signal': 20, 'stop': 10 } }", "signal must not be above stop")]
    [TestCase("{ 'failureBudget': { 'signal': 0, 'stop': 10 } }", "from 1 to 1000000")]
    [TestCase("{ 'notAfter': 'soon' }", "notAfter")]
    [TestCase("{ 'bypass': [GRANT] }", "bypass is for the role MobileGateway only")]
    public void Caller_WithAMistake_HasTheFileRefused(string change, string sentence) =>
        Refused(FileOf(Changed(Frontend, change.Replace("GRANT", Grant, StringComparison.Ordinal))), sentence);

    [Test]
    public void Callers_WithTheSameIdOrName_HaveTheFileRefused()
    {
        Refused(FileOf(Frontend, Changed(Frontend, "{ 'name': 'spiffe://bank.example/2' }")), "The id 'ib' stands there twice");
        Refused(FileOf(Frontend, Changed(Frontend, "{ 'id': 'ib2' }")), "The name 'spiffe://bank.example/ib' stands there twice");
    }

    [TestCase("{ 'institution': 'minato' }", "institution must be one of the caller's")]
    [TestCase("{ 'notAfter': '2027-01-30T00:00:01Z' }", "by at most 90 days")]
    [TestCase("{ 'notAfter': '2026-11-01T00:00:00Z' }", "notAfter must be after from")]
    [TestCase("{ 'reason': ' ' }", "reason and approver")]
    [TestCase("{ 'approver': '' }", "reason and approver")]
    [TestCase("{ 'approver': null }", "approver")]
    [TestCase("{ 'perMinute': 0 }", "perMinute must be")]
    [TestCase("{ 'perContractorPerHour': 1001 }", "perContractorPerHour must be")]
    public void Grant_WithAMistake_HasTheFileRefused(string change, string sentence) => Refused(FileOf(GatewayWith(Changed(Grant, change))), sentence);

    [Test]
    public void Grants_ForTheSameInstitution_HaveTheFileRefused() => Refused(FileOf(GatewayWith(Grant, Grant)), "stands there twice");

    /// <summary>The same entries without their mistake are read: the tables above fail for the mistakes alone.</summary>
    [Test]
    public void Entries_WithoutAMistake_AreRead()
    {
        Assert.That(Read(FileOf(Frontend, GatewayWith(Grant))).All.Count(), Is.EqualTo(2));
        Assert.That(Read(FileOf(GatewayWith(Changed(Grant, "{ 'notAfter': '2027-01-30T00:00:00Z' }")))).All.Count(), Is.EqualTo(1));
    }

    private static void Refused(string file, string sentence) =>
        Assert.That(Assert.Throws<InvalidDataException>(() => Read(file))!.Message, Does.Contain(sentence));

    private static string FileOf(params string[] callers) => $$"""{ "callers": [{{string.Join(',', callers)}}] }""";

    private static string GatewayWith(params string[] grants) =>
        Changed(Frontend, $$"""{ "id": "mobile", "name": "dns:m.bank.example", "roles": ["MobileGateway"], "bypass": [{{string.Join(',', grants)}}] }""");

    /// <summary>The object with the members of another in place of its own.</summary>
    private static string Changed(string entry, string change)
    {
        var changed = JsonNode.Parse(entry)!.AsObject();
        foreach (var (name, value) in JsonNode.Parse(change.Replace('\'', '"'))!.AsObject())
        {
            changed[name] = value?.DeepClone();
        }

        return changed.ToJsonString();
    }

    private static CallerRegistry Read(string file) => CallerRegistry.Read(Encoding.UTF8.GetBytes(file));
}
