using System.Xml;
using static OtpAuthService.Credentials.RefusedFileException;

namespace OtpAuthService.Credentials.Pskc;

/// <summary>
/// The names of one file's elements, attributes and namespaces, of which its reader keeps one string each until the file's end: some dozens. A file that
/// goes on to invent names is refused before they fill the memory.
/// </summary>
internal sealed class BoundedNames : NameTable
{
    private const int MostNames = 1_000;
    private const int MostCharacters = 128 * 1024;

    private int names;
    private int characters;

    public override string Add(string key) => Get(key) ?? AddNew(key);

    public override string Add(char[] key, int start, int len) => Get(key, start, len) ?? AddNew(new string(key, start, len));

    private string AddNew(string name)
    {
        names++;
        characters += name.Length;
        return names <= MostNames && characters <= MostCharacters
            ? base.Add(name)
            : throw new RefusedFileException(WholeFile, "has more or longer names of elements and attributes than any such file");
    }
}
