/// Bytes of an image that was stored, read at any place.
package protocol StoredBytes: AnyObject {
    /// How many there are.
    var byteCount: UInt64 { get }

    /// Fills the whole of `buffer` with the bytes from `offset` on, zeros where the image has a hole. Called for places
    /// inside the image only, by one task at a time.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws
}

/// Puts a stream together again from its skeleton and the guest's pages, from front to back.
///
/// Memory: the operations, at most 64 MiB, and what reading takes.
package struct StreamEmission {
    private let header: SkeletonHeader
    private let skeleton: any StoredBytes
    private let memory: any StoredBytes
    private var steps: SkeletonSteps
    private var step: SkeletonStep?
    private var literalPosition: UInt64

    /// Bytes of the stream.
    package var byteCount: UInt64 { header.streamByteCount }
    /// The stream's format, for people.
    package var formatName: String { header.formatName }

    /// Reads the header and the operations.
    ///
    /// - Throws: ``MemoryError``; what reading throws.
    package init(skeleton: any StoredBytes, memory: any StoredBytes) async throws {
        let front = try await StreamEmission.bytes(
            0, min(UInt64(SkeletonHeader.byteCount), skeleton.byteCount), of: skeleton)
        header = try SkeletonHeader(parsing: front, skeletonByteCount: skeleton.byteCount)
        let operations = try await StreamEmission.bytes(
            UInt64(SkeletonHeader.byteCount), header.operationByteCount, of: skeleton)
        steps = try SkeletonSteps(header, operations: operations, memoryByteCount: memory.byteCount)
        literalPosition = UInt64(SkeletonHeader.byteCount) + header.operationByteCount
        self.skeleton = skeleton
        self.memory = memory
        step = try steps.next()
    }

    private static func bytes(_ start: UInt64, _ count: UInt64, of image: any StoredBytes) async throws -> [UInt8] {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(count), alignment: 64)
        // Safety: allocated here, filled by the image, and copied before it goes.
        defer { unsafe room.deallocate() }
        try await unsafe image.read(at: start, into: room)
        return unsafe Array(room)
    }

    /// Fills `buffer` with the next bytes of the stream. - Returns: how many; fewer than it holds only at the end.
    ///
    /// - Precondition: the buffer holds a page and what stands before it, 5,000 bytes.
    /// - Throws: ``MemoryError``, `malformed`; what reading throws. What was given out before is right.
    package mutating func next(into buffer: UnsafeMutableRawBufferPointer) async throws -> Int {
        precondition(buffer.count >= 5000, "a page and its head have room")
        var filled = 0
        while let current = step {
            // Safety: the range lies inside of the caller's buffer.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let (count, left) = try await unsafe emit(current, into: rest)
            // Nothing more has room.
            if count == 0 { return filled }
            filled += count
            step = if let left { left } else { try steps.next() }
        }
        return filled
    }

    /// Looks whether the skeleton ends where the stream does. Every piece was given out before.
    ///
    /// - Throws: ``MemoryError``, `malformed`.
    package func finish() throws(MemoryError) {
        guard step == nil else {
            throw MemoryError(.malformed, "the skeleton of the memory goes on behind the end of the stream")
        }
    }

    /// Emits as much of a step as has room. - Returns: bytes emitted, and what is left of the step.
    private mutating func emit(
        _ step: SkeletonStep, into buffer: UnsafeMutableRawBufferPointer
    ) async throws -> (Int, SkeletonStep?) {
        let page = MemoryLimits.pageByteCount
        switch step {
        case .literal(let count):
            let part = min(count, UInt64(buffer.count))
            // Safety: the part is no longer than the buffer; so it is below.
            try await unsafe skeleton.read(
                at: literalPosition, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(part)]))
            literalPosition += part
            return (Int(part), part == count ? nil : .literal(count - part))
        case .pages(let first, let count):
            let part = min(count, UInt64(buffer.count) / page)
            try await unsafe memory.read(
                at: first * page, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(part * page)]))
            return (Int(part * page), part == count ? nil : .pages(first: first + part, count: count - part))
        case .counted(let template, let value, let count, let first):
            let part = min(count, UInt64(buffer.count / template.byteCount))
            for index in 0..<part {
                let start = Int(index) * template.byteCount
                unsafe StreamEmission.write(
                    template, value: value &+ index &* template.step,
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + template.headByteCount]))
                guard template.hasPage else { continue }
                let place = start + template.headByteCount
                try await unsafe memory.read(
                    at: (first + index) * page,
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + Int(page)]))
            }
            let rest = SkeletonStep.counted(
                template, value: value &+ part &* template.step, count: count - part,
                page: template.hasPage ? first + part : 0)
            return (Int(part) * template.byteCount, part == count ? nil : rest)
        }
    }

    private static func write(
        _ template: SkeletonTemplate, value: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) {
        // Safety: the buffer is as long as the template's head.
        unsafe buffer.storeBytes(of: template.isBigEndian ? value.bigEndian : value.littleEndian, as: UInt64.self)
        for (index, byte) in template.trailer.enumerated() { unsafe buffer[8 + index] = byte }
    }
}
