using System.Buffers.Text;
using System.Security.Cryptography;

namespace OtpAuthService.Client;

/// <summary>
/// The <c>request_id</c> of requests that change something: made once per customer submission and sent again unchanged by a retry, so
/// that the service answers a lost delivery with its first answer and counts it once. A new OTP from the customer is a new submission.
/// </summary>
public static class RequestId
{
    /// <summary>A new id: 22 characters of <c>[A-Za-z0-9_-]</c>, 128 random bits.</summary>
    public static string New() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(16));
}
