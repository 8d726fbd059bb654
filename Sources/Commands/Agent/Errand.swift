import Effects
import GuestSource

/// Something beside the runs that takes its time and is done by a process of its own: asking a hypervisor for its
/// guests, removing what no rule keeps.
struct Errand {
    /// What it is for: one at a time of each.
    let name: String
    private var program: DetachedProgram
    private let place: String
    private let began: UInt64
    private let limit: UInt64
    private var isLate = false

    /// How an errand ended.
    struct Result {
        /// Exit status as shells count it; `nil` when it was not started here.
        let status: CInt?
        /// What it printed, at most ``Errand/mostOutput``.
        let output: [UInt8]
        /// The last line of its messages.
        let lastWords: String
        /// Whether it was ended because its time was up.
        let isLate: Bool
    }

    /// Most bytes of output that are read.
    static let mostOutput = 64 << 20
    private static let mostMessages = 64 << 10

    /// Begins.
    ///
    /// - Parameters:
    ///   - limit: seconds after which it is ended.
    ///   - now: nanoseconds since 1970.
    /// - Throws: ``FileError``.
    init(_ name: String, _ command: [String], limit: Int, folder: AgentFolder, now: UInt64) throws(FileError) {
        self.name = name
        began = now
        self.limit = UInt64(limit) * 1_000_000_000
        place = try folder.errandPlace(name)
        program = try DetachedProgram(starting: command, output: "\(place).out", messages: "\(place).err")
    }

    /// Looks how it stands. - Returns: how it ended; `nil` while it goes on.
    mutating func result(now: UInt64) -> Result? {
        program.look()
        guard !program.isRunning else {
            if now > began + limit {
                isLate = true
                program.end()
            }
            return nil
        }
        let messages = HostPaths.beginning("\(place).err", count: Errand.mostMessages) ?? []
        let last = String(decoding: messages, as: UTF8.self).split(separator: "\n").last.map(String.init) ?? ""
        return Result(
            status: program.status, output: HostPaths.beginning("\(place).out", count: Errand.mostOutput) ?? [],
            lastWords: last, isLate: isLate)
    }

    /// Ends it.
    func end() { program.end() }
}
