import Glibc

/// Where unpredictable bytes come from. Production has ``system``; a test passes a seeded closure.
package struct Randomness: Sendable {
    /// Gives exactly `count` bytes.
    package var bytes: @Sendable (_ count: Int) -> [UInt8]

    /// Wraps a source of bytes.
    package init(bytes: @escaping @Sendable (_ count: Int) -> [UInt8]) { self.bytes = bytes }

    /// The kernel's generator, through glibc's `getentropy`, which is `getrandom(2)` and keeps no state here: a kernel
    /// that knows its machine was cloned seeds it anew. Never a generator in this process, which a resumed machine
    /// would repeat.
    package static let system = Randomness { count in
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            var piece = [UInt8](repeating: 0, count: Swift.min(count - bytes.count, 256))
            // Safety: the call fills exactly the buffer it is given; 256 bytes is the most it accepts.
            let status = unsafe piece.withUnsafeMutableBytes { buffer in
                guard let address = buffer.baseAddress else { return Int32(0) }
                return unsafe getentropy(address, buffer.count)
            }
            precondition(status == 0, "the kernel's random generator answers on every kernel that Dozo supports")
            bytes += piece
        }
        return bytes
    }
}
