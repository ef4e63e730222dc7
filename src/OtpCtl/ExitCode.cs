using OtpAuthService.V1;

namespace OtpCtl;

/// <summary>What a script learns without reading any output.</summary>
internal static class ExitCode
{
    public const int Success = 0;
    public const int Denied = 1;
    public const int Usage = 2;
    public const int Refused = 3;
    public const int Unavailable = 4;
    public const int NotAsWritten = 5;
    public const int Fault = 6;
    public const int Interrupted = 130;

    /// <summary>The end of every --help.</summary>
    public const string Help = """
        Exit codes:
          0    done; where the service decided: ALLOW
          1    the service decided: DENY (demo: an answer was not the expected one)
          2    wrong usage; nothing was sent
          3    refused by the service: INVALID_ARGUMENT, PERMISSION_DENIED, NOT_FOUND, ... (migrate: by the database, or its schema is newer)
          4    no result from the service (migrate: the database): unreachable, too slow or failed; stderr says whether the outcome is unknown
          5    the audit records are not as they were written (audit verify)
          6    something that was looked at does not work (doctor, caller check)
          130  interrupted
        """;

    /// <summary>Anything but ALLOW is a no, also a decision that this program is too old to know.</summary>
    public static int Of(Decision decision) => decision == Decision.Allow ? Success : Denied;
}
