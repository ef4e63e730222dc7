using System.Xml;

namespace OtpCtl.Commands.Credential;

/// <summary>What opens the keys of a supplier's file.</summary>
internal enum FileSecret
{
    /// <summary>They are plain, or the file is none that is known: that is the service's to say.</summary>
    None,

    /// <summary>A pre-shared key.</summary>
    Key,

    /// <summary>A password.</summary>
    Password,
}

/// <summary>Tells what a PSKC file needs, only to know what to ask for; looks no further than its first key.</summary>
internal static class FileSecrets
{
    public static FileSecret NeededBy(string path)
    {
        try
        {
            using var reader = XmlReader.Create(path, new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
            while (reader.Read())
            {
                switch (reader.NodeType == XmlNodeType.Element ? reader.LocalName : "")
                {
                    case "DerivedKey":
                        return FileSecret.Password;
                    case "EncryptedValue" or "MACMethod":
                        return FileSecret.Key;
                    case "PlainValue":
                        return FileSecret.None;
                }
            }

            return FileSecret.None;
        }
        catch (XmlException)
        {
            return FileSecret.None;
        }
    }
}
