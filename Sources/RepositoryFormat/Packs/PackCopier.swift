import BackupModel
import ChunkEncryption

/// Fills packs with blobs of other packs as they stand there: ciphertext and sealed keys, byte for byte (format page
/// §6). Needs no key to what the blobs say. Belongs to one worker.
///
/// Memory: one buffer of the target size plus the largest blob and trailer, handed over with each finished pack.
package final class PackCopier {
    private let settings: PackBuilder.Settings
    private var bytes: [UInt8] = []
    private var entries: [PackEntry] = []
    private var keys: [SealedPackKey] = []
    private var numbers: [SealedPackKey: UInt16] = [:]
    /// Uses of keys: of one key a counter stands once in a pack.
    private var uses = Set<UInt64>()
    private var identifiers = Set<Hash256>()

    /// An empty one; nothing is allocated before the first blob.
    ///
    /// - Parameter settings: of the class and domain that the blobs are of; nothing is sealed to the recipient.
    package init(_ settings: PackBuilder.Settings) { self.settings = settings }

    /// Whether nothing was appended since the last pack was finished.
    package var isEmpty: Bool { entries.isEmpty }

    /// Whether a blob goes into the pack that is being filled; if not, that is finished first.
    ///
    /// - Parameter key: what the blob is sealed under, from the key table of its pack.
    package func takes(_ entry: PackEntry, under key: SealedPackKey) -> Bool {
        guard !entries.isEmpty else { return true }
        guard bytes.count < settings.targetByteCount, entries.count < PackBuilder.fullEntryCount,
            !identifiers.contains(entry.identifier)
        else { return false }
        guard let number = numbers[key] else { return keys.count < FormatLimits.packKeyCount }
        return !uses.contains(PackCopier.use(number, entry.counter))
    }

    private static func use(_ number: UInt16, _ counter: UInt32) -> UInt64 { UInt64(number) << 32 | UInt64(counter) }

    /// Copies a blob to the end of the pack.
    ///
    /// - Parameters:
    ///   - sealed: its bytes in the pack that it comes from.
    ///   - entry: as that pack's directory has it.
    ///   - key: what it is sealed under, from that pack's key table.
    /// - Precondition: ``takes(_:under:)``, and the blob is of the class of the settings and no padding.
    package func append(_ sealed: ArraySlice<UInt8>, as entry: PackEntry, under key: SealedPackKey) {
        precondition(takes(entry, under: key), "a pack that does not take a blob is finished first")
        precondition(
            entry.kind != .padding && entry.kind.objectClass == settings.recipient.objectClass, "a pack holds one class"
        )
        precondition(sealed.count == Int(entry.storedByteCount), "a sealed blob has the size its entry says")
        if entries.isEmpty {
            bytes.reserveCapacity(settings.targetByteCount + (1 << 20))
            bytes.append(contentsOf: repeatElement(0, count: ObjectHeader.byteCount))
        }
        let number: UInt16
        if let known = numbers[key] {
            number = known
        } else {
            number = UInt16(keys.count)
            numbers[key] = number
            keys.append(key)
        }
        uses.insert(PackCopier.use(number, entry.counter))
        identifiers.insert(entry.identifier)
        entries.append(
            PackEntry(
                identifier: entry.identifier, kind: entry.kind, codec: entry.codec, keyNumber: number,
                counter: entry.counter, offset: UInt32(bytes.count), storedByteCount: entry.storedByteCount,
                plainByteCount: entry.plainByteCount))
        bytes += sealed
    }

    /// Completes the pack and begins anew.
    ///
    /// - Precondition: it is not empty.
    package func finish() -> FinishedPack {
        precondition(!entries.isEmpty, "a pack is finished with at least one blob")
        let finished = PackBuilder.completed(
            exchange(&bytes, with: []), entries: entries, keys: keys, settings: settings)
        (entries, keys, numbers, uses, identifiers) = ([], [], [:], [], [])
        return finished
    }
}
