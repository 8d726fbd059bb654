import BackupModel
import ChunkEncryption
import Effects
import Glibc
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

// Very large repositories
// -----------------------
// `make-index` writes a repository of so many chunks through the sessions of the program, merges included; only the
// packs themselves are not kept. `measure-index` opens it as a backup does and looks chunks up that are there and that
// are not. `make-points` writes a repository of so many points without content, each in a session of its own.
// `make-guests` backs so many computed guests up for good, `add-night` one of them once more.

@main
enum RepositoryAtScale {
    static let entriesPerPack = 512
    static let packsPerCheckpoint = 512
    static let checkpointsPerSession = 4
    static let passphrase = "repository at scale"

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let count = Int(arguments[3]), count >= 0 else {
            print("usage: RepositoryAtScale make-index|measure-index|make-points|make-guests FOLDER COUNT")
            print("       RepositoryAtScale add-night FOLDER GUEST")
            exit(2)
        }
        let folder = HostPaths.absolute(arguments[2])
        switch arguments[1] {
        case "make-index": try await IndexMaker(folder: folder, chunkCount: count).run()
        case "measure-index": try await IndexMeasure(folder: folder, chunkCount: count).run()
        case "make-points": try await PointsMaker(folder: folder, pointCount: count).run()
        case "make-guests": try await GuestsMaker(folder: folder).make(guestCount: count)
        case "add-night": try await GuestsMaker(folder: folder).addNight(count)
        default: exit(2)
        }
    }

    /// The id of a chunk by its number: spread evenly, as keyed hashes are.
    static func identifier(_ number: Int) -> Hash256 {
        var dice = Dice(seed: UInt64(number))
        let words = [dice.next(), dice.next(), dice.next(), UInt64(number)]
        // Safety: four words are 32 bytes.
        return unsafe words.withUnsafeBytes { unsafe Hash256(loading: $0) }
    }

    /// A new repository with one writer, whose key lies in the state folder.
    static func make(_ folder: String) async throws -> (FakedPacksStore, writer: Credential, owner: Credential) {
        try HostPaths.makeFolders(folder + "/repository")
        try HostPaths.makeFolders(folder + "/state")
        let store = try store(folder)
        let owner = try await RepositoryCreation.create(
            in: store, secret: .passphrase(SecretBytes(copying: Array(passphrase.utf8))),
            label: "at scale", createdAt: 0, randomness: .system)
        var repository = try await OpenRepository.open(store: store, key: .credential(owner))
        let seed = SecretBytes(copying: Randomness.system.bytes(SigningKey.seedByteCount))
        try await repository.enrol(
            Enrolment(key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, label: "writer"), createdAt: 0)
        let writer = repository.credential.restricted(
            to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
        let state = try state(folder, owner.repository)
        try state.keep(writerCredential: writer)
        return (store, writer, owner)
    }

    /// A point of nothing: what a session's end needs.
    static func point(_ number: UInt64) throws -> RestorePointRecord {
        guard let identifier = PointID(bytes: Randomness.system.bytes(16)),
            let guest = GuestID(bytes: [UInt8](repeating: 1, count: 16))
        else { preconditionFailure("16 bytes make an id") }
        return RestorePointRecord(
            identifier: identifier, guest: guest, label: "guest", takenAt: number, consistency: "crash",
            trust: "scanned", host: "host", tool: "RepositoryAtScale", images: [], base: nil, startedAt: number,
            endedAt: number, volume: RestorePointRecord.Volume())
    }

    static func store(_ folder: String) throws -> FakedPacksStore {
        FakedPacksStore(DirectoryStore(files: HostFiles(root: folder + "/repository"), randomness: .system))
    }

    static func state(_ folder: String, _ repository: RepositoryID) throws -> HostState {
        try HostState(
            files: HostFiles(root: folder + "/state"), root: folder + "/state", repository: repository,
            randomness: .system)
    }

    /// RssAnon + RssShmem of this process in MiB.
    static func residentMebibytes() -> Int {
        let text = (try? HostPaths.read("/proc/self/status", limit: 1 << 16)) ?? []
        return String(decoding: text, as: UTF8.self).split(separator: "\n").reduce(0) { sum, line in
            guard line.hasPrefix("RssAnon") || line.hasPrefix("RssShmem") else { return sum }
            return sum + (Int(line.split(separator: " ").dropLast().last ?? "") ?? 0)
        } / 1024
    }
}
