using System.CommandLine;
using OtpAuthService.V1;

namespace OtpCtl.Commands.Binding;

/// <summary>How the contractor reaches the bank.</summary>
internal static class ChannelOption
{
    public static readonly Option<string> Option = new Option<string>("--channel")
    {
        Description = "How the contractor reaches the bank.",
        DefaultValueFactory = _ => "pc",
    }.AcceptOnlyFromAmong("pc", "smartphone");

    public static Channel Read(ParseResult parsed) => parsed.GetRequiredValue(Option) switch
    {
        "pc" => Channel.PcBrowser,
        "smartphone" => Channel.Smartphone,
        var other => throw new ArgumentOutOfRangeException(nameof(parsed), other, "Not a channel."),
    };
}
