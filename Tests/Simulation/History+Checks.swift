import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
package import Repository
package import RepositoryFormat
import TestKit

extension History {
    /// Looks at everything with the owner's eyes, and complains about the first thing that is wrong.
    mutating func check() async {
        do {
            let repository = try await OpenRepository.open(
                store: store.opened(&dice), key: .credential(template.owner))
            let view = try await repository.view()
            let reader = try await RepositoryReader(repository, view: view)
            for line in view.notes + reader.index.notes { complain("the repository shows something odd: \(line)") }
            let shown = Dictionary(grouping: view.points, by: \.record.identifier)
            for (identifier, number) in promised.sorted(by: { $0.value < $1.value })
            where shown[identifier] == nil && (held.contains(identifier) || !forgotten.contains(identifier)) {
                complain("point \(identifier), told to the host as \(number), is not there")
            }
            // What was whole may have been swept away since, or not be found any more.
            let packs = Set(try await repository.access.names(under: "packs/"))
            if view.log.lastClose != lastChecked.close || !lastChecked.packs.isSubset(of: packs) { restored = [] }
            lastChecked = (view.log.lastClose, packs)
            for point in view.points {
                if shown[point.record.identifier]?.count != 1 {
                    complain("several points are called \(point.record.identifier)")
                }
                guard restored.insert(point.record.identifier).inserted else { continue }
                if promised[point.record.identifier] == nil { report.untold += 1 }
                try await compare(point, reader: reader)
            }
            if generatorRepeats { try await checkKeys(view, reader: reader) }
        } catch { complain("the repository cannot be read: \(error)") }
        checkMemories()
    }

    private mutating func compare(_ point: RestorePoint, reader: RepositoryReader) async throws {
        let record = point.record
        guard let disks = presented[record.takenAt], disks.count == record.images.count else {
            complain("point \(record.identifier) says it is \(record.takenAt), which was never presented")
            return
        }
        for (disk, image) in zip(disks, record.images)
        where try await RestoredImage.bytes(of: image, reader: reader) != disk {
            complain("point \(record.identifier), presented as \(record.takenAt), restores other bytes")
        }
    }

    /// One key and one nonce are used for one plaintext: the same ciphertext wherever they come again.
    private mutating func checkKeys(_ view: RepositoryView, reader: RepositoryReader) async throws {
        for pack in view.packs where keyChecked.insert(pack.key).inserted {
            let contents = try await reader.shelf.contents(of: pack.key)
            let keys = try reader.shelf.packKeys(of: pack.key, contents: contents)
            for entry in contents.entries {
                let use = SealUse(
                    key: KeyedHasher(key: keys[Int(entry.keyNumber)]).authenticate([]), identifier: entry.identifier,
                    kind: entry.kind,
                    codec: entry.codec, counter: entry.counter)
                let range = Int(entry.offset)..<Int(entry.offset) + Int(entry.storedByteCount)
                let sealed = try await reader.repository.access.bytes(pack.key.packName, range: range)
                if let other = sealUses.updateValue(sealed, forKey: use), other != sealed {
                    complain("a key and a nonce of \(pack.key.packName) were used for two contents")
                }
            }
        }
    }

    /// A host that was told of a commit remembers it, whatever happened to its power.
    private mutating func checkMemories() {
        for host in hosts where !host.committed.isEmpty {
            do {
                let state = try HostState(
                    files: host.disk, repository: template.owner.repository, randomness: .seeded(dice.next()))
                let known = Set(try state.memory()?.sessions ?? [])
                for head in host.committed where !known.contains(head) {
                    complain("\(host.name) forgot that it committed session \(head.session)")
                }
            } catch { complain("the state of \(host.name) cannot be read: \(error)") }
        }
    }
}

/// One use of a key and a nonce.
struct SealUse: Hashable {
    /// What the key makes of nothing: equal for equal keys.
    let key: Hash256
    let identifier: Hash256
    let kind: BlobKind
    let codec: BlobCodec
    let counter: UInt32
}

/// Restores into memory, through map and blobs as `restore` does.
package enum RestoredImage {
    /// The bytes of one image of a restore point.
    ///
    /// - Throws: ``RepositoryError``, `damaged`, before a wrong byte is given.
    package static func bytes(of image: RestorePointRecord.Image, reader: RepositoryReader) async throws -> [UInt8] {
        let blobs = reader.blobs()
        let walker = MapWalker(blobs)
        let root = try await walker.root(of: image)
        var bytes = [UInt8](repeating: 0, count: Int(image.byteCount))
        try await walker.leaves(of: root, title: image.title) { place in
            let leaf = try await walker.leaf(place, title: image.title)
            var offset = Int(place.offset)
            for slice in leaf.slices {
                guard let chunk = slice.chunk else {
                    offset += Int(slice.byteCount)
                    continue
                }
                let plain = try await blobs.bytes(of: chunk, kind: .data, name: "disk \(image.name)")
                for _ in 0..<slice.repeats {
                    let part = plain[Int(slice.skip)..<Int(slice.skip) + Int(slice.length)]
                    bytes.replaceSubrange(offset..<offset + part.count, with: part)
                    offset += part.count
                }
            }
        }
        return bytes
    }
}
