/// Reads what `xl save` writes: a header, a configuration, Xen's toolstack stream of version 2 and inside of it the
/// guest's own, version 2 or 3 (docs of Xen: `docs/specs/libxl-migration-stream.pandoc`,
/// `docs/specs/libxc-migration-stream.pandoc`), or the latter alone.
struct XenSaveParser {
    static let magic = Array("Xen saved domain, xl format\n \0 \r".utf8)
    static let libxcMarker: [UInt8] = [UInt8](repeating: 0xFF, count: 8) + Array("XENF".utf8)

    private static let byteOrder: UInt32 = 0x0102_0304
    private static let hasStreamVersion2: UInt32 = 2
    private static let libxlIdentity: UInt64 = 0x4C69_6278_6C46_6D74
    private static let endRecord: UInt32 = 0
    private static let libxcContext: UInt32 = 1
    private static let pageData: UInt32 = 1
    /// Kinds of pages, in the highest four bits of their numbers, from which on no content follows.
    private static let firstKindWithoutContent: UInt64 = 0xD
    private static let numberMask: UInt64 = (1 << 52) - 1

    private var cursor: StreamCursor
    private let template: Int

    private init(_ cursor: StreamCursor, _ builder: inout SkeletonBuilder) {
        self.cursor = cursor
        template = builder.define(SkeletonTemplate(isBigEndian: false, hasPage: false, step: 1))
    }

    /// Describes what `xl save` wrote, all of it.
    static func runSave(_ cursor: StreamCursor, into builder: inout SkeletonBuilder) throws(StreamStop) {
        var parser = XenSaveParser(cursor, &builder)
        try parser.readSave(into: &builder)
        try builder.literal(upTo: cursor.byteCount)
    }

    /// Describes the guest's own stream.
    static func runGuest(_ cursor: StreamCursor, into builder: inout SkeletonBuilder) throws(StreamStop) {
        var parser = XenSaveParser(cursor, &builder)
        try parser.readGuest(into: &builder)
        try builder.literal(upTo: cursor.byteCount)
    }

    private func unknown(_ what: String) -> StreamStop { .unknown("\(what) at byte \(cursor.position)") }

    private mutating func readSave(into builder: inout SkeletonBuilder) throws(StreamStop) {
        try cursor.skip(UInt64(XenSaveParser.magic.count), in: "its header")
        guard try cursor.little(UInt32.self, of: "its header") == XenSaveParser.byteOrder else {
            throw unknown("another order of bytes")
        }
        let mandatory = try cursor.little(UInt32.self, of: "its header")
        try cursor.skip(4, in: "its header")
        let length = UInt64(try cursor.little(UInt32.self, of: "its header"))
        guard mandatory & XenSaveParser.hasStreamVersion2 != 0 else {
            throw unknown("a stream of a Xen before 4.6")
        }
        guard length <= MemoryLimits.descriptionByteCount else { throw unknown("a configuration of \(length) bytes") }
        try cursor.skip(length, in: "its configuration")
        guard try cursor.big(UInt64.self, of: "its toolstack stream") == XenSaveParser.libxlIdentity,
            try cursor.big(UInt32.self, of: "its toolstack stream") == 2,
            try cursor.big(UInt32.self, of: "its toolstack stream") == 0
        else { throw unknown("no toolstack stream of version 2, lowest byte first") }
        while true {
            let kind = try cursor.little(UInt32.self, of: "a record")
            let length = UInt64(try cursor.little(UInt32.self, of: "a record"))
            if kind == XenSaveParser.libxcContext {
                try cursor.skip(length, in: "a record")
                try readGuest(into: &builder)
                continue
            }
            try cursor.skip((length + 7) & ~7, in: "a record")
            if kind == XenSaveParser.endRecord { return }
        }
    }

    private mutating func readGuest(into builder: inout SkeletonBuilder) throws(StreamStop) {
        let marker = try cursor.bytes(XenSaveParser.libxcMarker.count, of: "the guest's stream")
        guard marker == XenSaveParser.libxcMarker else { throw unknown("no stream of a guest") }
        let version = try cursor.big(UInt32.self, of: "the guest's stream")
        let options = try cursor.big(UInt16.self, of: "the guest's stream")
        try cursor.skip(6, in: "the guest's stream")
        guard (2...3).contains(version), options == 0 else {
            throw unknown("version \(version) of a guest's stream, with options \(options)")
        }
        try cursor.skip(4, in: "the guest's stream")
        let shift = try cursor.little(UInt16.self, of: "the guest's stream")
        try cursor.skip(10, in: "the guest's stream")
        guard shift == 12 else { throw unknown("pages of 2^\(shift) bytes") }
        while true {
            let kind = try cursor.little(UInt32.self, of: "a record")
            let length = UInt64(try cursor.little(UInt32.self, of: "a record"))
            let start = cursor.position
            let end = start + ((length + 7) & ~7)
            guard end <= cursor.byteCount else { throw .ended("a record of kind \(kind)") }
            if kind == XenSaveParser.pageData { try readPages(length, into: &builder) }
            try cursor.seek(to: end, in: "a record")
            if kind == XenSaveParser.endRecord { return }
        }
    }

    /// A record with pages: how many, their numbers and kinds, and the content of those that have one.
    private mutating func readPages(_ length: UInt64, into builder: inout SkeletonBuilder) throws(StreamStop) {
        let start = cursor.position
        guard length >= 8 else { throw unknown("a record of pages of \(length) bytes") }
        let count = UInt64(try cursor.little(UInt32.self, of: "a record of pages"))
        try cursor.skip(4, in: "a record of pages")
        let content = (length - 8).subtractingReportingOverflow(count * 8)
        guard count <= MemoryLimits.pagesPerRecord, !content.overflow,
            content.partialValue % MemoryLimits.pageByteCount == 0
        else {
            throw unknown("a record of \(count) pages in \(length) bytes")
        }
        try builder.literal(upTo: cursor.position)
        var numbers: [UInt64] = []
        for _ in 0..<count {
            let entry = try cursor.little(UInt64.self, of: "a record of pages")
            try builder.counted(template, value: entry)
            if entry >> 60 < XenSaveParser.firstKindWithoutContent {
                numbers.append(entry & XenSaveParser.numberMask)
            }
        }
        guard UInt64(numbers.count) == content.partialValue / MemoryLimits.pageByteCount else {
            throw unknown("\(numbers.count) pages in \(content.partialValue) bytes")
        }
        for number in numbers { try builder.page(number) }
        precondition(builder.position == start + length, "a record of pages is its numbers and its pages")
    }
}
