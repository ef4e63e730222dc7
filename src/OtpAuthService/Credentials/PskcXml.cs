using System.Xml;
using System.Xml.Linq;
using static OtpAuthService.Credentials.PskcException;

namespace OtpAuthService.Credentials;

/// <summary>
/// XML as a PSKC file may use it. Strict where LINQ to XML is lenient: an element that is there twice, misspelt or with elements in
/// place of text is a fault, never silently the first of two or a default.
/// </summary>
internal static class PskcXml
{
    public static readonly XNamespace Pskc = "urn:ietf:params:xml:ns:keyprov:pskc";
    public static readonly XNamespace Xenc = "http://www.w3.org/2001/04/xmlenc#";
    public static readonly XNamespace Dsig = "http://www.w3.org/2000/09/xmldsig#";

    /// <summary>Longest file in characters; a key package takes about 1,000.</summary>
    public const int MaxCharacters = 16 * 1024 * 1024;

    /// <summary>Loads the KeyContainer of a file. Nothing outside the file is fetched and no entity is expanded.</summary>
    public static XElement Load(Stream file)
    {
        var settings = new XmlReaderSettings
        {
            // Without a DTD there are no entities: neither XXE nor "billion laughs".
            DtdProcessing = DtdProcessing.Prohibit,
            XmlResolver = null,
            MaxCharactersInDocument = MaxCharacters,
            IgnoreComments = true,
            IgnoreProcessingInstructions = true,
        };
        try
        {
            using var reader = XmlReader.Create(file, settings);
            return RequireContainer(XDocument.Load(reader).Root!);
        }
        catch (XmlException e)
        {
            throw new PskcException(WholeFile, Explain(e));
        }
    }

    /// <summary>
    /// The one child of that name, or null. Two of them are a fault: readers that take different ones would disagree on the key.
    /// </summary>
    public static XElement? Optional(XElement parent, XName name, string where)
    {
        var found = parent.Elements(name).Take(2).ToArray();
        return found.Length < 2
            ? found.SingleOrDefault()
            : throw new PskcException(where, $"has more than one {name.LocalName} in its {parent.Name.LocalName}");
    }

    public static XElement Required(XElement parent, XName name, string where) =>
        Optional(parent, name, where) ?? throw new PskcException(where, $"has no {name.LocalName} in its {parent.Name.LocalName}");

    /// <summary>The text of an element, without the white space around it (the RFC's own figures wrap values).</summary>
    public static string Text(XElement element, string where) => element.HasElements
        ? throw new PskcException(where, $"has elements where its {element.Name.LocalName} should have text")
        : element.Value.Trim();

    public static byte[] Base64(XElement element, string where)
    {
        try
        {
            return Convert.FromBase64String(Text(element, where));
        }
        catch (FormatException)
        {
            // The text may be a key with a typing mistake: it is not repeated, and neither is the inner exception.
            throw new PskcException(where, $"has a {element.Name.LocalName} that is not Base64");
        }
    }

    public static string Attribute(XElement element, XName name, string where) =>
        element.Attribute(name)?.Value.Trim()
            ?? throw new PskcException(where, $"has no {name.LocalName} attribute on its {element.Name.LocalName}");

    /// <summary>
    /// Refuses children that RFC 6030 does not know: a misspelt TimeInterval must not become the default. Elements of other namespaces
    /// are the schema's extension points and are left alone; where an extension can change the OTP or its use, the caller refuses it too.
    /// </summary>
    public static void RefuseUnknown(XElement parent, string where, bool refuseExtensions, params ReadOnlySpan<string> known)
    {
        foreach (var child in parent.Elements())
        {
            var isExtension = child.Name.Namespace != Pskc && child.Name.Namespace != XNamespace.None;
            var isKnown = child.Name.Namespace == Pskc && known.Contains(child.Name.LocalName);
            if (!isKnown && (refuseExtensions || !isExtension))
            {
                var name = Quote(child.Name.LocalName);
                throw new PskcException(where, $"has a {name} in its {parent.Name.LocalName}, which is not understood");
            }
        }
    }

    private static XElement RequireContainer(XElement root)
    {
        if (root.Name != Pskc + "KeyContainer")
        {
            var name = Quote(root.Name.ToString());
            throw new PskcException(WholeFile, $"is not a PSKC file of RFC 6030: its root is {name}");
        }

        if (Attribute(root, "Version", WholeFile) != "1.0")
        {
            throw new PskcException(WholeFile, "is not of PSKC version 1.0");
        }

        return root;
    }

    // The reader's own text can quote the file, so only the place is told. It has no error codes: what it says tells the two limits apart.
    private static string Explain(XmlException e) => e.Message switch
    {
        var m when m.Contains("DTD", StringComparison.Ordinal) => "has a DTD (DOCTYPE), which is not allowed",
        var m when m.Contains(nameof(XmlReaderSettings.MaxCharactersInDocument), StringComparison.Ordinal) =>
            $"is longer than {MaxCharacters} characters; import it in parts",
        _ => $"is not well-formed XML at line {e.LineNumber}, position {e.LinePosition}",
    };
}
