import BackupModel
import ChunkEncryption
import RepositoryFormat

/// Looks into a spoiled entry for the restore point that it named.
///
/// Nothing of it is believed; but that a record opens under the repository's own keys for this very place says well
/// enough which point is to be looked for in another copy.
enum SpoiledRecord {
    /// Places tried in one entry.
    private static let attemptLimit = 64
    /// How a sealed record begins: the suite, and the length of its encapsulated key.
    private static let beginning: [UInt8] = [1, 0, 32, 0]

    /// The points that a record at the end of the bytes names; none when none opens.
    static func points(
        in bytes: [UInt8], of session: SessionName, number: UInt32, keys: RepositoryKeys
    ) throws -> [PointID] {
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        let place = RecordPlace(
            repository: keys.repository, writer: session.writer, session: session.session, number: number, position: 0,
            kind: Record.restorePointKind)
        let starts = bytes.indices.filter { bytes[$0...].starts(with: beginning) }
        for start in starts.prefix(attemptLimit) {
            let sealed = bytes[(start + beginning.count)...]
            guard sealed.count > 32 else { continue }
            let message = SealedMessage(
                encapsulatedKey: Array(sealed.prefix(32)), ciphertext: Array(sealed.dropFirst(32)))
            guard
                let plain = try? recipient.open(message, with: privateKey, associatedData: place.associatedData)
            else { continue }
            // Safety: the bytes are copied before the call ends.
            let body = unsafe plain.withUnsafeBytes { unsafe [UInt8]($0) }
            guard let value = try? RecordValue(decoding: body[...], of: "a spoiled record"),
                let point = try? RestorePointRecord(
                    Record(kind: Record.restorePointKind, isCritical: true, body: value), name: "a spoiled record")
            else { continue }
            return [point.identifier]
        }
        return []
    }
}
