import BackupModel
import Effects
import Jobs
import Notices

/// What the agent keeps on its host between two starts, in the folder `agent` of Dozo's state:
///
///     agenda.N        what is due, paused and known of each guest (replaced whole)
///     notices.N       what was told and what waits to be sent
///     policies.jsonl  each revision that a policy had, with when it was first followed
///     runs/           records of runs, see `RunArchive`
///     reports/        the page of each night's report
///     errands/        what processes said that were started beside the runs
///     running/RUN/    a run that is under way: what it does, its process, and what that says
///     lock            held by the agent that runs
///
/// A run's folder outlives the agent: whoever starts next finds the process and goes on watching it.
struct AgentFolder {
    /// Absolute path.
    let path: String
    private let files: HostFiles
    private let agenda: VersionedFile
    /// The file of notices.
    let notices: NoticeStateFile

    static let name = "agent"
    private static let lockName = "lock"
    private static let runningName = "running"
    private static let policiesName = "policies.jsonl"
    private static let beatName = "alive"
    private static let errandsName = "errands"
    private static let reportsName = "reports"

    /// Opens the folder, making what is missing.
    init(stateFolder: String) throws {
        path = "\(stateFolder)/\(AgentFolder.name)"
        for folder in [stateFolder, path, "\(path)/\(AgentFolder.runningName)", "\(path)/runs"] {
            try HostPaths.makeFolders(folder)
        }
        files = HostFiles(root: path)
        agenda = VersionedFile(files: files, folder: "", name: "agenda", randomness: .system)
        notices = NoticeStateFile(files: files, randomness: .system)
    }

    /// The agent's lock; `nil` when another agent has it.
    func lock() throws -> FileLock? { try FileLock(path: "\(path)/\(AgentFolder.lockName)") }

    // MARK: Agenda

    /// What was written down last of the agenda and of the daily rounds.
    ///
    /// - Returns: `nil` when there is nothing, or nothing that can be understood; then all begins anew, and it is told.
    func read() throws -> (document: JSONDocument?, problem: String?) {
        guard let newest = try agenda.newest(limit: JSONDocument.longestText) else { return (nil, nil) }
        guard let document = try? JSONDocument(decoding: newest.bytes) else {
            return (
                nil,
                "\(path)/\(newest.path) is damaged: what was due and what was paused is not known any more"
            )
        }
        return (document, nil)
    }

    /// Writes it down, durably.
    func keep(_ document: JSONDocument) throws { try agenda.write(document.encoded) }

    // MARK: Signs of life

    /// Notes that the agent is at work at an instant; nanoseconds since 1970.
    func beat(at now: UInt64) throws {
        // Not durable on purpose: after a power cut an older sign is just as true.
        let file = "\(path)/\(AgentFolder.beatName)"
        try HostPaths.replace(file, Array("\(now)\n".utf8))
    }

    /// When the agent of a state folder was last at work, nanoseconds since 1970; `nil` when it never was.
    static func lastBeat(stateFolder: String) -> UInt64? {
        HostPaths.beginning("\(stateFolder)/\(name)/\(beatName)", count: 32).flatMap { bytes in
            UInt64(String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self))
        }
    }

    // MARK: Policies

    /// Notes a revision the first time that it is followed.
    func note(_ revision: PolicyRevision, of policy: String, at now: UInt64) throws {
        let file = "\(path)/\(AgentFolder.policiesName)"
        let known = HostPaths.exists(file) ? try HostPaths.read(file, limit: AgentFolder.mostPolicyBytes) : []
        let mark = JSONDocument.members(("policy", .text(policy)), ("revision", .text(revision.mark)))
        let isKnown = known.split(separator: UInt8(ascii: "\n")).contains { line in
            guard let document = try? JSONDocument(decoding: Array(line)) else { return false }
            return document["policy"] == mark["policy"] && document["revision"] == mark["revision"]
        }
        guard !isKnown else { return }
        let line = JSONDocument.members(
            ("policy", .text(policy)), ("revision", .text(revision.mark)), ("since", .count(now)),
            ("says", revision.document))
        try HostPaths.append(file, line.encoded + [UInt8(ascii: "\n")])
    }

    /// Most bytes of the history of policies that are looked at.
    private static let mostPolicyBytes = 64 << 20

    // MARK: Reports

    /// Keeps the report of a night as a page, by its date.
    func keepReport(_ report: NightReport) throws {
        let folder = "\(path)/\(AgentFolder.reportsName)"
        try HostPaths.makeFolders(folder)
        let name = TimeText.utc(report.night.upperBound).prefix(10)
        try HostPaths.replace("\(folder)/\(name).html", Array(report.page.utf8))
        let files = HostFiles(root: folder)
        for old in try files.names(in: "").sorted().dropLast(AgentFolder.mostReports) { try files.remove(old) }
    }

    /// Pages of reports that are kept.
    private static let mostReports = 100

    // MARK: Errands

    /// Where an errand's output goes, without the end of the names; what an earlier one left there is gone.
    func errandPlace(_ name: String) throws(FileError) -> String {
        let folder = "\(path)/\(AgentFolder.errandsName)"
        try HostPaths.makeFolders(folder)
        let safe = String(
            name.unicodeScalars.map { $0.isASCII && $0.properties.isAlphabetic || $0.value == 45 ? Character($0) : "_" }
        )
        for end in ["out", "err"] where HostPaths.exists("\(folder)/\(safe).\(end)") {
            try HostFiles(root: folder).remove("\(safe).\(end)")
        }
        return "\(folder)/\(safe)"
    }

    // MARK: Runs under way

    /// The folder of a run.
    func runFolder(_ run: String) -> String { "\(path)/\(AgentFolder.runningName)/\(run)" }

    /// Runs whose folders are there.
    func runsUnderWay() throws -> [String] {
        // What is no folder was put there by somebody else, and is left alone.
        try files.names(in: AgentFolder.runningName).sorted().filter {
            try files.isFolder("\(AgentFolder.runningName)/\($0)")
        }
    }

    /// Makes the folder of a run.
    func makeRunFolder(_ run: String) throws { _ = try files.makeFolder("\(AgentFolder.runningName)/\(run)") }

    /// Keeps what is to be known of a run.
    func keep(_ document: JSONDocument, of run: String) throws {
        try VersionedFile(
            files: files, folder: "\(AgentFolder.runningName)/\(run)", name: "run", randomness: .system
        ).write(document.encoded)
    }

    /// What was kept of a run; `nil` when it died before anything was.
    func document(of run: String) throws -> JSONDocument? {
        let file = VersionedFile(
            files: files, folder: "\(AgentFolder.runningName)/\(run)", name: "run", randomness: .system)
        return try file.newest(limit: JSONDocument.longestText).flatMap { try? JSONDocument(decoding: $0.bytes) }
    }

    /// Takes the folder of a run away.
    func removeRun(_ run: String) throws {
        let folder = "\(AgentFolder.runningName)/\(run)"
        for name in try files.names(in: folder) { try files.remove("\(folder)/\(name)") }
        try HostPaths.removeEmptyFolder("\(path)/\(folder)")
    }
}
