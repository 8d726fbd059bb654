import BackupModel
import Capture
import ChunkEncryption
import Effects
import Glibc
import ObjectStorage
import Repository
import RepositoryFormat

/// Makes a repository of real backups of computed disks, with chunks of 16 KiB on average, for sweeps of it.
///
/// `make-guests` makes it, of so many guests of 1 GiB, which is about 65,000 chunks each; `add-night` backs one of them
/// up again, 64 MiB of which have changed.
struct GuestsMaker {
    static let guestByteCount: UInt64 = 1 << 30
    static let changedByteCount: UInt64 = 64 << 20
    private static let mean = 16 << 10

    let folder: String

    func make(guestCount: Int) async throws {
        for name in ["repository", "state", "sweeper"] { try HostPaths.makeFolders("\(folder)/\(name)") }
        let page = ComputedDisk.pageByteCount
        var defaults = RepositoryCreation.defaults
        defaults.minimum = UInt32(page)
        defaults.maximum = UInt32(Self.mean * 4)
        // Behind each page but those of a chunk's minimum, with the chance that makes the mean.
        defaults.threshold = .max / UInt64(Self.mean / page)
        let owner = try await RepositoryCreation.create(
            in: store, secret: .passphrase(SecretBytes(copying: Array(RepositoryAtScale.passphrase.utf8))),
            label: "guests", defaults: defaults, createdAt: 0, randomness: .system)
        var repository = try await OpenRepository.open(store: store, key: .credential(owner))
        func enrol(_ role: Role) async throws -> Credential {
            let seed = SecretBytes(copying: Randomness.system.bytes(SigningKey.seedByteCount))
            try await repository.enrol(
                Enrolment(key: SigningKey(seed: seed).publicKey, role: role, domain: 0, label: role.rawValue),
                createdAt: 0)
            return repository.credential.restricted(to: role, signingSeed: seed, ownerHead: repository.chain.head)
        }
        let writer = try await enrol(.writer)
        try state(writer).keep(writerCredential: writer)
        try HostPaths.writeNew(folder + "/maintainer.key", CredentialFile.encoded(try await enrol(.maintainer)))
        for guest in 0..<guestCount { try await backUp(guest, night: 0) }
    }

    /// Backs a guest up once more.
    func addNight(_ guest: Int) async throws {
        guard let claimed = try await OpenRepository.claimedRepository(store),
            let writer = try RepositoryAtScale.state(folder, claimed).writerCredential()
        else { exit(1) }
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        let slots = try await repository.view().sessions.count
        try await backUp(guest, night: slots)
    }

    private func backUp(_ guest: Int, night: Int) async throws {
        guard let claimed = try await OpenRepository.claimedRepository(store),
            let writer = try RepositoryAtScale.state(folder, claimed).writerCredential(),
            let identifier = GuestID(bytes: [UInt8](repeating: UInt8(guest), count: 16))
        else { exit(1) }
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        let session = try await WritingSession.begin(
            repository, state: state(writer), randomness: .system, bases: { _ in [] })
        let now: @Sendable () -> UInt64 = { SystemClock.system.wall() }
        let plan = BackupPlan(
            guest: identifier, label: "guest\(guest)", takenAt: now(), host: "host", tool: "RepositoryAtScale",
            base: nil, workers: 2, now: now)
        let disk = ComputedDisk(
            guest: guest, version: night, byteCount: Self.guestByteCount, changedByteCount: Self.changedByteCount)
        let record = try await BackupRun(session, plan: plan).run([.image(name: "disk", source: disk, since: nil)])
        print("guest\(guest) \(record.identifier.hexadecimal)")
    }

    private var store: DirectoryStore {
        DirectoryStore(files: HostFiles(root: folder + "/repository"), randomness: .system)
    }

    private func state(_ writer: Credential) throws -> HostState {
        try RepositoryAtScale.state(folder, writer.repository)
    }
}
