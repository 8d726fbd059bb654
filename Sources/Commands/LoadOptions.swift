import ArgumentParser
import BackupModel
import Effects
import ObjectStorage

/// How much a long command may ask of the host.
struct LoadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Read at most so much a second: bytes, or with K, M, G.", valueName: "size"))
    var limitRead: String?
    @Option(help: ArgumentHelp("Write at most so much a second: bytes, or with K, M, G.", valueName: "size"))
    var limitWrite: String?
    @Option(
        help: ArgumentHelp(
            "Let other programs go first: 0 (not) to 19; by default 10, for a restore 0.", valueName: "n"))
    var nice: Int?

    /// What a command that nobody waits for yields, unless it is told otherwise.
    static let backgroundNice = 10

    func validate() throws {
        for text in [limitRead, limitWrite].compactMap(\.self) {
            guard let size = SizeText.parse(text), size > 0 else {
                throw ValidationError("\(text) is no rate; write bytes a second, or a number with K, M or G")
            }
        }
        guard nice.map({ (0...19).contains($0) }) ?? true else { throw ValidationError("--nice is 0 to 19") }
    }

    /// Lets other programs go first; called before the process has a second thread.
    func makeWay(usual: Int) { HostLoad.yield(nice: nice ?? usual) }

    /// What may be read and written a second, counted from now.
    func rates() -> Rates {
        func limit(_ text: String?) -> RateLimit? {
            text.flatMap(SizeText.parse).map {
                RateLimit(bytesPerSecond: $0, now: SystemClock.system.monotonic)
            }
        }
        return Rates(reads: limit(limitRead), writes: limit(limitWrite))
    }
}

/// A long command, which makes way on its host before it begins.
protocol LoadingCommand {
    var load: LoadOptions { get }
    /// The nice value without `--nice`.
    var usualNice: Int { get }
}

/// What a command may read and write a second; `nil` is no limit.
struct Rates: Sendable {
    var reads: RateLimit?
    var writes: RateLimit?

    /// Nothing is limited from now on.
    func lift() {
        reads?.lift()
        writes?.lift()
    }

    /// The store, read and written no faster.
    func paced(_ store: DirectoryStore) -> any ObjectStore {
        reads == nil && writes == nil ? store : PacedStore(store, reads: reads, writes: writes)
    }
}
