import BackupModel
import ChunkEncryption
import Effects
import Glibc
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

// The index of a very large repository
// ------------------------------------
// `make` writes a repository of so many chunks through the sessions of the program, merges included; only the packs
// themselves are not kept. `measure` opens it as a backup does and looks chunks up that are there and that are not.

@main
enum IndexAtScale {
    static let entriesPerPack = 512
    static let packsPerCheckpoint = 512
    static let checkpointsPerSession = 4
    static let passphrase = "index at scale"

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let count = Int(arguments[3]), count > 0 else {
            print("usage: IndexAtScale make|measure FOLDER CHUNKS")
            exit(2)
        }
        let folder = HostPaths.absolute(arguments[2])
        switch arguments[1] {
        case "make": try await Maker(folder: folder, chunkCount: count).run()
        case "measure": try await Measure(folder: folder, chunkCount: count).run()
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
