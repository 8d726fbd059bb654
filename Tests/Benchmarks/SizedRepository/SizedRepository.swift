import ChunkEncryption
import Effects
import Glibc
import ObjectStorage
import Repository
import RepositoryFormat

// A repository of other sizes
// ---------------------------
// `dozo init` offers no choice of sizes. This makes a repository as it does, with other ones, so that the benchmark can
// say what each choice costs; the program itself does the rest.

@main
enum SizedRepository {
    private static let page = 4096

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let numbers = arguments.dropFirst(2).compactMap { UInt32($0) }
        guard arguments.count == 5, numbers.count == 3, let folder = arguments.first,
            let passphrase = arguments.dropFirst().first, numbers[0] >= 16, numbers[0] <= 1024, numbers[0] % 16 == 0
        else {
            print("usage: SizedRepository FOLDER PASSPHRASE MEAN-CHUNK-KIB LEAF-KIB PACK-MIB (mean 16 to 1024, by 16)")
            exit(2)
        }
        // As the defaults are made: a quarter of the mean at least, four times the mean at most, and a boundary behind
        // a page in so many that the mean comes out.
        let mean = Int(numbers[0]) << 10
        let minimum = max(page, mean / 4)
        var defaults = RepositoryCreation.defaults
        defaults.minimum = UInt32(minimum)
        defaults.maximum = UInt32(mean * 4)
        defaults.threshold = UInt64.max / UInt64(mean / page - (minimum / page - 1))
        defaults.leaf = numbers[1] << 10
        defaults.pack = numbers[2] << 20
        let path = HostPaths.absolute(folder)
        try HostPaths.makeFolders(path)
        _ = try await RepositoryCreation.create(
            in: DirectoryStore(files: HostFiles(root: path), randomness: .system),
            secret: .passphrase(SecretBytes(copying: Array(passphrase.utf8))), label: "sizes", defaults: defaults,
            createdAt: SystemClock.system.wall() / 1_000_000_000, randomness: .system)
    }
}
