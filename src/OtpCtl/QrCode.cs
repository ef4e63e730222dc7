using QRCoder;
using Spectre.Console;

namespace OtpCtl;

/// <summary>QR codes: of half-block characters on a terminal, or as pictures.</summary>
internal static class QrCode
{
    private const int PixelsPerModule = 8;

    public static void Draw(TextWriter output, string content)
    {
        using var data = Encode(content);
        using var code = new AsciiQRCode(data);
        // Light modules are drawn in the foreground colour; both colours are set so that a light terminal theme does not invert the code.
        AnswerOutput.Screen(output).Write(new Text(code.GetGraphicSmall() + "\n", new Style(Color.White, Color.Black)));
    }

    public static byte[] Png(string content)
    {
        using var data = Encode(content);
        using var code = new PngByteQRCode(data);
        return code.GetGraphic(PixelsPerModule);
    }

    public static string Svg(string content)
    {
        using var data = Encode(content);
        using var code = new SvgQRCode(data);
        return code.GetGraphic(PixelsPerModule);
    }

    private static QRCodeData Encode(string content) => QRCodeGenerator.GenerateQrCode(content, QRCodeGenerator.ECCLevel.L);
}
