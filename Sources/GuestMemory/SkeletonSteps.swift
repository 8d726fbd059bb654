/// One operation of a skeleton.
package enum SkeletonStep: Hashable, Sendable {
    /// The next bytes of the literals.
    case literal(UInt64)
    /// Pages in their order.
    case pages(first: UInt64, count: UInt64)
    /// Repetitions of a template; `page` is the first one's, if it has pages.
    case counted(SkeletonTemplate, value: UInt64, count: UInt64, page: UInt64)
}

/// Reads the operations of a skeleton one by one, and believes none of them.
///
/// Together the steps emit exactly the bytes of the stream, use exactly the literals, and name pages inside the image
/// only; else there is an error before more than the stream is emitted.
package struct SkeletonSteps {
    private let header: SkeletonHeader
    private let operations: [UInt8]
    private let pageEnd: UInt64
    private var index = 0
    private var emitted: UInt64 = 0
    private var used: UInt64 = 0
    private var templates: [SkeletonTemplate] = []
    private var expectedPage: UInt64 = 0
    private var expectedValue: UInt64 = 0

    /// - Parameters:
    ///   - operations: as many bytes as the header says.
    ///   - memoryByteCount: bytes of the image with the pages.
    /// - Throws: ``MemoryError``, `malformed`, when the image does not hold whole pages.
    package init(_ header: SkeletonHeader, operations: [UInt8], memoryByteCount: UInt64) throws(MemoryError) {
        precondition(UInt64(operations.count) == header.operationByteCount, "the operations are there")
        guard memoryByteCount % MemoryLimits.pageByteCount == 0 else {
            throw MemoryError(.malformed, "the memory has \(memoryByteCount) bytes, which are not whole pages")
        }
        self.header = header
        self.operations = operations
        pageEnd = memoryByteCount / MemoryLimits.pageByteCount
    }

    /// The next step; `nil` when the whole stream was described.
    ///
    /// - Throws: ``MemoryError``, `malformed`.
    package mutating func next() throws(MemoryError) -> SkeletonStep? {
        while index < operations.count {
            let operation = try byte()
            switch operation {
            case SkeletonOperation.define: try define()
            case SkeletonOperation.literal:
                let count = try number()
                used = try sum(used, count, atMost: header.literalByteCount)
                try emit(count, of: 1)
                return .literal(count)
            case SkeletonOperation.pages:
                let count = try number()
                let first = try pages(count)
                try emit(count, of: MemoryLimits.pageByteCount)
                return .pages(first: first, count: count)
            default:
                guard operation >= SkeletonOperation.counted,
                    Int(operation - SkeletonOperation.counted) < templates.count
                else { throw malformed("operation \(operation)") }
                let template = templates[Int(operation - SkeletonOperation.counted)]
                let count = try number()
                let value = expectedValue &+ (try difference())
                expectedValue = value &+ count &* template.step
                let page = template.hasPage ? try pages(count) : 0
                try emit(count, of: UInt64(template.byteCount))
                return .counted(template, value: value, count: count, page: page)
            }
        }
        guard emitted == header.streamByteCount, used == header.literalByteCount else {
            throw malformed("an end after \(emitted) of \(header.streamByteCount) bytes")
        }
        return nil
    }

    private func malformed(_ what: String) -> MemoryError {
        MemoryError(.malformed, "the skeleton of the memory has \(what) at byte \(index), where none can be")
    }

    private mutating func emit(_ count: UInt64, of byteCount: UInt64) throws(MemoryError) {
        guard count > 0 else { throw malformed("an operation for nothing") }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: byteCount)
        guard !overflow else { throw malformed("too long an operation") }
        emitted = try sum(emitted, bytes, atMost: header.streamByteCount)
    }

    private func sum(_ one: UInt64, _ two: UInt64, atMost limit: UInt64) throws(MemoryError) -> UInt64 {
        let (sum, overflow) = one.addingReportingOverflow(two)
        guard !overflow, sum <= limit else { throw malformed("too long an operation") }
        return sum
    }

    /// The first of `count` pages that the image has.
    private mutating func pages(_ count: UInt64) throws(MemoryError) -> UInt64 {
        let first = expectedPage &+ (try difference())
        expectedPage = try sum(first, count, atMost: pageEnd)
        return first
    }

    private mutating func define() throws(MemoryError) {
        let number = try byte()
        let flags = try byte()
        guard Int(number) == templates.count, templates.count < MemoryLimits.templates, flags & ~3 == 0 else {
            throw malformed("template \(number) with flags \(flags)")
        }
        let step = try self.number()
        let count = Int(try byte())
        guard count <= MemoryLimits.trailerByteCount, count <= operations.count - index else {
            throw malformed("a template with \(count) bytes")
        }
        templates.append(
            SkeletonTemplate(
                isBigEndian: flags & 1 != 0, hasPage: flags & 2 != 0, step: step,
                trailer: Array(operations[index..<index + count])))
        index += count
    }

    private mutating func byte() throws(MemoryError) -> UInt8 {
        guard index < operations.count else { throw malformed("an end") }
        defer { index += 1 }
        return operations[index]
    }

    private mutating func number() throws(MemoryError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let part = try byte()
            guard shift < 63 || part <= 1, part != 0 || shift == 0 else { throw malformed("a number in a longer form") }
            value |= UInt64(part & 0x7F) << shift
            if part < 0x80 { return value }
        }
        throw malformed("a number without an end")
    }

    private mutating func difference() throws(MemoryError) -> UInt64 {
        let folded = try number()
        return folded >> 1 ^ (folded & 1 == 1 ? UInt64.max : 0)
    }
}
