using System.Xml;
using System.Xml.Linq;
using static OtpAuthService.Credentials.RefusedFileException;

namespace OtpAuthService.Credentials.Pskc;

/// <summary>
/// XML as a PSKC file may use it. Strict where LINQ to XML is lenient: an element that is there twice, misspelt or with elements in
/// place of text is a fault, never silently the first of two or a default.
/// </summary>
internal static class PskcXml
{
    public static readonly XNamespace Ns = "urn:ietf:params:xml:ns:keyprov:pskc";
    public static readonly XNamespace Xenc = "http://www.w3.org/2001/04/xmlenc#";
    public static readonly XNamespace Dsig = "http://www.w3.org/2000/09/xmldsig#";

    /// <summary>Opens the KeyContainer of a file: what is read next are its children. Nothing outside the file is fetched and no entity is expanded.</summary>
    public static async Task<XmlReader> OpenAsync(UploadedFile file)
    {
        var reader = XmlReader.Create(file, new XmlReaderSettings
        {
            Async = true,
            // Without a DTD there are no entities: neither XXE nor "billion laughs".
            DtdProcessing = DtdProcessing.Prohibit,
            XmlResolver = null,
            IgnoreComments = true,
            IgnoreProcessingInstructions = true,
            IgnoreWhitespace = true,
        });
        try
        {
            await reader.MoveToContentAsync();
            RequireContainer(reader);
            if (!reader.IsEmptyElement)
            {
                await reader.ReadAsync();
            }

            return reader;
        }
        catch (XmlException e)
        {
            reader.Dispose();
            throw new RefusedFileException(WholeFile, Explain(e));
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    /// <summary>The next child of the container and the line that it begins on, or null at its end; then the file has been read to its own end.</summary>
    public static async Task<(int Line, XElement Element)?> NextChildAsync(XmlReader reader, CancellationToken stop)
    {
        try
        {
            while (reader.Depth > 0)
            {
                if (reader.NodeType == XmlNodeType.Element)
                {
                    var line = ((IXmlLineInfo)reader).LineNumber;
                    return (line, (XElement)await XNode.ReadFromAsync(reader, stop));
                }

                await reader.ReadAsync();
            }

            while (await reader.ReadAsync())
            {
                // Whatever stands behind the container, it has to be well-formed.
            }

            return null;
        }
        catch (XmlException e)
        {
            throw new RefusedFileException(WholeFile, Explain(e));
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
            : throw new RefusedFileException(where, $"has more than one {name.LocalName} in its {parent.Name.LocalName}");
    }

    public static XElement Required(XElement parent, XName name, string where) =>
        Optional(parent, name, where) ?? throw new RefusedFileException(where, $"has no {name.LocalName} in its {parent.Name.LocalName}");

    /// <summary>The text of an element, without the white space around it (the RFC's own figures wrap values).</summary>
    public static string Text(XElement element, string where) => element.HasElements
        ? throw new RefusedFileException(where, $"has elements where its {element.Name.LocalName} should have text")
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
            throw new RefusedFileException(where, $"has a {element.Name.LocalName} that is not Base64");
        }
    }

    public static string Attribute(XElement element, XName name, string where) =>
        element.Attribute(name)?.Value.Trim()
            ?? throw new RefusedFileException(where, $"has no {name.LocalName} attribute on its {element.Name.LocalName}");

    /// <summary>
    /// Refuses children that RFC 6030 does not know: a misspelt TimeInterval must not become the default. Elements of other namespaces
    /// are the schema's extension points and are left alone; where an extension can change the OTP or its use, the caller refuses it too.
    /// </summary>
    public static void RefuseUnknown(XElement parent, string where, bool refuseExtensions, params ReadOnlySpan<string> known)
    {
        foreach (var child in parent.Elements())
        {
            if (!IsKnown(child, refuseExtensions, known))
            {
                throw Unknown(child, parent.Name.LocalName, where);
            }
        }
    }

    public static RefusedFileException Unknown(XElement child, string parent, string where) =>
        new(where, $"has a {Quote(child.Name.LocalName)} in its {parent}, which is not understood");

    public static bool IsExtension(XElement child) => child.Name.Namespace != Ns && child.Name.Namespace != XNamespace.None;

    private static bool IsKnown(XElement child, bool refuseExtensions, ReadOnlySpan<string> known) => IsExtension(child)
        ? !refuseExtensions
        : child.Name.Namespace == Ns && known.Contains(child.Name.LocalName);

    private static void RequireContainer(XmlReader reader)
    {
        if (reader.LocalName != "KeyContainer" || reader.NamespaceURI != Ns.NamespaceName)
        {
            var name = Quote(XName.Get(reader.LocalName, reader.NamespaceURI).ToString());
            throw new RefusedFileException(WholeFile, $"is not a PSKC file of RFC 6030: its root is {name}");
        }

        if (reader.GetAttribute("Version") is not { } version)
        {
            throw new RefusedFileException(WholeFile, "has no Version attribute on its KeyContainer");
        }

        if (version.Trim() != "1.0")
        {
            throw new RefusedFileException(WholeFile, "is not of PSKC version 1.0");
        }
    }

    /// <summary>The reader's own text can quote the file, so only the place is told. It has no error codes: what it says tells a DTD apart.</summary>
    public static string Explain(XmlException e, int linesBefore = 0) => e.Message.Contains("DTD", StringComparison.Ordinal)
        ? "has a DTD (DOCTYPE), which is not allowed"
        : $"is not well-formed XML at line {e.LineNumber + linesBefore}, position {e.LinePosition}";
}
