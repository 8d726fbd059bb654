/// Reads what QEMU writes to migrate a guest, version 3 (docs of QEMU: `docs/devel/migration`), as far as its pages go.
///
/// The memory section names its blocks and says of each page block and offset. A block has no address in the stream;
/// where the machine is one of QEMU's PCs, its main memory is laid out as that machine does it, and other blocks are
/// laid behind it, on 16 MiB. So addresses are nominal; the same guest's core files mostly have the same ones.
struct QEMUStreamParser {
    static let magic: UInt32 = 0x5145_564D
    static let version: UInt32 = 3

    private enum Section {
        static let start: UInt8 = 1
        static let part: UInt8 = 2
        static let end: UInt8 = 3
        static let full: UInt8 = 4
        static let subsection: UInt8 = 5
        static let configuration: UInt8 = 7
        static let command: UInt8 = 8
        static let footer: UInt8 = 0x7E
    }

    private enum Flag {
        static let fill: UInt64 = 0x02
        static let sizes: UInt64 = 0x04
        static let page: UInt64 = 0x08
        static let end: UInt64 = 0x10
        static let sameBlock: UInt64 = 0x20
        static let difference: UInt64 = 0x40
        static let compressed: UInt64 = 0x100
        static let flush: UInt64 = 0x200
        static let mask: UInt64 = 0xFFF
    }

    /// A stretch of a block of memory and where it is placed, in bytes.
    struct Stretch: Hashable {
        var offset: UInt64
        var length: UInt64
        var address: UInt64
    }

    private var cursor: StreamCursor
    private var machine = ""
    private var blocks: [[UInt8]: [Stretch]] = [:]
    private var current: [Stretch] = []
    private var memorySection: UInt32?
    private let pageTemplate: Int
    private let zeroTemplate: Int

    /// - Parameter start: where the stream begins, behind what a container holds before it.
    private init(_ cursor: StreamCursor, _ builder: inout SkeletonBuilder) {
        self.cursor = cursor
        let page = MemoryLimits.pageByteCount
        pageTemplate = builder.define(SkeletonTemplate(isBigEndian: true, hasPage: true, step: page))
        zeroTemplate = builder.define(
            SkeletonTemplate(isBigEndian: true, hasPage: false, step: page, trailer: [0]))
    }

    /// Whether a stream of QEMU's begins at the cursor, which goes on behind its first word.
    static func begins(_ cursor: inout StreamCursor) throws(StreamStop) -> Bool {
        guard cursor.remaining >= 4 else { return false }
        return try cursor.big(UInt32.self, of: "the magic") == magic
    }

    /// Describes the stream from the cursor on, behind its magic, to the end of its memory; the rest is the caller's.
    static func run(_ cursor: StreamCursor, into builder: inout SkeletonBuilder) throws(StreamStop) {
        var parser = QEMUStreamParser(cursor, &builder)
        let version = try parser.cursor.big(UInt32.self, of: "the version")
        guard version == QEMUStreamParser.version else {
            throw .unknown("version \(version) of QEMU's migration stream")
        }
        if try parser.cursor.next() == Section.configuration { try parser.readConfiguration() }
        while try parser.readSection(into: &builder) {}
    }

    private func unknown(_ what: String) -> StreamStop { .unknown("\(what) at byte \(cursor.position)") }

    // MARK: Configuration

    private mutating func readConfiguration() throws(StreamStop) {
        _ = try cursor.byte(of: "the configuration")
        let count = try cursor.big(UInt32.self, of: "the configuration")
        guard count <= 256 else { throw unknown("a machine's name of \(count) bytes") }
        machine = String(decoding: try cursor.bytes(Int(count), of: "the configuration"), as: UTF8.self)
        guard try cursor.next() == Section.subsection else { return }
        // Subsections differ from version to version; what matters is where the memory section begins behind them.
        let start = cursor.position
        let front = try cursor.bytes(
            Int(min(MemoryLimits.preambleByteCount, cursor.remaining)), of: "the configuration")
        try requirePageSize(front)
        let name: [UInt8] = [3] + Array("ram".utf8) + [0, 0, 0, 0, 0, 0, 0, 4]
        for place in 0..<max(0, front.count - 5 - name.count)
        where front[place] == Section.start && front[(place + 5)...].starts(with: name) {
            return try cursor.seek(to: start + UInt64(place), in: "the configuration")
        }
        throw unknown("no memory section in the first \(front.count) bytes")
    }

    private func requirePageSize(_ front: [UInt8]) throws(StreamStop) {
        let name = Array("configuration/target-page-bits".utf8)
        for place in 0..<max(0, front.count - name.count - 8) where front[place] == name[0] {
            guard front[place...].starts(with: name) else { continue }
            let bits = front[(place + name.count + 4)..<(place + name.count + 8)].reduce(UInt32(0)) {
                $0 << 8 | UInt32($1)
            }
            guard bits == 12 else { throw unknown("pages of 2^\(bits) bytes") }
        }
    }

    // MARK: Sections

    /// Reads one section. - Returns: false behind the end of the memory, or of the stream.
    private mutating func readSection(into builder: inout SkeletonBuilder) throws(StreamStop) -> Bool {
        guard cursor.remaining > 0 else { throw .ended("its sections, before the end of the memory") }
        let kind = try cursor.byte(of: "a section")
        switch kind {
        case Section.start:
            let number = try cursor.big(UInt32.self, of: "a section")
            let name = try cursor.bytes(Int(try cursor.byte(of: "a section")), of: "a section's name")
            try cursor.skip(8, in: "a section")
            guard name == Array("ram".utf8), memorySection == nil else {
                throw unknown("section \(MemoryStream.printable(name))")
            }
            memorySection = number
            try readPages(into: &builder)
        case Section.part, Section.end:
            let number = try cursor.big(UInt32.self, of: "a section")
            guard number == memorySection else { throw unknown("part of section \(number)") }
            try readPages(into: &builder)
        case Section.command:
            try cursor.skip(2, in: "a command")
            try cursor.skip(UInt64(try cursor.big(UInt16.self, of: "a command")), in: "a command")
        case Section.full where memorySection != nil:
            // A background snapshot goes on to the devices without a word about the end of the memory.
            return false
        default: throw unknown("a section of kind \(kind)")
        }
        let next = try cursor.next()
        if kind != Section.command, next == Section.footer { try cursor.skip(5, in: "a footer") }
        try builder.literal(upTo: cursor.position)
        return kind != Section.end
    }

    /// Reads pages up to the end of the section.
    private mutating func readPages(into builder: inout SkeletonBuilder) throws(StreamStop) {
        while true {
            let start = cursor.position
            let word = try cursor.big(UInt64.self, of: "the head of a page")
            let flags = word & Flag.mask
            let offset = word & ~Flag.mask
            if flags & Flag.end != 0 { return }
            if flags & Flag.sizes != 0 {
                try readBlocks(total: offset)
                continue
            }
            if flags & ~Flag.sameBlock == Flag.flush { continue }
            if flags & Flag.sameBlock == 0 {
                let name = try cursor.bytes(Int(try cursor.byte(of: "a block's name")), of: "a block's name")
                current = blocks[name] ?? []
            }
            let hasHead = flags & Flag.sameBlock == 0
            switch flags & ~Flag.sameBlock {
            case Flag.fill:
                let fill = try cursor.byte(of: "a page of one value")
                guard fill == 0, !hasHead else { continue }
                try builder.literal(upTo: start)
                try builder.counted(zeroTemplate, value: word)
            case Flag.page:
                let head = cursor.position
                try cursor.skip(MemoryLimits.pageByteCount, in: "a page")
                guard let address = QEMUStreamParser.address(of: offset, in: current) else { continue }
                let page = address / MemoryLimits.pageByteCount
                if hasHead {
                    try builder.literal(upTo: head)
                    try builder.page(page)
                } else {
                    try builder.literal(upTo: start)
                    try builder.counted(pageTemplate, value: word, page: page)
                }
            case Flag.difference:
                try cursor.skip(1, in: "a page's difference")
                let count = try cursor.big(UInt16.self, of: "a page's difference")
                try cursor.skip(UInt64(count), in: "a page's difference")
            case Flag.compressed:
                let count = try cursor.big(UInt32.self, of: "a compressed page")
                try cursor.skip(UInt64(count), in: "a compressed page")
            default: throw unknown("a page with flags \(flags)")
            }
        }
    }

    private static func address(of offset: UInt64, in stretches: [Stretch]) -> UInt64? {
        for stretch in stretches where offset >= stretch.offset {
            let inside = offset - stretch.offset
            if inside < stretch.length, stretch.length - inside >= MemoryLimits.pageByteCount {
                return stretch.address + inside
            }
        }
        return nil
    }

    // MARK: Blocks

    private mutating func readBlocks(total: UInt64) throws(StreamStop) {
        var rest = total
        var found: [(name: [UInt8], length: UInt64)] = []
        while rest > 0 {
            guard found.count < MemoryLimits.memoryBlocks else { throw unknown("too many blocks of memory") }
            let name = try cursor.bytes(Int(try cursor.byte(of: "the list of blocks")), of: "the list of blocks")
            let length = try cursor.big(UInt64.self, of: "the list of blocks")
            guard !name.isEmpty, length > 0, length <= rest else {
                throw unknown("block \(MemoryStream.printable(name)) of \(length) bytes")
            }
            rest -= length
            found.append((name, length))
        }
        blocks = QEMUStreamParser.layout(found, machine: machine)
    }

    /// Where blocks are placed: main memory first, then the others in the order of the stream.
    static func layout(_ blocks: [(name: [UInt8], length: UInt64)], machine: String) -> [[UInt8]: [Stretch]] {
        let main = Array("pc.ram".utf8)
        let node = Array("ram-node".utf8)
        // Nodes of one guest in the order of their numbers, whose texts have one length up to the tenth.
        let nodes = blocks.filter { $0.name.starts(with: node) }.sorted {
            $0.name.count != $1.name.count ? $0.name.count < $1.name.count : $0.name.lexicographicallyPrecedes($1.name)
        }
        let first = blocks.first { $0.name == main }.map { [$0] } ?? nodes
        let names = Set(first.map(\.name))
        let ordered = first + blocks.filter { !names.contains($0.name) }
        // Memory of a PC goes on at 4 GiB behind what has room below its devices (hw/i386 of QEMU).
        let total = first.reduce(UInt64(0)) { $0 &+ $1.length }
        var low = UInt64.max
        if machine.contains("q35") { low = total >= 0xB000_0000 ? 0x8000_0000 : low }
        if machine.contains("i440fx") { low = total >= 0xE000_0000 ? 0xC000_0000 : low }
        var layout: [[UInt8]: [Stretch]] = [:]
        var address: UInt64 = 0
        for block in ordered where layout[block.name] == nil {
            if !names.contains(block.name) { address = (address + 0xFF_FFFF) & ~0xFF_FFFF }
            // Nothing is placed that high.
            guard block.length <= MemoryLimits.addressEnd, address <= MemoryLimits.addressEnd else { break }
            var stretches: [Stretch] = []
            var done: UInt64 = 0
            if names.contains(block.name), address < low, low < .max {
                done = min(block.length, low - address)
                stretches.append(Stretch(offset: 0, length: done, address: address))
                address += done
                if address == low { address = 1 << 32 }
            }
            if done < block.length {
                stretches.append(Stretch(offset: done, length: block.length - done, address: address))
                address += block.length - done
            }
            layout[block.name] = stretches
        }
        return layout
    }
}
