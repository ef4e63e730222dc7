using QRCoder;
using Spectre.Console;

namespace OtpCtl;

/// <summary>A QR code made of half-block characters.</summary>
internal static class QrCode
{
    public static void Draw(TextWriter output, string content)
    {
        using var data = QRCodeGenerator.GenerateQrCode(content, QRCodeGenerator.ECCLevel.L);
        using var code = new AsciiQRCode(data);
        // Light modules are drawn in the foreground colour; both colours are set so that a light terminal theme does not invert the code.
        AnswerOutput.Screen(output).Write(new Text(code.GetGraphicSmall() + "\n", new Style(Color.White, Color.Black)));
    }
}
