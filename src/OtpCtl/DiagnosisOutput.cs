using System.CommandLine;
using OtpAuthService.V1;
using Spectre.Console;

namespace OtpCtl;

/// <summary>What was looked at and how it is, the faults first: a table on a terminal, otherwise one line each.</summary>
internal static class DiagnosisOutput
{
    /// <returns>What the program exits with: non-zero where there is a fault.</returns>
    public static int Show(ParseResult parsed, DiagnoseResponse answer)
    {
        var sorted = answer.Diagnoses.OrderByDescending(diagnosis => diagnosis.State).ToList();
        answer.Diagnoses.Clear();
        answer.Diagnoses.AddRange(sorted);
        var output = parsed.InvocationConfiguration.Output;
        if (parsed.GetValue(GlobalOptions.Json))
        {
            AnswerOutput.Write(parsed, answer);
        }
        else if (AnswerOutput.IsForPeople(parsed))
        {
            WriteTable(output, sorted);
            output.WriteLine(Summary(sorted));
        }
        else
        {
            sorted.ForEach(diagnosis => output.WriteLine($"{AnswerText.Text(diagnosis.State)} {diagnosis.Subject}: {diagnosis.Detail} {diagnosis.Advice}".TrimEnd()));
            output.WriteLine(Summary(sorted));
        }

        return sorted is [{ State: DiagnosisState.Fault }, ..] ? ExitCode.Fault : ExitCode.Success;
    }

    // Sentences, so within the width of the terminal.
    private static void WriteTable(TextWriter output, List<Diagnosis> diagnoses)
    {
        var screen = AnswerOutput.Screen(output);
        screen.Profile.Width = Math.Max(80, AnsiConsole.Profile.Width);
        var table = new Table().RoundedBorder().AddColumns("", "subject", "what was seen", "what to do");
        foreach (var diagnosis in diagnoses)
        {
            table.AddRow(AnswerText.Coloured(AnswerText.Text(diagnosis.State)), Markup.Escape(diagnosis.Subject), Markup.Escape(diagnosis.Detail), Markup.Escape(diagnosis.Advice));
        }

        screen.Write(table);
    }

    private static string Summary(List<Diagnosis> diagnoses) => string.Join(", ", new[] { DiagnosisState.Fault, DiagnosisState.Warning, DiagnosisState.Ok }
        .Select(state => $"{AnswerText.Text(state)}: {diagnoses.Count(diagnosis => diagnosis.State == state)}"));
}
