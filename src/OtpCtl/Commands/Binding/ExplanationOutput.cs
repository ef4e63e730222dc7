using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Google.Protobuf.WellKnownTypes;
using OtpAuthService.V1;
using OtpCtl.Commands.Audit;
using Spectre.Console;

namespace OtpCtl.Commands.Binding;

/// <summary>Prints an explanation: a line for each answer and two paragraphs, or with --json one document of its own.</summary>
internal static class ExplanationOutput
{
    public static void Write(ParseResult parsed, IReadOnlyList<RecordedAnswer> answers, CurrentState state, DateTimeOffset now)
    {
        var standing = StateText.Of(state, now).ToList();
        var toDo = StateText.ToDo(state, answers.Select(answer => answer.Record).LastOrDefault(RecordedAnswer.IsOfOtp), now).ToList();
        if (parsed.GetValue(GlobalOptions.Json))
        {
            AnswerOutput.Write(parsed, Document(answers, state, standing, toDo));
            return;
        }

        var screen = AnswerOutput.IsForPeople(parsed) ? AnswerOutput.Screen(parsed.InvocationConfiguration.Output) : null;
        foreach (var answer in answers)
        {
            WriteLine($"{Head(answer.Record)}: ", answer.Record, $", because {AnswerCause.Of(answer, state)}.");
        }

        WriteLine(answers.Count == 0 ? $"Nothing was decided about {state.Contractor} in that time." : "");
        WriteLine($"Now: {string.Join(' ', standing)}");
        toDo.ForEach(advice => WriteLine($"To do: {advice}"));

        void WriteLine(string before, AuditRecord? record = null, string after = "")
        {
            var decided = record is null ? [] : new[] { AnswerText.Text(record.Outcome), AnswerText.Text(record.Decision) };
            var (first, rest) = (RecordText.Printable(before), RecordText.Printable(after));
            if (screen is null)
            {
                parsed.InvocationConfiguration.Output.WriteLine(first + string.Join(", ", decided) + rest);
            }
            else
            {
                screen.MarkupLine(Markup.Escape(first) + string.Join(", ", decided.Select(AnswerText.Coloured)) + Markup.Escape(rest));
            }
        }
    }

    private static string Head(AuditRecord record) => $"{AnswerText.Text(record.DecidedAt)}  {AnswerCause.Asked(record)}";

    private static JsonObject Document(IEnumerable<RecordedAnswer> answers, CurrentState state, IEnumerable<string> standing, IEnumerable<string> toDo) => new()
    {
        ["contractor_id"] = state.Contractor,
        ["answers"] = new JsonArray([.. answers.Select(answer => Answer(answer, state))]),
        ["state"] = State(state),
        ["now"] = Sentences(standing),
        ["to_do"] = Sentences(toDo),
    };

    private static JsonObject Answer(RecordedAnswer answer, CurrentState state)
    {
        var record = answer.Record;
        var counted = RecordedAnswer.IsFailure(record);
        return Known(
            ("decided_at", AnswerText.Text(record.DecidedAt)),
            ("rpc", record.Rpc),
            ("request_id", record.RequestId),
            ("caller_id", record.CallerId),
            ("operator_id", Text(record.OperatorId)),
            ("channel", record.Channel == Channel.Unspecified ? null : AnswerText.WireName(record.Channel)),
            ("purpose", record.Purpose == Purpose.Unspecified ? null : AnswerText.WireName(record.Purpose)),
            ("credential_id", Text(record.CredentialId)),
            ("outcome", AnswerText.WireName(record.Outcome)),
            ("decision", AnswerText.WireName(record.Decision)),
            ("reason", Text(record.Reason)),
            ("policy_version", record.PolicyVersion),
            ("time_step", record.HasTimeStep ? record.TimeStep.ToString(CultureInfo.InvariantCulture) : null),
            ("offset_steps", state.OffsetSteps(record)),
            ("window_steps", state.WindowOffset(record)),
            ("failure", counted ? answer.Failures : null),
            ("failure_exact", counted ? answer.IsWholeRow : null),
            ("because", AnswerCause.Of(answer, state)));
    }

    private static JsonObject State(CurrentState state)
    {
        var binding = state.Newest;
        var credential = binding is null ? null : state.Credentials.GetValueOrDefault(binding.CredentialId);
        var lockout = state.Binding?.Lockout;
        var temporary = state.Binding?.TemporaryOtp;
        return Known(
            ("binding_state", AnswerText.WireName(binding?.State)),
            ("credential_id", binding?.CredentialId),
            ("registered_at", Text(binding?.RegisteredAt)),
            ("ended_at", Text(binding?.EndedAt)),
            ("reregistration_until", Text(binding?.ReregistrationUntil)),
            ("credential_status", AnswerText.WireName(credential?.Status)),
            ("drift_steps", credential?.DriftSteps),
            ("drift_seconds", credential?.DriftSteps * credential?.PeriodSeconds),
            ("consecutive_failures", state.Failures),
            ("attempts_left", state.AttemptsLeft),
            ("locked", lockout is not null),
            ("locked_until", Text(lockout?.Until)),
            ("temporary_otp_uses_left", temporary?.UsesLeft),
            ("temporary_otp_expires_at", Text(temporary?.ExpiresAt)),
            ("temporary_otp_awaits_confirmation", temporary?.AwaitsConfirmation),
            ("never_bypassed", state.Binding?.NeverBypassed ?? false),
            ("bypass_stopped_at", Text(state.Institution.BypassStoppedAt)),
            ("fence", Text(state.Fence.Fence)),
            ("policy_version", state.Institution.PolicyVersion));
    }

    // What is not there has no member, as what is unset has no row.
    private static JsonObject Known(params (string Name, JsonNode? Value)[] members) =>
        [.. members.Where(member => member.Value is not null).Select(member => KeyValuePair.Create(member.Name, member.Value))];

    private static JsonArray Sentences(IEnumerable<string> sentences) => [.. sentences.Select(sentence => (JsonNode)sentence)];

    private static string? Text(string value) => value.Length == 0 ? null : value;

    private static string? Text(Timestamp? moment) => moment is null ? null : AnswerText.Text(moment);
}
