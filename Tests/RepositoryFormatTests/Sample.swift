import BackupModel
import ChunkEncryption
import Effects
import RepositoryFormat
import Synchronization
import TestKit
import Testing

/// Fixed keys and names that the tests of this module share. They open nothing but test data.
enum Sample {
    static let repository = repository(0x10)
    static let indexKey = secret(1)
    static let preSharedKey = secret(2)
    static let signer = SigningKey(seed: secret(3))
    static let contentKey = RecipientPrivateKey(randomness: secret(4))
    static let structureKey = RecipientPrivateKey(randomness: secret(5))

    static func secret(_ byte: UInt8) -> SecretBytes { SecretBytes(copying: [UInt8](repeating: byte, count: 32)) }

    static func repository(_ first: UInt8) -> RepositoryID {
        RepositoryID(bytes: (0..<16).map { first &+ UInt8($0) })!
    }

    static func hash(_ byte: UInt8) -> Hash256 { Hash256(bytes: [UInt8](repeating: byte, count: 32))! }

    static func identifier<Subject>(_ byte: UInt8) -> Identifier<Subject> {
        Identifier<Subject>(bytes: [UInt8](repeating: byte, count: 16))!
    }

    static let writer = WriterID(fingerprint: signer.publicKey.fingerprint)

    static func privateKey(_ objectClass: ObjectClass) -> RecipientPrivateKey {
        objectClass == .content ? contentKey : structureKey
    }

    static func recipient(
        _ objectClass: ObjectClass, repository: RepositoryID = repository, domain: UInt32 = 6, epoch: UInt32 = 7
    ) -> DomainRecipient {
        DomainRecipient(
            repository: repository, domain: domain, objectClass: objectClass, keyEpoch: epoch,
            publicKey: privateKey(objectClass).publicKey, preSharedKey: preSharedKey)
    }

    /// 0, 1, 2, … and so on through all calls, so that what is made with it is the same on every day.
    static func counting() -> Randomness {
        let counter = Counter()
        return Randomness { count in
            counter.value.withLock { value in
                defer { value &+= UInt8(truncatingIfNeeded: count) }
                return (0..<count).map { value &+ UInt8(truncatingIfNeeded: $0) }
            }
        }
    }

    private final class Counter: Sendable { let value = Mutex<UInt8>(0) }

    static func heads(sessions: Int = 2) -> Heads {
        Heads(
            owner: (3, hash(0x31)),
            log: LogHead(slot: SlotNumber(incarnation: 0, epoch: 2, number: 5), hash: hash(0x32)),
            sessions: (0..<sessions).map {
                SessionHead(
                    writer: writer, session: identifier(UInt8(truncatingIfNeeded: $0)), number: UInt32($0),
                    hash: hash(0x33))
            })
    }
}

extension Array where Element == UInt8 {
    /// The unsigned little-endian number at `offset`, read by hand.
    func number(_ offset: Int, _ width: Int) -> Int {
        (0..<width).reduce(0) { $0 | Int(self[offset + $1]) << (8 * $1) }
    }

    /// `width` little-endian bytes, written by hand.
    static func little(_ value: UInt64, _ width: Int) -> [UInt8] {
        (0..<width).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) : 0 }
    }

    /// The same bytes with one bit the other way.
    func flipping(bit: Int) -> [UInt8] {
        var changed = self
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        return changed
    }

    /// The same bytes with others at `offset`.
    func replacing(_ offset: Int, _ bytes: [UInt8]) -> [UInt8] {
        var changed = self
        changed.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        return changed
    }
}

/// The parts behind each other.
func joined(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }

/// The code of the refusal, or `nil` when nothing was refused; any other error is an issue.
func refusalCode<Result>(_ body: () throws -> Result) -> FormatError.Code? {
    do {
        _ = try body()
        return nil
    } catch let error as FormatError {
        return error.code
    } catch {
        Issue.record("an error of another module came out: \(error)")
        return nil
    }
}
