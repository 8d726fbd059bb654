/// Bytes that can be read at any place: a file, or what arrived on standard input and was put aside.
///
/// Reads may come from any number of threads at once; they block.
package protocol PositionedBytes: AnyObject, Sendable {
    /// For messages.
    var path: String { get }
    /// How many there are; fixed from the beginning.
    var byteCount: UInt64 { get }

    /// Fills the whole of `buffer` with the bytes from `offset` on.
    ///
    /// - Throws: `outOfRange` when fewer bytes exist; `shrank` when they no longer do; `readFailed`.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SourceError)

    /// Called after the last read: throws `changed`, `shrank` or `inUse` when what was read cannot be trusted.
    func confirmUnchanged() throws(SourceError)
}

extension PositionedBytes {
    /// Throws `outOfRange` unless `count` bytes lie at `offset`.
    func requireInside(offset: UInt64, count: Int) throws(SourceError) {
        guard offset <= byteCount, UInt64(count) <= byteCount - offset else {
            throw .outOfRange(path, offset: offset, count: count, size: byteCount)
        }
    }
}

/// A file that is read at any place, as it was when it was opened.
package final class StreamFile: PositionedBytes {
    /// Reads of fewer bytes leave the page cache to the kernel: asking it costs more than they do.
    private static let smallestTidyRead = 1 << 16

    package let path: String
    package let byteCount: UInt64
    private let file: HostFile

    /// Opens a file or block device.
    ///
    /// - Parameter ignoresUse: read it although a virtual machine writes it or it is mounted.
    /// - Throws: `notFound`, `notReadable`, `notAnImage`, `inUse`.
    package init(opening path: String, ignoresUse: Bool) throws(SourceError) {
        file = try HostFile(opening: path, use: ignoresUse ? .ignored : .held)
        self.path = path
        byteCount = file.size
        PageCache.expectSequentialReads(file.descriptor)
    }

    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SourceError) {
        try requireInside(offset: offset, count: buffer.count)
        let isTidy = buffer.count >= StreamFile.smallestTidyRead && !file.isBlockDevice
        let absent = isTidy ? PageCache.absent(file.descriptor, start: offset, count: buffer.count) : []
        // Safety: the buffer belongs to the caller for the whole call.
        let count = try unsafe file.fill(buffer, at: offset)
        PageCache.drop(file.descriptor, absent)
        if count < buffer.count { throw .shrank(path, from: byteCount, to: offset + UInt64(count)) }
    }

    package func confirmUnchanged() throws(SourceError) { try file.confirmUnchanged() }
}
