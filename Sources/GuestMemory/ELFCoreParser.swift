/// Reads core files of a guest, ELF64 with the lowest byte first: of QEMU's `dump-guest-memory`, the kernel's and
/// `makedumpfile -E`, which have a program header for each stretch of memory; and of `xl dump-core`, which has a
/// section with pages and one with their numbers.
struct ELFCoreParser {
    private static let identity: [UInt8] = [0x7F, 0x45, 0x4C, 0x46]
    private static let coreFile: UInt16 = 4
    private static let loadedSegment: UInt32 = 1
    private static let countElsewhere: UInt64 = 0xFFFF
    private static let programHeaderByteCount: UInt64 = 56
    private static let sectionHeaderByteCount: UInt64 = 64

    private struct Load {
        let offset: UInt64
        let length: UInt64
        let address: UInt64
    }

    private struct Section {
        let name: UInt32
        let offset: UInt64
        let length: UInt64
        let entry: UInt64
        let info: UInt32
    }

    private var cursor: StreamCursor
    private var sections: [Section] = []

    /// Whether a file begins like an ELF file of any kind.
    static func begins(_ head: [UInt8]) -> Bool { head.starts(with: identity) }

    /// Describes the file, and says which of the two kinds it is as soon as that is known.
    static func run(
        _ cursor: StreamCursor, into builder: inout SkeletonBuilder, format: inout MemoryFormat
    ) throws(StreamStop) {
        var parser = ELFCoreParser(cursor: cursor)
        try parser.run(into: &builder, format: &format)
    }

    private init(cursor: StreamCursor) { self.cursor = cursor }

    private mutating func run(
        into builder: inout SkeletonBuilder, format: inout MemoryFormat
    ) throws(StreamStop) {
        let head = try cursor.bytes(16, of: "its header")
        guard head[4] == 2, head[5] == 1 else {
            throw .unknown("an ELF file that is not of 64 bits with the lowest byte first")
        }
        let type = try cursor.little(UInt16.self, of: "its header")
        guard type == ELFCoreParser.coreFile else {
            throw .unknown("an ELF file of type \(type), which is no core file")
        }
        try cursor.skip(14, in: "its header")
        let programStart = try cursor.little(UInt64.self, of: "its header")
        let sectionStart = try cursor.little(UInt64.self, of: "its header")
        try cursor.skip(6, in: "its header")
        let programSize = UInt64(try cursor.little(UInt16.self, of: "its header"))
        var programCount = UInt64(try cursor.little(UInt16.self, of: "its header"))
        let sectionSize = UInt64(try cursor.little(UInt16.self, of: "its header"))
        let sectionCount = UInt64(try cursor.little(UInt16.self, of: "its header"))
        let nameSection = Int(try cursor.little(UInt16.self, of: "its header"))
        if sectionCount > 0, sectionSize == ELFCoreParser.sectionHeaderByteCount {
            guard sectionCount <= MemoryLimits.sectionHeaders else { throw .unknown("\(sectionCount) section headers") }
            try readSections(at: sectionStart, count: sectionCount)
        }
        if programCount == ELFCoreParser.countElsewhere, let first = sections.first {
            programCount = UInt64(first.info)
        }
        if programCount == 0 {
            format = .xenCore
            return try placeSections(nameSection, into: &builder)
        }
        guard programSize == ELFCoreParser.programHeaderByteCount, programCount <= MemoryLimits.programHeaders else {
            throw .unknown("\(programCount) program headers of \(programSize) bytes")
        }
        try placeLoads(at: programStart, count: programCount, into: &builder)
    }

    // MARK: Program headers

    private mutating func placeLoads(
        at start: UInt64, count: UInt64, into builder: inout SkeletonBuilder
    ) throws(StreamStop) {
        try cursor.seek(to: start, in: "its program headers")
        var loads: [Load] = []
        for _ in 0..<count {
            let type = try cursor.little(UInt32.self, of: "its program headers")
            try cursor.skip(4, in: "its program headers")
            let offset = try cursor.little(UInt64.self, of: "its program headers")
            try cursor.skip(8, in: "its program headers")
            let address = try cursor.little(UInt64.self, of: "its program headers")
            let length = try cursor.little(UInt64.self, of: "its program headers")
            try cursor.skip(16, in: "its program headers")
            guard type == ELFCoreParser.loadedSegment, length > 0, address < MemoryLimits.addressEnd else { continue }
            loads.append(Load(offset: offset, length: length, address: address))
        }
        // With paging several headers name the same bytes of the file: the first one places them.
        loads.sort { ($0.offset, $0.address) < ($1.offset, $1.address) }
        for load in loads {
            let (end, overflow) = load.offset.addingReportingOverflow(load.length)
            let stop = min(overflow ? .max : end, cursor.byteCount)
            var place = max(load.offset, builder.position)
            guard place < stop else { continue }
            // To the first whole page of the guest.
            let page = MemoryLimits.pageByteCount
            let inside = (load.address &+ (place - load.offset)) % page
            if inside > 0 { place += page - inside }
            guard place < stop else { continue }
            try builder.literal(upTo: place)
            var number = (load.address &+ (place - load.offset)) / page
            while stop - builder.position >= page {
                try builder.page(number)
                number += 1
            }
            guard !overflow, end <= cursor.byteCount else {
                throw .ended("the memory from address \(load.address) on")
            }
        }
        try builder.literal(upTo: cursor.byteCount)
    }

    // MARK: Sections

    private mutating func readSections(at start: UInt64, count: UInt64) throws(StreamStop) {
        try cursor.seek(to: start, in: "its section headers")
        for _ in 0..<count {
            let name = try cursor.little(UInt32.self, of: "its section headers")
            try cursor.skip(20, in: "its section headers")
            let offset = try cursor.little(UInt64.self, of: "its section headers")
            let length = try cursor.little(UInt64.self, of: "its section headers")
            try cursor.skip(4, in: "its section headers")
            let info = try cursor.little(UInt32.self, of: "its section headers")
            try cursor.skip(8, in: "its section headers")
            let entry = try cursor.little(UInt64.self, of: "its section headers")
            sections.append(Section(name: name, offset: offset, length: length, entry: entry, info: info))
        }
    }

    private mutating func section(_ name: String, names: Section) throws(StreamStop) -> Section? {
        let wanted = Array(name.utf8) + [0]
        for section in sections {
            let (place, overflow) = names.offset.addingReportingOverflow(UInt64(section.name))
            guard !overflow, place < cursor.byteCount, cursor.byteCount - place >= UInt64(wanted.count) else {
                continue
            }
            try cursor.seek(to: place, in: "its section names")
            if try cursor.bytes(wanted.count, of: "its section names") == wanted { return section }
        }
        return nil
    }

    private mutating func placeSections(_ nameSection: Int, into builder: inout SkeletonBuilder) throws(StreamStop) {
        guard nameSection < sections.count else { throw .unknown("an ELF file without names of its sections") }
        let names = sections[nameSection]
        guard let pages = try section(".xen_pages", names: names) else {
            throw .unknown("an ELF file without program headers or Xen's pages")
        }
        let numbers = try section(".xen_pfn", names: names)
        let pairs = numbers == nil ? try section(".xen_p2m", names: names) : nil
        guard let table = numbers ?? pairs, pages.entry == MemoryLimits.pageByteCount else {
            throw .unknown("Xen's pages without their numbers, or of \(pages.entry) bytes")
        }
        try builder.literal(upTo: min(pages.offset, cursor.byteCount))
        // Numbers alone, or pairs of the guest's own and the machine's.
        let width: UInt64 = numbers == nil ? 16 : 8
        let count = min(pages.length / MemoryLimits.pageByteCount, table.length / width)
        if table.offset < cursor.byteCount {
            try cursor.seek(to: table.offset, in: "the numbers of its pages")
            for _ in 0..<count {
                guard cursor.remaining >= width,
                    cursor.byteCount - builder.position >= MemoryLimits.pageByteCount
                else { break }
                try builder.page(try cursor.little(UInt64.self, of: "the numbers of its pages"))
                if width == 16 { try cursor.skip(8, in: "the numbers of its pages") }
            }
        }
        if let numbers, numbers.offset >= builder.position { try describe(numbers, into: &builder) }
        try builder.literal(upTo: cursor.byteCount)
    }

    /// The table of numbers itself: they mostly count.
    private mutating func describe(_ table: Section, into builder: inout SkeletonBuilder) throws(StreamStop) {
        guard table.offset <= cursor.byteCount else { return }
        try builder.literal(upTo: table.offset)
        let template = builder.define(SkeletonTemplate(isBigEndian: false, hasPage: false, step: 1))
        try cursor.seek(to: table.offset, in: "the numbers of its pages")
        for _ in 0..<min(table.length, cursor.remaining) / 8 {
            try builder.counted(template, value: try cursor.little(UInt64.self, of: "the numbers of its pages"))
        }
    }
}
