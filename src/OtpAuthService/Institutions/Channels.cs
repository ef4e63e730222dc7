namespace OtpAuthService.Institutions;

/// <summary>A set of channels. Stored as a number: never renumber.</summary>
[Flags]
internal enum Channels
{
    None = 0,
    PcBrowser = 1,
    Smartphone = 2,
    FeaturePhone = 4,
}

internal static class ChannelSets
{
    public static Channels Of(Channel channel) => channel switch
    {
        Channel.PcBrowser => Channels.PcBrowser,
        Channel.Smartphone => Channels.Smartphone,
        Channel.FeaturePhone => Channels.FeaturePhone,
        _ => throw new InvalidOperationException($"Channel {channel} is not known."),
    };
}
