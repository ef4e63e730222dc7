using System.CommandLine;

namespace OtpCtl.Commands.Binding;

/// <summary>The customer whom every verb of this noun is about.</summary>
internal static class ContractorOption
{
    public static readonly Option<string> Option = new("--contractor")
    {
        Description = "The contractor ID (契約者ID), case-exact.",
        HelpName = "id",
        Required = true,
    };
}
