import GuestSource

/// Reads a stream from place to place, through a window of 128 KiB.
struct StreamCursor {
    static let windowByteCount = 128 << 10

    private let stream: any PositionedBytes
    private var window = [UInt8](repeating: 0, count: windowByteCount)
    private var windowStart: UInt64 = 0
    private var windowEnd: UInt64 = 0
    /// Where the next byte is read; at most the length of the stream.
    private(set) var position: UInt64 = 0

    init(_ stream: any PositionedBytes, at position: UInt64 = 0) {
        self.stream = stream
        self.position = min(position, stream.byteCount)
    }

    var byteCount: UInt64 { stream.byteCount }
    var remaining: UInt64 { byteCount - position }

    mutating func seek(to place: UInt64, in what: @autoclosure () -> String) throws(StreamStop) {
        guard place <= byteCount else { throw .ended(what()) }
        position = place
    }

    mutating func skip(_ count: UInt64, in what: @autoclosure () -> String) throws(StreamStop) {
        guard count <= remaining else { throw .ended(what()) }
        position += count
    }

    /// `count` bytes, at most a window.
    mutating func bytes(_ count: Int, of what: @autoclosure () -> String) throws(StreamStop) -> [UInt8] {
        let start = try load(count, what())
        position += UInt64(count)
        return Array(window[start..<start + count])
    }

    /// The byte at the position, which stays; `nil` at the end.
    mutating func next() throws(StreamStop) -> UInt8? {
        guard remaining > 0 else { return nil }
        return window[try load(1, "")]
    }

    mutating func byte(of what: @autoclosure () -> String) throws(StreamStop) -> UInt8 {
        let start = try load(1, what())
        position += 1
        return window[start]
    }

    mutating func big<Number: FixedWidthInteger & UnsignedInteger>(
        _ kind: Number.Type, of what: @autoclosure () -> String
    ) throws(StreamStop) -> Number {
        let count = MemoryLayout<Number>.size
        let start = try load(count, what())
        position += UInt64(count)
        var value: Number = 0
        for index in start..<start + count { value = value << 8 | Number(window[index]) }
        return value
    }

    mutating func little<Number: FixedWidthInteger & UnsignedInteger>(
        _ kind: Number.Type, of what: @autoclosure () -> String
    ) throws(StreamStop) -> Number { try big(kind, of: what()).byteSwapped }

    /// Brings `count` bytes from the position on into the window. - Returns: where they begin in it.
    private mutating func load(_ count: Int, _ what: @autoclosure () -> String) throws(StreamStop) -> Int {
        precondition(count <= StreamCursor.windowByteCount, "a window holds what is read at once")
        if position >= windowStart, position + UInt64(count) <= windowEnd { return Int(position - windowStart) }
        guard UInt64(count) <= remaining else { throw .ended(what()) }
        let filled = Int(min(UInt64(StreamCursor.windowByteCount), remaining))
        var failure: SourceError?
        // Safety: the array lives through the call, and the range lies inside it.
        unsafe window.withUnsafeMutableBytes { buffer in
            do throws(SourceError) {
                try unsafe stream.read(at: position, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<filled]))
            } catch { failure = error }
        }
        if let failure {
            windowEnd = windowStart
            throw .failed(failure)
        }
        windowStart = position
        windowEnd = position + UInt64(filled)
        return 0
    }
}
