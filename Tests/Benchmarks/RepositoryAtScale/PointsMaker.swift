import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat

/// Makes a repository of many points: a slot and a commit for each, composed without reading all before it again, which
/// is what a session would do.
struct PointsMaker {
    let folder: String
    let pointCount: Int

    func run() async throws {
        let (store, writer, owner) = try await RepositoryAtScale.make(folder)
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        guard let signer = writer.signingKey else { preconditionFailure("a writer signs") }
        let recipient = try repository.keys().recipient(.structure)
        let name = WriterID(fingerprint: signer.publicKey.fingerprint)
        let owners = repository.chain.head
        var previous = repository.identityHash
        var last: (slot: LogHead, end: LogSlot.Ended)?
        for number in 0..<pointCount {
            guard let session = SessionID(bytes: Randomness.system.bytes(16)) else {
                preconditionFailure("16 bytes make an id")
            }
            let slot = SlotNumber(incarnation: 0, epoch: 0, number: UInt32(number))
            let heads = Heads(owner: (owners.number, owners.hash), log: last?.slot, sessions: [])
            let claim = SignedObject(
                kind: .logSlot, repository: owner.repository,
                body: LogSlot(
                    slot: slot, previous: previous, claim: .open(session, bases: []), writerPrevious: last?.slot,
                    ended: last.map { [$0.end] } ?? [], heads: heads
                ).body, signedBy: signer)
            let entry = try SessionEntry.compose(
                SessionEntry.Draft(
                    writer: name, session: session, number: 0, previous: claim.hash, slot: slot, action: .commit,
                    heads: heads, inventory: Inventory(), records: [RepositoryAtScale.point(UInt64(number)).record]),
                recipient: recipient, signer: signer, randomness: .system)
            let place = ObjectPaths.sessionEntry(writer: name, session: session, number: 0)
            for (path, bytes) in [(ObjectPaths.slot(slot), claim.bytes), (place, entry.bytes)] {
                guard let object = ObjectName(path) else { preconditionFailure("\(path) is a name") }
                _ = try await store.putIfAbsent(object, bytes)
            }
            previous = claim.hash
            last = (
                LogHead(slot: slot, hash: claim.hash), LogSlot.Ended(session: session, number: 0, hash: entry.hash)
            )
        }
        try HostPaths.writeNew(folder + "/passphrase", Array(RepositoryAtScale.passphrase.utf8))
        try HostPaths.writeNew(
            folder + "/reader.key", CredentialFile.encoded(owner.restricted(to: .reader)))
    }
}
