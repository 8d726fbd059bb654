import GuestSource

/// Pages that have a place already: one bit each, in blocks of 128 MiB of guest memory.
struct PlacedPages {
    private static let pagesPerBlock: UInt64 = 1 << 15
    private var blocks: [UInt64: [UInt64]] = [:]

    /// Marks a page. - Returns: false when it was marked already, lies too high, or needs one block too many.
    mutating func insert(_ page: UInt64) -> Bool {
        guard page < MemoryLimits.addressEnd / MemoryLimits.pageByteCount else { return false }
        let block = page / PlacedPages.pagesPerBlock
        let word = Int(page % PlacedPages.pagesPerBlock / 64)
        let bit: UInt64 = 1 << (page % 64)
        if blocks[block] == nil {
            guard blocks.count < MemoryLimits.placedBlocks else { return false }
            blocks[block] = [UInt64](repeating: 0, count: Int(PlacedPages.pagesPerBlock / 64))
        }
        guard let old = blocks[block]?[word], old & bit == 0 else { return false }
        blocks[block]?[word] |= bit
        return true
    }
}

/// Takes a stream apart, from front to back: parsers say of each stretch what it is.
///
/// The first page of an address is placed; one that comes again, as in a live migration, stays literal, whatever it
/// holds. Nothing is read here: a parser vouches for the numbers that it says it saw.
struct SkeletonBuilder {
    private enum Pending {
        case nothing
        case literal(UInt64)
        case pages(first: UInt64, count: UInt64)
        case counted(Int, value: UInt64, count: UInt64, page: UInt64)
    }

    private let stream: any PositionedBytes
    private var operations: [UInt8] = []
    private var literals: [StreamSegment] = []
    private var literalByteCount: UInt64 = 0
    private var pages: [StreamSegment] = []
    private var placed = PlacedPages()
    private var templates: [SkeletonTemplate] = []
    private var pending = Pending.nothing
    private var expectedPage: UInt64 = 0
    private var expectedValue: UInt64 = 0
    /// Bytes of the stream that are described.
    private(set) var position: UInt64 = 0
    /// Pages placed so far.
    private(set) var pageCount: UInt64 = 0

    init(_ stream: any PositionedBytes) { self.stream = stream }

    /// A template's number. - Precondition: few enough, with a short trailer.
    mutating func define(_ template: SkeletonTemplate) -> Int {
        precondition(
            templates.count < MemoryLimits.templates && template.trailer.count <= MemoryLimits.trailerByteCount,
            "formats have few templates")
        flush()
        templates.append(template)
        operations += [
            SkeletonOperation.define, UInt8(templates.count - 1),
            (template.isBigEndian ? 1 : 0) | (template.hasPage ? 2 : 0),
        ]
        append(template.step)
        operations.append(UInt8(template.trailer.count))
        operations += template.trailer
        return templates.count - 1
    }

    /// The next `count` bytes are literal.
    mutating func literal(_ count: UInt64) throws(StreamStop) {
        guard count > 0 else { return }
        if case .literal(let before) = pending {
            pending = .literal(before + count)
        } else {
            flush()
            pending = .literal(count)
        }
        if let last = literals.last, last.offset + last.length == position {
            literals[literals.count - 1].length = last.length + count
        } else {
            literals.append(StreamSegment(start: literalByteCount, offset: position, length: count, stride: 0))
        }
        literalByteCount += count
        try advance(count)
    }

    /// Everything up to a place of the stream is literal.
    mutating func literal(upTo end: UInt64) throws(StreamStop) {
        if end > position { try literal(end - position) }
    }

    /// The next 4,096 bytes are this page of the guest.
    mutating func page(_ number: UInt64) throws(StreamStop) {
        guard placed.insert(number) else { return try literal(MemoryLimits.pageByteCount) }
        if case .pages(let first, let count) = pending, first + count == number {
            pending = .pages(first: first, count: count + 1)
        } else {
            flush()
            pending = .pages(first: number, count: 1)
        }
        place(number, at: position)
        try advance(MemoryLimits.pageByteCount)
    }

    /// The next bytes are one repetition of a template, with this number and, if it has one, this page.
    mutating func counted(_ template: Int, value: UInt64, page: UInt64 = 0) throws(StreamStop) {
        let shape = templates[template]
        if shape.hasPage, !placed.insert(page) { return try literal(UInt64(shape.byteCount)) }
        if case .counted(template, let start, let count, let first) = pending, start &+ count &* shape.step == value,
            !shape.hasPage || first + count == page
        {
            pending = .counted(template, value: start, count: count + 1, page: first)
        } else {
            flush()
            pending = .counted(template, value: value, count: 1, page: page)
        }
        if shape.hasPage { place(page, at: position + UInt64(shape.headByteCount)) }
        try advance(UInt64(shape.byteCount))
    }

    private mutating func place(_ number: UInt64, at offset: UInt64) {
        pageCount += 1
        let page = MemoryLimits.pageByteCount
        if let last = pages.last, last.end == number * page, offset > last.offset {
            let distance =
                last.length == page ? offset - last.offset : UInt64(last.stride == 0 ? UInt32(page) : last.stride)
            let next = last.offset + last.length / page * distance
            if next == offset, distance >= page, distance <= 2 * page {
                pages[pages.count - 1].length = last.length + page
                pages[pages.count - 1].stride = distance == page ? 0 : UInt32(distance)
                return
            }
        }
        pages.append(StreamSegment(start: number * page, offset: offset, length: page, stride: 0))
    }

    private mutating func advance(_ count: UInt64) throws(StreamStop) {
        position += count
        precondition(position <= stream.byteCount, "a parser describes bytes that it has seen")
        guard pages.count + literals.count <= MemoryLimits.segments,
            operations.count <= MemoryLimits.operationByteCount - 256
        else { throw .tooMuch("its pages lie in more than \(MemoryLimits.segments) stretches") }
    }

    // MARK: Operations

    private mutating func append(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            operations.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        operations.append(UInt8(rest))
    }

    /// A difference modulo 2^64, small ones of both signs short.
    private mutating func append(difference: UInt64) {
        append(difference << 1 ^ (difference >> 63 == 1 ? UInt64.max : 0))
    }

    private mutating func flush() {
        switch pending {
        case .nothing: return
        case .literal(let count):
            operations.append(SkeletonOperation.literal)
            append(count)
        case .pages(let first, let count):
            operations.append(SkeletonOperation.pages)
            append(count)
            append(difference: first &- expectedPage)
            expectedPage = first + count
        case .counted(let number, let value, let count, let page):
            let template = templates[number]
            operations.append(SkeletonOperation.counted + UInt8(number))
            append(count)
            append(difference: value &- expectedValue)
            expectedValue = value &+ count &* template.step
            if template.hasPage {
                append(difference: page &- expectedPage)
                expectedPage = page + count
            }
        }
        pending = .nothing
    }

    /// The pages as an image, and the skeleton. - Precondition: all of the stream is described.
    mutating func finish(format: MemoryFormat) -> (
        memory: AssembledSource, skeleton: AssembledSource, literalByteCount: UInt64
    ) {
        precondition(position == stream.byteCount, "every byte of a stream is described")
        flush()
        let header = SkeletonHeader(
            streamByteCount: position, operationByteCount: UInt64(operations.count),
            literalByteCount: literalByteCount, format: format)
        let front = header.encoded + operations
        for index in literals.indices { literals[index].start += UInt64(front.count) }
        pages.sort { $0.start < $1.start }
        let memory = AssembledSource(segments: pages, byteCount: pages.last?.end ?? 0, stream: stream)
        let skeleton = AssembledSource(
            front: front, segments: literals, byteCount: header.skeletonByteCount, stream: stream)
        return (memory, skeleton, literalByteCount)
    }
}

/// The first bytes of operations.
enum SkeletonOperation {
    static let literal: UInt8 = 0
    static let pages: UInt8 = 1
    static let define: UInt8 = 2
    /// And the template's number.
    static let counted: UInt8 = 0x40
}
