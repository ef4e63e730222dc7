using System.Globalization;

namespace OtpAuthService.Bench.Lab;

/// <summary>
/// CPU time that processes have used, from the operating system: user and system, counted in hundredths of a second.
/// </summary>
internal static class ProcessTime
{
    /// <summary>USER_HZ, which Linux shows to programs as 100 on every machine.</summary>
    private const double TicksPerSecond = 100;

    public static double Seconds(int process) => Read(process) is { } time ? time.Own / TicksPerSecond : 0;

    /// <summary>A process with its children, also those that have ended and were waited for, as PostgreSQL's are.</summary>
    public static double SecondsWithChildren(int process)
    {
        var ticks = Read(process) is { } parent ? parent.Own + parent.Ended : 0;
        foreach (var child in File.ReadAllText($"/proc/{process}/task/{process}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            ticks += Read(int.Parse(child, CultureInfo.InvariantCulture))?.Own ?? 0;
        }

        return ticks / TicksPerSecond;
    }

    /// <summary>What all cores together have done: for everybody on this machine, and for other machines on the same hardware (steal).</summary>
    public static (double Busy, double Stolen, double All) SecondsOfMachine()
    {
        // cpu user nice system idle iowait irq softirq steal guest guest_nice (proc(5)); guests are part of user.
        var fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Skip(1).Take(8).Select(field => long.Parse(field, CultureInfo.InvariantCulture) / TicksPerSecond).ToArray();
        return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6], fields[7], fields.Sum());
    }

    /// <summary>utime + stime, and cutime + cstime (proc(5)); null where it has ended.</summary>
    private static (long Own, long Ended)? Read(int process)
    {
        try
        {
            // The name stands in brackets and may hold anything.
            var text = File.ReadAllText($"/proc/{process}/stat");
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            return (Ticks(fields[11]) + Ticks(fields[12]), Ticks(fields[13]) + Ticks(fields[14]));
        }
        catch (IOException)
        {
            return null;
        }

        static long Ticks(string field) => long.Parse(field, CultureInfo.InvariantCulture);
    }
}
