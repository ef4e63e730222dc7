using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Serialization;
using OtpAuthService.Institutions;

namespace OtpAuthService.Callers;

/// <summary>The callers by the name in their certificate, as the callers' file says (README: "Callers").</summary>
internal sealed class CallerRegistry
{
    private static readonly JsonSerializerOptions Form = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        AllowDuplicateProperties = false,
        NumberHandling = JsonNumberHandling.Strict,
        Converters = { new JsonStringEnumConverter(allowIntegerValues: false) },
    };

    /// <summary>Ids under which the service itself writes records.</summary>
    private static readonly FrozenSet<string> Reserved = ["local", "first-start", "rehearsal"];

    private readonly FrozenDictionary<string, Caller> byName;

    private CallerRegistry(FrozenDictionary<string, Caller> byName) => this.byName = byName;

    public Caller? Find(string name) => byName.GetValueOrDefault(name);

    /// <summary>Everybody who may call, for start and tests.</summary>
    public IEnumerable<Caller> All => byName.Values;

    /// <summary>Likewise, by their names in certificates.</summary>
    public IEnumerable<KeyValuePair<string, Caller>> Named => byName;

    /// <exception cref="InvalidDataException">The file breaks a rule; nothing of it counts then.</exception>
    public static CallerRegistry Read(byte[] file)
    {
        List<Entry> entries;
        try
        {
            entries = JsonSerializer.Deserialize<Contents>(file, Form)?.Callers ?? throw new InvalidDataException("It has no callers.");
        }
        catch (JsonException unreadable)
        {
            throw new InvalidDataException(unreadable.Message, unreadable);
        }

        if (entries.Contains(null!))
        {
            throw new InvalidDataException("A caller is null.");
        }

        RequireDifferent(entries.Select(e => e.Id), "id");
        RequireDifferent(entries.Select(e => e.Name), "name");
        return new CallerRegistry(entries.ToFrozenDictionary(e => e.Name, Make, StringComparer.Ordinal));
    }

    private static Caller Make(Entry entry)
    {
        var roles = entry.Roles.Aggregate(CallerRoles.None, (all, role) => all | role);
        Require(IsId(entry.Id) && !Reserved.Contains(entry.Id), $"id '{entry.Id}' must be 1 to 64 of [A-Za-z0-9._-] and none of {string.Join(", ", Reserved)}");
        Require(CertificateNames.IsName(entry.Name), "name must be a URI as in the certificate, or dns: and a host name");
        Require(roles != CallerRoles.None && entry.Institutions.Count > 0, "roles and institutions must not be empty");
        var channels = entry.Channels?.Select(ChannelOf).ToFrozenSet() ?? [Channel.PcBrowser, Channel.Smartphone, Channel.FeaturePhone];
        Require(entry.CallsPerSecond is null or (>= 1 and <= 1_000_000), "callsPerSecond must be from 1 to 1000000");
        Require(entry.FailureBudget is null or { Signal: >= 1, Stop: <= 1_000_000 }, "failureBudget: signal and stop must be from 1 to 1000000");
        Require(entry.FailureBudget is null || entry.FailureBudget.Signal <= entry.FailureBudget.Stop, "failureBudget: signal must not be above stop");
        var caller = new Caller(entry.Id, roles, entry.Institutions.Select(InstitutionOf).ToFrozenSet())
        {
            Channels = channels,
            CallsPerSecond = entry.CallsPerSecond,
            FailureBudget = entry.FailureBudget ?? FailureBudget.Default,
            NotAfter = entry.NotAfter,
        };
        return caller with { Bypasses = MakeGrants(caller, entry.Bypass ?? []) };

        void Require(bool holds, string rule) => _ = holds ? true : throw new InvalidDataException($"Caller '{entry.Id}': {rule}.");

        Channel ChannelOf(string text)
        {
            var known = V1.OtpAuth.Descriptor.File.EnumTypes.Single(e => e.Name == nameof(Channel)).Values
                .FirstOrDefault(v => v.Number != 0 && v.Name == $"CHANNEL_{text}");
            Require(known is not null, $"channel '{text}' must be PC_BROWSER, SMARTPHONE or FEATURE_PHONE");
            return (Channel)known!.Number;
        }

        InstitutionId InstitutionOf(string text)
        {
            Require(InstitutionId.TryParse(text, out var id), $"institution '{text}' must be 1 to 32 of [a-z0-9-]");
            return id;
        }
    }

    private static FrozenDictionary<InstitutionId, BypassGrant> MakeGrants(Caller caller, List<GrantEntry> entries)
    {
        RequireDifferent(entries.Select(e => e.Institution), $"bypass institution of caller '{caller.Id}'");
        return entries.ToFrozenDictionary(
            entry => InstitutionId.TryParse(entry.Institution, out var id) && caller.Institutions.Contains(id) ? id : throw Broken("institution must be one of the caller's"),
            entry =>
            {
                Require(caller.Has(CallerRoles.MobileGateway), "is for the role MobileGateway only");
                Require(IsText(entry.Reason) && IsText(entry.Approver), "reason and approver must be 1 to 200 characters");
                Require(entry.From < entry.NotAfter && entry.NotAfter - entry.From <= BypassGrant.Longest, "notAfter must be after from, by at most 90 days");
                Require(entry.PerMinute is >= 1 and <= 100_000, "perMinute must be from 1 to 100000");
                Require(entry.PerContractorPerHour is >= 1 and <= 1_000, "perContractorPerHour must be from 1 to 1000");
                return new BypassGrant(entry.Reason, entry.Approver, entry.From, entry.NotAfter, entry.PerMinute, entry.PerContractorPerHour);
            });

        InvalidDataException Broken(string rule) => new($"Caller '{caller.Id}': bypass {rule}.");

        void Require(bool holds, string rule) => _ = holds ? true : throw Broken(rule);
    }

    private static void RequireDifferent(IEnumerable<string> values, string what)
    {
        if (values.GroupBy(v => v, StringComparer.Ordinal).FirstOrDefault(g => g.Skip(1).Any()) is { } twice)
        {
            throw new InvalidDataException($"The {what} '{twice.Key}' stands there twice.");
        }
    }

    private static bool IsId(string text) => text.Length is >= 1 and <= 64 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    private static bool IsText(string text) => text.Length is >= 1 and <= 200 && !string.IsNullOrWhiteSpace(text);

    private sealed record Contents(List<Entry> Callers);

    private sealed record Entry(string Id, string Name, List<CallerRoles> Roles, List<string> Institutions)
    {
        public List<string>? Channels { get; init; }

        public int? CallsPerSecond { get; init; }

        public FailureBudget? FailureBudget { get; init; }

        public DateTimeOffset? NotAfter { get; init; }

        public List<GrantEntry>? Bypass { get; init; }
    }

    private sealed record GrantEntry(
        string Institution, string Reason, string Approver, DateTimeOffset From, DateTimeOffset NotAfter, int PerMinute, int PerContractorPerHour);
}
