import CNBD

// Writing, for images that restores make. Requests are in whole units of the server; the caller's edges are its matter.
extension NBDConnection {
    /// Most bytes of one write; QEMU refuses requests above 32 MiB.
    private static let largestWrite = 16 << 20
    /// Most bytes of one request that writes zeros: the protocol counts them in 32 bits.
    private static let largestZero: UInt64 = 1 << 30

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(SourceError) {
        var done = 0
        while done < bytes.count {
            let count = min(NBDConnection.largestWrite, bytes.count - done)
            // Safety: the piece lies inside the caller's buffer, which libnbd reads during the call only.
            let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
            guard unsafe nbd_pwrite(handle, piece.baseAddress, count, offset + UInt64(done), 0) == 0 else {
                throw .writing(path, NBDConnection.lastMessage())
            }
            done += count
        }
    }

    /// Makes a range zero, whole sectors; its room is given back where the format can.
    func zero(at offset: UInt64, count: UInt64) throws(SourceError) {
        var done: UInt64 = 0
        while done < count {
            let part = min(NBDConnection.largestZero, count - done)
            // Safety: the handle lives as long as this object.
            guard unsafe nbd_zero(handle, part, offset + done, 0) == 0 else {
                throw .writing(path, NBDConnection.lastMessage())
            }
            done += part
        }
    }

    /// Tells the server, without waiting for anything, that nothing more comes.
    func leave() {
        // Safety: the handle lives as long as this object.
        _ = unsafe nbd_aio_disconnect(handle, 0)
    }

    /// Makes everything that was written durable.
    func flush() throws(SourceError) {
        // Safety: the handle lives as long as this object, here and below.
        guard unsafe nbd_flush(handle, 0) == 0 else { throw .writing(path, NBDConnection.lastMessage()) }
    }

    /// Tells the server that nothing more comes.
    func disconnect() throws(SourceError) {
        guard unsafe nbd_shutdown(handle, 0) == 0 else { throw .writing(path, NBDConnection.lastMessage()) }
    }
}

extension SourceError {
    static func writing(_ path: String, _ reason: String) -> SourceError {
        SourceError(.serverFailed, "\(path) could not be written through qemu-nbd: \(reason)", .retry)
    }
}
