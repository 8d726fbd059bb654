/// A random 128-bit name of something, typed by what it names, so that a guest is never taken for a point.
///
/// Names of people's own making are labels and never identify anything.
package struct Identifier<Subject>: Hashable, Comparable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    /// Takes exactly 16 bytes; `nil` for any other count.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        // Safety: so many bytes lie in a row, and words may be loaded from any of them.
        if let words = bytes.withContiguousStorageIfAvailable({ row in
            let raw = UnsafeRawBufferPointer(row)
            return unsafe (
                UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }) {
            (high, low) = words
            return
        }
        var words: (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.enumerated() {
            if index < 8 { words.0 = words.0 << 8 | UInt64(byte) } else { words.1 = words.1 << 8 | UInt64(byte) }
        }
        (high, low) = words
    }

    /// Parses 32 lower-case hexadecimal digits; `nil` for anything else.
    package init?(hexadecimal text: some StringProtocol) {
        guard let bytes = [UInt8](hexadecimal: text) else { return nil }
        self.init(bytes: bytes)
    }

    /// The 16 bytes.
    package var bytes: [UInt8] {
        // Safety: a tuple of two words is 16 bytes without padding, which are copied before the call ends.
        unsafe Swift.withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { unsafe [UInt8]($0) }
    }

    /// 32 lower-case hexadecimal digits.
    package var hexadecimal: String { bytes.hexadecimal }

    package var description: String { hexadecimal }

    package static func < (left: Identifier, right: Identifier) -> Bool {
        left.high == right.high ? left.low < right.low : left.high < right.high
    }
}

/// What identifiers name.
package enum Subject {
    /// A virtual machine, or whatever else is backed up under one name.
    package enum Guest {}
    /// A restore point.
    package enum Point {}
    /// One run of a program that writes into a repository.
    package enum Session {}
    /// Whoever signs with one key.
    package enum Writer {}
    /// A place that holds a repository.
    package enum Store {}
}

/// Names a guest.
package typealias GuestID = Identifier<Subject.Guest>
/// Names a restore point.
package typealias PointID = Identifier<Subject.Point>
/// Names a session.
package typealias SessionID = Identifier<Subject.Session>
/// Names a writer: the first 16 bytes of its key's fingerprint.
package typealias WriterID = Identifier<Subject.Writer>
/// Names a store.
package typealias StoreID = Identifier<Subject.Store>

extension Identifier where Subject == BackupModel.Subject.Writer {
    /// The writer whose key has this fingerprint.
    package init(fingerprint: Hash256) {
        guard let writer = WriterID(bytes: fingerprint.bytes[..<16]) else {
            preconditionFailure("a fingerprint has more than 16 bytes")
        }
        self = writer
    }
}
