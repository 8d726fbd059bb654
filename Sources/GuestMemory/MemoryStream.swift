// Takes images of a guest's memory apart
// --------------------------------------
// What a hypervisor writes of a guest's memory holds pages between heads of its own, so that the same page stands at
// another alignment in each. Here a stream becomes two images: the pages by guest-physical address, which are chunked
// on their own borders and meet the pages of yesterday, of another format and of the disk; and the skeleton, by which
// the stream comes back byte for byte.
//
// What is guaranteed: whatever the bytes are, taking them apart and putting them together gives the same bytes; nothing
// traps; what is held is bounded by MemoryLimits. A parser that meets what it does not know stores the rest literally.
//
// What may run at the same time: a stream is taken apart by one task; any number read the images that come of it.
package import GuestSource

/// A stream of a guest's memory, taken apart.
package struct MemoryStream: Sendable {
    /// Names of the formats that are recognised and not taken, by their first bytes.
    private static let refused: [(magic: [UInt8], name: String)] = [
        (Array("KDUMP   ".utf8), "a compressed kdump file"),
        (Array("makedumpfile\0".utf8), "a compressed kdump file in its flattened form"),
    ]

    /// What kind of stream it is.
    package let format: MemoryFormat
    /// The pages by address; or the stream itself when it is of no known format.
    package let memory: AssembledSource
    /// How the stream is put together again; `nil` when `memory` is the stream itself.
    package let skeleton: AssembledSource?
    /// Pages that have a place.
    package let pageCount: UInt64
    /// Bytes of the stream that are kept as they are, heads and what follows a template left out.
    package let literalByteCount: UInt64
    /// Sentences an operator should see once.
    package let notes: [String]

    /// Takes a stream apart. The stream is read once from front to back here, and again by whoever reads the images.
    ///
    /// - Throws: ``MemoryError``, `refused`, for formats that are known and not taken; ``SourceError``.
    package init(parsing stream: any PositionedBytes) throws {
        var builder = SkeletonBuilder(stream)
        let head = try MemoryStream.head(of: stream)
        if let known = MemoryStream.refused.first(where: { head.starts(with: $0.magic) }) {
            throw MemoryError(
                .refused,
                "\(stream.path) is \(known.name), whose pages are packed so that none can be told from another before "
                    + "it is unpacked; dump the guest again with --format elf (virsh dump --memory-only --format elf, "
                    + "or dump-guest-memory without -z, -l and -s), or unpack it with makedumpfile -E")
        }
        var found = MemoryStream.look(at: head)
        guard found != .stream else {
            self.init(plain: stream, why: "it is none of the formats of memory that this program knows")
            return
        }
        var notes: [String] = []
        do throws(StreamStop) {
            var stopped: StreamStop?
            do throws(StreamStop) { try MemoryStream.parse(&found, StreamCursor(stream), &builder) } catch {
                stopped = error
            }
            if let stopped {
                guard stopped.isAboutFormat else { throw stopped }
                notes.append(
                    "\(stream.path) is stored as it is from byte \(builder.position) on, not by pages: "
                        + stopped.sentence
                )
                guard builder.pageCount > 0 else { throw stopped }
            }
            guard builder.pageCount > 0 else { throw .unknown("no page of memory was found in it") }
            try builder.literal(upTo: stream.byteCount)
        } catch {
            if case .failed(let error) = error { throw error }
            self.init(plain: stream, why: error.sentence)
            return
        }
        self.init(builder, format: found, notes: notes)
    }

    /// The first bytes.
    private static func head(of stream: any PositionedBytes) throws -> [UInt8] {
        var cursor = StreamCursor(stream)
        do { return try cursor.bytes(Int(min(64, stream.byteCount)), of: "") } catch StreamStop.failed(let error) {
            throw error
        }
    }

    /// What a parser made of a stream.
    private init(_ builder: SkeletonBuilder, format: MemoryFormat, notes: [String]) {
        var builder = builder
        pageCount = builder.pageCount
        let parts = builder.finish(format: format)
        self.format = format
        memory = parts.memory
        skeleton = parts.skeleton
        literalByteCount = parts.literalByteCount
        self.notes = notes
    }

    /// A stream as plain bytes.
    private init(plain stream: any PositionedBytes, why: String) {
        format = .stream
        let segments = [StreamSegment(start: 0, offset: 0, length: stream.byteCount, stride: 0)]
        memory = AssembledSource(
            segments: stream.byteCount > 0 ? segments : [], byteCount: stream.byteCount, stream: stream)
        skeleton = nil
        pageCount = 0
        literalByteCount = stream.byteCount
        notes = ["\(stream.path) is stored as a stream of bytes, not by pages: \(why)"]
    }

    /// What the first bytes say.
    private static func look(at head: [UInt8]) -> MemoryFormat {
        if head.starts(with: LibvirtSaveParser.magic) { return .libvirtSave }
        if head.starts(with: XenSaveParser.magic) { return .xenSave }
        if head.starts(with: XenSaveParser.libxcMarker) { return .xenLibxc }
        if ELFCoreParser.begins(head) { return .elfCore }
        if head.starts(with: Array("QEVM".utf8)) { return .qemuMigration }
        return .stream
    }

    private static func parse(
        _ format: inout MemoryFormat, _ cursor: StreamCursor, _ builder: inout SkeletonBuilder
    ) throws(StreamStop) {
        switch format {
        case .libvirtSave: try LibvirtSaveParser.run(cursor, into: &builder)
        case .xenSave: try XenSaveParser.runSave(cursor, into: &builder)
        case .xenLibxc: try XenSaveParser.runGuest(cursor, into: &builder)
        case .elfCore, .xenCore: try ELFCoreParser.run(cursor, into: &builder, format: &format)
        case .qemuMigration:
            var cursor = cursor
            guard try QEMUStreamParser.begins(&cursor) else { throw .unknown("no stream of QEMU's") }
            try QEMUStreamParser.run(cursor, into: &builder)
        case .stream: throw .unknown("")
        }
    }

    /// What a stream calls something, fit for a terminal.
    static func printable(_ name: [UInt8]) -> String {
        String(decoding: name.prefix(40).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}
