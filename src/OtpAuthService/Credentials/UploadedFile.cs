using System.Security.Cryptography;

namespace OtpAuthService.Credentials;

/// <summary>
/// A file while it arrives: read once, in the order of its pieces, and never held as a whole. It bounds what a reader can be made to hold: an entry of
/// the file is at most <see cref="MaxEntryBytes"/> long.
/// </summary>
/// <param name="pieces">The file. A piece may be overwritten once the next one is asked for.</param>
/// <param name="digest">What the digest of the file goes on from.</param>
/// <param name="maxBytes">Longest file.</param>
internal sealed class UploadedFile(IAsyncEnumerator<ReadOnlyMemory<byte>> pieces, IncrementalHash digest, long maxBytes = UploadedFile.MaxBytes) : Stream
{
    /// <summary>Two million credentials as encrypted PSKC packages, which take about 1,000 bytes each.</summary>
    public const long MaxBytes = 2L * 1024 * 1024 * 1024;

    /// <summary>From one <see cref="BeginEntry"/> to the next, with what readers buffer ahead.</summary>
    public const int MaxEntryBytes = 256 * 1024;

    private ReadOnlyMemory<byte> piece;
    private long length;
    private long entryBegan;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>A reader has finished with all that it has read so far.</summary>
    public void BeginEntry() => entryBegan = length;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (length - entryBegan > MaxEntryBytes)
        {
            throw new RefusedFileException(
                RefusedFileException.WholeFile, $"has more than {MaxEntryBytes / 1024} KiB before or in one credential, or after the last, which no such file has");
        }

        if (buffer.IsEmpty || !await MoveToContentAsync())
        {
            return 0;
        }

        var count = Math.Min(buffer.Length, piece.Length);
        piece[..count].CopyTo(buffer);
        piece = piece[count..];
        length += count;
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <summary>Takes what no reader has read, and tells the digest of the whole file.</summary>
    public async Task<byte[]> FinishAsync()
    {
        while (await MoveToContentAsync())
        {
            length += piece.Length;
            piece = default;
        }

        return digest.GetHashAndReset();
    }

    public override void Flush() => throw new NotSupportedException();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("It arrives over the network: read it asynchronously.");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private async ValueTask<bool> MoveToContentAsync()
    {
        while (piece.IsEmpty)
        {
            if (!await pieces.MoveNextAsync())
            {
                return false;
            }

            piece = pieces.Current;
            digest.AppendData(piece.Span);
            if (length + piece.Length > maxBytes)
            {
                throw new RefusedFileException(RefusedFileException.WholeFile, $"is longer than {maxBytes} bytes; import it in parts");
            }
        }

        return true;
    }
}
