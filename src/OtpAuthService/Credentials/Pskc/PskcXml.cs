using System.Collections.Frozen;
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

    /// <summary>Begins the namespace that an invented name is read into.</summary>
    private const string Invented = "invented:";

    private const string Xmlns = "http://www.w3.org/2000/xmlns/";

    /// <summary>The names that readers ask for, of elements and attributes, here and in <see cref="VipReader"/>: whatever is not among them is not found.</summary>
    private static readonly FrozenSet<string> Known = FrozenSet.Create(
        "AI", "Algorithm", "AlgorithmParameters", "CheckDigits", "Cipher", "CipherData", "CipherValue", "Counter", "CryptoModuleInfo", "Data", "DerivedKey", "Device",
        "DeviceInfo", "Encoding", "EncryptedValue", "EncryptionKey", "EncryptionMethod", "Expiry", "ExpiryDate", "Extensions", "FriendlyName",
        "GetSharedSecretResponse", "IV", "Id", "Issuer", "IterationCount", "Key", "KeyDerivationMethod", "KeyLength", "KeyName", "KeyPackage", "KeyProfileId",
        "KeyReference", "KeyUsage", "Length", "MACKey", "MACMethod", "Manufacturer", "NumberOfTransactions", "PBKDF2-params", "PINPolicy", "PRF", "PlainValue",
        "Policy", "ReasonCode", "ResponseFormat", "Salt", "Secret", "SecretContainer", "Signature", "Specified", "StartDate", "Status", "Suite", "Time", "TimeDrift",
        "TimeInterval", "TimeStep", "Usage", "UserId", "ValueMAC", "type");

    /// <summary>Namespaces that something of the process holds for its whole life, and with them every name that was ever made in them.</summary>
    private static readonly FrozenSet<string> Lasting = FrozenSet.Create(
        "",
        XNamespace.Xml.NamespaceName,
        Ns.NamespaceName,
        Xenc.NamespaceName,
        Dsig.NamespaceName,
        PskcPassword.Pkcs5.NamespaceName,
        PskcPassword.Xenc11.NamespaceName,
        VipReader.Vip.NamespaceName);

    /// <summary>What holds for every supplied file: nothing outside it is fetched, no entity is expanded, and its names are bounded.</summary>
    public static XmlReaderSettings Settings() => new()
    {
        Async = true,
        // Without a DTD there are no entities: neither XXE nor "billion laughs".
        DtdProcessing = DtdProcessing.Prohibit,
        XmlResolver = null,
        NameTable = new BoundedNames(),
        IgnoreComments = true,
        IgnoreProcessingInstructions = true,
        IgnoreWhitespace = true,
    };

    /// <summary>Opens the KeyContainer of a file: what is read next are its children.</summary>
    public static async Task<XmlReader> OpenAsync(UploadedFile file)
    {
        var reader = XmlReader.Create(file, Settings());
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
                    return (line, await ReadElementAsync(reader, stop));
                }

                await reader.ReadAsync();
            }

            await ReadToEndAsync(reader);
            return null;
        }
        catch (XmlException e)
        {
            throw new RefusedFileException(WholeFile, Explain(e));
        }
    }

    /// <summary>The element that the reader stands on; it then stands behind it. Unlike XNode.ReadFromAsync, it leaves no name behind that a file has invented.</summary>
    public static async Task<XElement> ReadElementAsync(XmlReader reader, CancellationToken stop)
    {
        XElement? open = null;
        while (true)
        {
            stop.ThrowIfCancellationRequested();
            var (isEmpty, isText) = (reader.IsEmptyElement, reader.NodeType is XmlNodeType.Text or XmlNodeType.CDATA);
            if (reader.NodeType == XmlNodeType.Element)
            {
                var element = ReadStart(reader);
                open?.Add(element);
                open = element;
            }
            else if (isText)
            {
                open!.Add(await reader.GetValueAsync());
            }

            var ends = reader.NodeType == XmlNodeType.EndElement || isEmpty;
            await reader.ReadAsync();
            if (ends && open!.Parent is null)
            {
                return open;
            }

            open = ends ? open!.Parent : open;
        }
    }

    /// <summary>Whatever stands behind the root, it has to be well-formed.</summary>
    public static async Task ReadToEndAsync(XmlReader reader)
    {
        while (await reader.ReadAsync())
        {
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
    /// Refuses children and attributes that RFC 6030 does not know: a misspelt TimeInterval must not become the default. Those of other namespaces
    /// are the schema's extension points and are left alone; where an extension can change the OTP or its use, the caller refuses it too.
    /// </summary>
    public static void RefuseUnknown(XElement parent, string where, bool refuseExtensions, params ReadOnlySpan<string> known)
    {
        foreach (var attribute in parent.Attributes())
        {
            if (NamespaceOf(attribute.Name).Length == 0 && !AttributesOf(parent.Name.LocalName).Contains(attribute.Name.LocalName))
            {
                throw UnknownAttribute(attribute.Name.LocalName, parent.Name.LocalName, where);
            }
        }

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

    public static bool IsExtension(XElement child) => NamespaceOf(child.Name) is var name && name.Length > 0 && name != Ns.NamespaceName;

    private static RefusedFileException UnknownAttribute(string name, string element, string where) =>
        new(where, $"has a {Quote(name)} on its {element}, which is not understood");

    private static string[] AttributesOf(string element) => element switch
    {
        "KeyContainer" => ["Version", "Id"],
        "Key" => ["Id", "Algorithm"],
        "ResponseFormat" => ["Encoding", "Length", "CheckDigits"],
        _ => [],
    };

    private static XElement ReadStart(XmlReader reader)
    {
        var element = new XElement(NameOf(reader));
        while (reader.MoveToNextAttribute())
        {
            if (reader.NamespaceURI != Xmlns)
            {
                element.Add(new XAttribute(NameOf(reader), reader.Value));
            }
        }

        reader.MoveToElement();
        return element;
    }

    /// <summary>A name that no reader asks for is read into a namespace that goes with the last element in it.</summary>
    private static XName NameOf(XmlReader reader) => Lasting.Contains(reader.NamespaceURI) && !Known.Contains(reader.LocalName)
        ? XName.Get(reader.LocalName, Invented + reader.NamespaceURI)
        : XName.Get(reader.LocalName, reader.NamespaceURI);

    private static string NamespaceOf(XName name) =>
        name.NamespaceName.StartsWith(Invented, StringComparison.Ordinal) ? name.NamespaceName[Invented.Length..] : name.NamespaceName;

    private static bool IsKnown(XElement child, bool refuseExtensions, ReadOnlySpan<string> known) => IsExtension(child)
        ? !refuseExtensions
        : child.Name.Namespace == Ns && known.Contains(child.Name.LocalName);

    private static void RequireContainer(XmlReader reader)
    {
        if (reader.LocalName != "KeyContainer" || reader.NamespaceURI != Ns.NamespaceName)
        {
            throw new RefusedFileException(WholeFile, $"is not a PSKC file of RFC 6030: its root is {Quote(reader.LocalName)} of {Quote(reader.NamespaceURI)}");
        }

        if (reader.GetAttribute("Version") is not { } version)
        {
            throw new RefusedFileException(WholeFile, "has no Version attribute on its KeyContainer");
        }

        if (version.Trim() != "1.0")
        {
            throw new RefusedFileException(WholeFile, "is not of PSKC version 1.0");
        }

        while (reader.MoveToNextAttribute())
        {
            if (reader.NamespaceURI.Length == 0 && !AttributesOf("KeyContainer").Contains(reader.LocalName))
            {
                throw UnknownAttribute(reader.LocalName, "KeyContainer", WholeFile);
            }
        }

        reader.MoveToElement();
    }

    /// <summary>The reader's own text can quote the file, so only the place is told. It has no error codes: what it says tells a DTD apart.</summary>
    public static string Explain(XmlException e, int linesBefore = 0) => e.Message.Contains("DTD", StringComparison.Ordinal)
        ? "has a DTD (DOCTYPE), which is not allowed"
        : $"is not well-formed XML at line {e.LineNumber + linesBefore}, position {e.LinePosition}";
}
