import Glibc

/// An image of a container format that a restore makes, written through a `qemu-nbd` that this program starts and ends.
///
/// In a new one everything that is not written reads as zeros. Writes may come from several tasks at once, to different
/// places.
package final class ImageTarget: Sendable {
    /// Sizes of containers are in whole sectors.
    package static let sectorByteCount: UInt64 = 512

    let path: String
    private let format: ImageFormat
    let server: NBDServer
    /// Whether the server tells what reads as zeros; of a VHDX it says that all is data.
    var hasAllocationMap: Bool { server.hasAllocationMap && format != .vhdx }

    /// Creates the image, dynamic or sparse, and starts the server.
    ///
    /// - Parameters:
    ///   - path: where nothing is yet; readable by its owner alone.
    ///   - format: a container; raw disks need none.
    ///   - byteCount: size of the disk, whole sectors.
    ///   - connections: writes that may be under way at once, 1 to 16.
    /// - Throws: ``SourceError``: `serverMissing`, `serverFailed` with QEMU's words.
    package convenience init(
        path: String, format: ImageFormat, byteCount: UInt64, connections: Int
    ) throws(SourceError) {
        ImageTarget.require(format, byteCount)
        guard let program = HostProgram.find("qemu-img") else {
            let sentence = "\(path) needs qemu-img, which is not on PATH; install the package qemu-utils"
            throw SourceError(.serverMissing, sentence, .askOperator)
        }
        // QEMU creates files as the umask says; this one is made first, and kept.
        // Safety: the path is a terminated copy for the call.
        let made = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o600))
        guard made >= 0 else { throw .writing(path, ErrorText.of(errno)) }
        Glibc.close(made)
        var command = [program, "create", "-q", "-f", format.driver]
        // Without force_size QEMU rounds a VHD to whole cylinders of a geometry from 1980.
        if format == .vhd { command += ["-o", "force_size=on"] }
        let result = HostProgram.run(command + [path, "\(byteCount)"])
        guard result.status == 0 else { throw .writing(path, ErrorText.printable(result.errorText)) }
        try self.init(opening: path, format: format, connections: connections)
        guard server.byteCount == byteCount else {
            server.stop()
            throw .writing(path, "the new image has \(server.byteCount) bytes instead of \(byteCount)")
        }
    }

    /// Starts the server of an image that is there and was looked at.
    init(opening path: String, format: ImageFormat, connections: Int) throws(SourceError) {
        server = try NBDServer(writing: path, format: format, connections: connections)
        self.path = path
        self.format = format
    }

    static func require(_ format: ImageFormat, _ byteCount: UInt64) {
        precondition(format != .raw, "a raw disk is written without a server")
        precondition(byteCount % ImageTarget.sectorByteCount == 0, "containers hold whole sectors")
    }

    /// Writes all of `bytes` at `offset`, a multiple of the sector. Behind an end that is none, the rest of the sector
    /// becomes zero: only the last bytes of a disk end so.
    ///
    /// - Throws: ``SourceError``, `serverFailed`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) async throws(SourceError) {
        let connection = try await server.borrow()
        defer { server.giveBack(connection) }
        let sector = Int(ImageTarget.sectorByteCount)
        let whole = bytes.count / sector * sector
        // Safety: the buffer belongs to the caller for the whole call, and both pieces lie inside it.
        try unsafe connection.write(UnsafeRawBufferPointer(rebasing: bytes[..<whole]), at: offset)
        guard whole < bytes.count else { return }
        let last = unsafe Array(bytes[whole...]) + [UInt8](repeating: 0, count: sector - (bytes.count - whole))
        var result: Result<Void, SourceError> = .success(())
        // Safety: the array lives through the call.
        unsafe last.withUnsafeBytes { buffer in
            do throws(SourceError) { try unsafe connection.write(buffer, at: offset + UInt64(whole)) } catch {
                result = .failure(error)
            }
        }
        try result.get()
    }

    /// Makes the image complete and durable, ends the server, and lets QEMU check the tables where it can.
    ///
    /// - Throws: ``SourceError``, `serverFailed`.
    package func finish() throws(SourceError) {
        try server.finish()
        guard let program = HostProgram.find("qemu-img") else { return }
        let result = HostProgram.run([program, "check", "-q", "-f", format.driver, path])
        guard result.status == 0 || result.status == ImageTarget.noCheck else {
            throw .writing(path, "qemu-img finds the finished image faulty: \(ErrorText.printable(result.errorText))")
        }
    }

    /// Ends the server; the image is not complete, but whole enough to go on with when the server leaves within some
    /// seconds. May be called twice.
    package func abandon() { server.leave() }
}
