import TestKit

/// Streams of small guests, written as the formats say, from a seed.
struct StreamSample {
    /// What is in the pages of a guest, by number.
    enum Page {
        case zero
        case noise
    }

    var dice: Dice
    private(set) var bytes: [UInt8] = []

    init(seed: UInt64) { dice = Dice(seed: seed) }

    mutating func roll(_ bound: Int) -> Int { Int(dice.roll(below: UInt64(bound))) }

    mutating func append(_ more: [UInt8]) { bytes += more }
    mutating func append(_ text: String) { bytes += Array(text.utf8) }
    mutating func big(_ value: UInt64, _ count: Int) {
        for index in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
    mutating func little(_ value: UInt64, _ count: Int) {
        for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
    mutating func zeros(_ count: Int) { bytes += [UInt8](repeating: 0, count: count) }

    mutating func pageContent(_ isZero: Bool) -> [UInt8] {
        isZero ? [UInt8](repeating: 0, count: 4096) : dice.bytes(64).flatMap { [UInt8](repeating: $0, count: 64) }
    }

    // MARK: QEMU

    /// What a page of a migration stream is like.
    struct Block {
        var name: String
        var pages: Int
    }

    /// A migration stream. - Parameter isLive: whether pages come again, packed and with values of their own.
    static func migration(
        seed: UInt64, machine: String? = "pc-q35-7.2", blocks: [Block] = [Block(name: "pc.ram", pages: 24)],
        isLive: Bool = false, hasFooters: Bool = true, subsections: Bool = false
    ) -> [UInt8] {
        var sample = StreamSample(seed: seed)
        sample.appendMigration(
            machine: machine, blocks: blocks, isLive: isLive, hasFooters: hasFooters, subsections: subsections)
        return sample.bytes
    }

    private mutating func appendMigration(
        machine: String?, blocks: [Block], isLive: Bool, hasFooters: Bool, subsections: Bool
    ) {
        append("QEVM")
        big(3, 4)
        if let machine {
            append([7])
            big(UInt64(machine.utf8.count), 4)
            append(machine)
            if subsections {
                let name = "configuration/capabilities"
                append([5, UInt8(name.utf8.count)])
                append(name)
                big(1, 4)
                big(1, 4)
                append([9])
                append("events-ok")
            }
        }
        append([1])
        big(2, 4)
        append([3])
        append("ram")
        big(0, 4)
        big(4, 4)
        let total = blocks.reduce(0) { $0 + $1.pages * 4096 }
        big(UInt64(total) | 4, 8)
        for block in blocks {
            append([UInt8(block.name.utf8.count)])
            append(block.name)
            big(UInt64(block.pages * 4096), 8)
        }
        big(0x10, 8)
        if hasFooters { footer() }
        append([2])
        big(2, 4)
        for block in blocks { appendPages(of: block, isLive: isLive) }
        big(0x10, 8)
        if hasFooters { footer() }
        append([3])
        big(2, 4)
        if isLive { appendPages(of: blocks[0], isLive: true) }
        big(0x10, 8)
        if hasFooters { footer() }
        append([4])
        append(dice.bytes(300 + roll(200)))
        append([0])
    }

    private mutating func footer() {
        append([0x7E])
        big(2, 4)
    }

    private mutating func appendPages(of block: Block, isLive: Bool) {
        var isFirst = true
        for page in 0..<block.pages {
            if isLive, roll(4) == 0 { continue }
            let head: UInt64 = isFirst ? 0 : 0x20
            let kind = roll(isLive ? 7 : 3)
            let flag: UInt64 = [0x02, 0x08, 0x08, 0x40, 0x100, 0x02, 0x08][kind]
            big(UInt64(page) * 4096 | flag | head, 8)
            if isFirst {
                append([UInt8(block.name.utf8.count)])
                append(block.name)
            }
            isFirst = false
            switch kind {
            case 0: append([0])
            case 3:
                append([1])
                let count = roll(40)
                big(UInt64(count), 2)
                append(dice.bytes(count))
            case 4:
                let count = roll(60)
                big(UInt64(count), 4)
                append(dice.bytes(count))
            case 5: append([0xFF])
            default: append(pageContent(false))
            }
        }
    }

    /// What `virsh save` makes of a migration stream.
    static func save(seed: UInt64, compression: UInt64 = 0) -> [UInt8] {
        var sample = StreamSample(seed: seed)
        sample.append("LibvirtQemudSave")
        let text = "<domain type='qemu'><name>one</name></domain>\0"
        for value in [2, UInt64(text.utf8.count) + 20, 1, compression, UInt64(text.utf8.count)] {
            sample.little(value, 4)
        }
        sample.zeros(92 - sample.bytes.count)
        sample.append(text)
        sample.append(sample.dice.bytes(20))
        sample.append(migration(seed: seed))
        return sample.bytes
    }

    // MARK: ELF

    /// A stretch of memory of a core file.
    struct Load {
        var address: UInt64
        var byteCount: Int
        /// Bytes of the file before the first one of an earlier stretch, when they are shared.
        var sharesFirst = false
    }

    /// A core file as `dump-guest-memory` writes it.
    static func core(
        seed: UInt64, loads: [Load] = [Load(address: 0, byteCount: 40_960), Load(address: 1 << 32, byteCount: 12_288)],
        countsElsewhere: Bool = false
    ) -> [UInt8] {
        var sample = StreamSample(seed: seed)
        let count = loads.count + 1
        let dataStart = 64 + 56 * count + 64 + 88
        sample.appendHeader(
            programStart: 64, programCount: countsElsewhere ? 0xFFFF : count, sectionStart: UInt64(64 + 56 * count),
            sectionCount: 1, nameSection: 0)
        sample.appendProgram(type: 4, offset: UInt64(dataStart - 88), address: 0, length: 88)
        var place = dataStart
        var places: [Int] = []
        for load in loads {
            let start = load.sharesFirst ? places[0] : place
            places.append(start)
            if !load.sharesFirst { place += load.byteCount }
            sample.appendProgram(
                type: 1, offset: UInt64(start), address: load.address, length: UInt64(load.byteCount))
        }
        sample.appendSection(name: 0, offset: 0, length: 0, entry: 0, info: UInt64(count))
        sample.append(sample.dice.bytes(88))
        for load in loads where !load.sharesFirst {
            var rest = load.byteCount
            while rest > 0 {
                let content = sample.pageContent(sample.roll(2) == 0)
                sample.append(Array(content.prefix(rest)))
                rest -= min(rest, 4096)
            }
        }
        return sample.bytes
    }

    /// A core file as `xl dump-core` writes it.
    static func xenCore(seed: UInt64, numbers: [UInt64] = Array(0..<9) + [20, 12, 13, 14], isPaired: Bool) -> [UInt8] {
        var sample = StreamSample(seed: seed)
        let pagesStart = 4096
        let tableStart = pagesStart + 4096 * numbers.count
        let tableCount = numbers.count * (isPaired ? 16 : 8)
        let names = "\0.shstrtab\0.xen_pages\0.xen_pfn\0.xen_p2m\0"
        let namesStart = tableStart + tableCount
        sample.appendHeader(programStart: 0, programCount: 0, sectionStart: 64, sectionCount: 4, nameSection: 1)
        sample.appendSection(name: 0, offset: 0, length: 0, entry: 0, info: 0)
        sample.appendSection(
            name: 1, offset: UInt64(namesStart), length: UInt64(names.utf8.count), entry: 0, info: 0)
        sample.appendSection(
            name: 11, offset: UInt64(pagesStart), length: UInt64(4096 * numbers.count), entry: 4096, info: 0)
        sample.appendSection(
            name: isPaired ? 31 : 22, offset: UInt64(tableStart), length: UInt64(tableCount),
            entry: isPaired ? 16 : 8, info: 0)
        sample.zeros(pagesStart - sample.bytes.count)
        for _ in numbers { sample.append(sample.pageContent(sample.roll(3) == 0)) }
        for number in numbers {
            sample.little(number, 8)
            if isPaired { sample.little(UInt64(sample.roll(1 << 20)), 8) }
        }
        sample.append(names)
        return sample.bytes
    }

    private mutating func appendHeader(
        programStart: UInt64, programCount: Int, sectionStart: UInt64, sectionCount: Int, nameSection: Int
    ) {
        append([0x7F, 0x45, 0x4C, 0x46, 2, 1, 1])
        zeros(9)
        little(4, 2)
        little(62, 2)
        little(1, 4)
        little(0, 8)
        little(programStart, 8)
        little(sectionStart, 8)
        little(0, 4)
        for value in [64, 56, programCount, 64, sectionCount, nameSection] { little(UInt64(value), 2) }
    }

    private mutating func appendProgram(type: UInt64, offset: UInt64, address: UInt64, length: UInt64) {
        little(type, 4)
        little(0, 4)
        for value in [offset, 0, address, length, length, 0] { little(value, 8) }
    }

    private mutating func appendSection(name: UInt64, offset: UInt64, length: UInt64, entry: UInt64, info: UInt64) {
        little(name, 4)
        little(1, 4)
        for value in [0, 0, offset, length] { little(value, 8) }
        little(0, 4)
        little(info, 4)
        little(0, 8)
        little(entry, 8)
    }

    // MARK: Xen

    /// The guest's own stream.
    static func xenGuest(seed: UInt64, records: [[UInt64]] = [Array(0..<7), [7, 8, 30, 9], [0xD << 60 | 50, 40]])
        -> [UInt8]
    {
        var sample = StreamSample(seed: seed)
        sample.append([UInt8](repeating: 0xFF, count: 8))
        sample.append("XENF")
        sample.big(3, 4)
        sample.zeros(8)
        sample.little(1, 4)
        sample.little(12, 2)
        sample.zeros(2)
        sample.little(4, 4)
        sample.little(17, 4)
        sample.appendRecord(2, [4, 4, 0, 0, 0, 0, 0, 0])
        for numbers in records {
            var record = StreamSample(seed: sample.dice.next())
            record.little(UInt64(numbers.count), 4)
            record.zeros(4)
            for number in numbers { record.little(number, 8) }
            for number in numbers where number >> 60 < 0xD {
                record.append(record.pageContent(record.roll(3) == 0))
            }
            sample.appendRecord(1, record.bytes)
        }
        sample.appendRecord(9, sample.dice.bytes(77))
        sample.appendRecord(0, [])
        return sample.bytes
    }

    /// What `xl save` writes.
    static func xenSave(seed: UInt64) -> [UInt8] {
        var sample = StreamSample(seed: seed)
        sample.append("Xen saved domain, xl format\n \0 \r")
        for value in [0x0102_0304, 3, 0, 25] as [UInt64] { sample.little(value, 4) }
        sample.append(sample.dice.bytes(25))
        sample.big(0x4C69_6278_6C46_6D74, 8)
        sample.big(2, 4)
        sample.big(0, 4)
        sample.little(1, 4)
        sample.little(0, 4)
        sample.append(xenGuest(seed: seed))
        sample.appendRecord(2, sample.dice.bytes(13))
        sample.appendRecord(0, [])
        return sample.bytes
    }

    private mutating func appendRecord(_ kind: UInt64, _ body: [UInt8]) {
        little(kind, 4)
        little(UInt64(body.count), 4)
        append(body)
        zeros((8 - body.count % 8) % 8)
    }

    /// One of each, small: pages of few, tables of few.
    static func small(seed: UInt64) -> [(name: String, bytes: [UInt8])] {
        [
            ("migration", migration(seed: seed, blocks: [Block(name: "pc.ram", pages: 4)])),
            ("live migration", migration(seed: seed, blocks: [Block(name: "pc.ram", pages: 5)], isLive: true)),
            ("libvirt", save(seed: seed)),
            ("core", core(seed: seed, loads: [Load(address: 4096, byteCount: 8192)])),
            ("xen core", xenCore(seed: seed, numbers: [3, 4, 1], isPaired: false)),
            ("paired xen core", xenCore(seed: seed, numbers: [3, 4, 1], isPaired: true)),
            ("xen guest", xenGuest(seed: seed, records: [[1, 2], [5]])),
            ("xen save", xenSave(seed: seed)),
        ]
    }
}
