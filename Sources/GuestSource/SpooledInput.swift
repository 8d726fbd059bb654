package import Effects
import Glibc

/// What arrived on standard input, put aside in a file without a name so that it can be read at any place.
///
/// The file is readable by its owner alone and has lost its name before the first byte is in it: whatever ends the
/// process, nothing is left.
package final class SpooledInput: PositionedBytes {
    private static let pieceByteCount = 1 << 20

    package let path: String
    package let byteCount: UInt64
    private let descriptor: CInt

    private init(_ descriptor: CInt, byteCount: UInt64, path: String = "standard input") {
        self.descriptor = descriptor
        self.byteCount = byteCount
        self.path = path
    }

    /// What another program has put into a file without a name; it has come to its end.
    ///
    /// - Parameter name: what it is, for messages.
    /// - Throws: `readFailed`.
    package convenience init(of file: borrowing PassedDescriptor, name: String) throws(SourceError) {
        let descriptor: CInt
        do throws(FileError) { descriptor = try file.duplicate() } catch {
            throw SourceError(.readFailed, "\(name) cannot be read: \(error.sentence)", .retry)
        }
        let size = lseek(descriptor, 0, SEEK_END)
        guard size >= 0 else {
            let number = errno
            Glibc.close(descriptor)
            throw .system("asking for its size", name, number)
        }
        self.init(descriptor, byteCount: UInt64(size), path: name)
    }

    deinit { Glibc.close(descriptor) }

    /// Reads standard input to its end.
    ///
    /// - Parameters:
    ///   - folder: on a file system with room for all of it.
    ///   - input: an open descriptor that stays the caller's; standard input unless told otherwise.
    ///   - report: called with the bytes put aside so far, after each piece.
    /// - Throws: `inputIsTerminal`, `notReadable`; `empty` when not a byte came; `readFailed` when the folder has no
    ///   room or cannot be written; `interrupted`.
    package static func spool(
        folder: String, input: CInt = 0, report: (UInt64) -> Void = { _ in }
    ) async throws(SourceError) -> SpooledInput {
        var source = try StandardInputSource(descriptor: input)
        let descriptor = try nameless(in: folder)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceByteCount, alignment: 4096)
        // Safety: allocated here and used by nobody else.
        defer { unsafe room.deallocate() }
        do throws(SourceError) {
            while true {
                // Safety: the buffer is ours, and filled up to `count`.
                let count = try await unsafe source.next(into: room)
                try unsafe write(UnsafeRawBufferPointer(rebasing: room[..<count]), to: descriptor, folder: folder)
                report(source.byteCount)
                if count < pieceByteCount { break }
            }
            guard source.byteCount > 0 else {
                throw SourceError(
                    .empty,
                    "standard input ended without a byte, as it does when the program that writes it fails; no point "
                        + "was made: look at that program", .askOperator)
            }
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        return SpooledInput(descriptor, byteCount: source.byteCount)
    }

    private static func nameless(in folder: String) throws(SourceError) -> CInt {
        do throws(FileError) {
            return try PassedDescriptor(scratchIn: folder, byteCount: 0).duplicate()
        } catch { throw failed(folder, error.number) }
    }

    private static func failed(_ folder: String, _ number: CInt) -> SourceError {
        SourceError(
            .readFailed,
            "standard input cannot be put aside in \(folder): \(ErrorText.of(number)); name a folder with room for all "
                + "of it in TMPDIR, or give a file", .askOperator, cause: number)
    }

    private static func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, folder: String
    ) throws(SourceError) {
        var done = 0
        while done < bytes.count {
            // Safety: the range starts inside the buffer and ends at its end.
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count > 0 { done += count } else if errno != EINTR { throw failed(folder, errno) }
        }
    }

    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SourceError) {
        try requireInside(offset: offset, count: buffer.count)
        var done = 0
        while done < buffer.count {
            // Safety: the range starts inside the caller's buffer and ends at its end.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw .shrank(path, from: byteCount, to: offset + UInt64(done))
            } else if errno != EINTR {
                throw .system("reading at \(offset + UInt64(done))", path, errno)
            }
        }
    }

    package func confirmUnchanged() throws(SourceError) {}
}
