import ArgumentParser
import Effects
import Hypervisors
import Jobs
import Notices

/// `dozo report capacity`: how full repositories are and when they will be full; what guests have and use (S6, S45).
struct ReportCapacityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capacity", abstract: "Report how full repositories are, when they will be, and what guests use.",
        discussion: """
            Examples:
              dozo report capacity
              dozo report capacity -r /backup/dozo --no-guests --json

            Repositories are those of the agent's file and those named with -r; no key is needed. Each call keeps a \
            sample of how full they are, the last of a day counts, and from \(GrowthForecast.fewestDays) days over \
            \(GrowthForecast.shortestSpan) on it is foretold when the file system will be full.

            Of guests of libvirt it says their disks and what those take up, the memory that they may have and that \
            they have now, their processors and how many of them were busy for a second.

            Exit status: 0 done; 3 something could not be looked at, which is named.
            """)

    @OptionGroup var report: ReportOptions
    @Option(
        name: [.customShort("r"), .long],
        help: ArgumentHelp("Folder of a repository; may be repeated.", valueName: "path"), completion: .directory)
    var repository: [String] = []
    @Option(
        help: ArgumentHelp(
            "A libvirt that is asked besides, in place of this host's own. May be repeated.", valueName: "uri"))
    var connect: [String] = []
    @Flag(inversion: .prefixedNo, help: "Ask the hypervisors for the table of guests.")
    var guests = true

    func run() async throws {
        let configuration = try report.configuration()
        let folder = try HostArchives.usual()
        let now = SystemClock.system.wall()
        var problems: [String] = []
        var repositories: [CapacityReport.Repository] = []
        for (name, location) in try places(configuration) {
            do {
                repositories.append(
                    try ReportCapacityCommand.look(at: location, named: name, folder: folder, now: now))
            } catch let error as FileError { problems.append("repository \(name): \(error.sentence)") }
        }
        var table: CapacityTable?
        if guests {
            let found = HostGuests(configuration, others: connect)
            problems += found.silences.map { "\($0.connection.words) could not be asked: \($0.reason)" }
            table = ReportCapacityCommand.table(of: found, &problems)
        }
        let document = CapacityReport(
            host: HostPaths.hostName, repositories: repositories, table: table, problems: problems, at: now)
        report.show(text: document.text, page: document.page, document: document.document)
        guard problems.isEmpty else {
            throw CommandFailure(
                .partial, "\(Console.count(problems.count, "thing")) could not be looked at; see above")
        }
    }

    /// Names and folders of the repositories, each folder once.
    private func places(_ configuration: AgentConfiguration?) throws -> [(name: String, location: String)] {
        var places: [(String, String)] = []
        for (name, repository) in (configuration?.repositories ?? [:]).sorted(by: { $0.key < $1.key }) {
            places.append((name, HostPaths.resolved(repository.location)))
        }
        let named =
            repository.isEmpty && places.isEmpty ? [Environment["DOZO_REPOSITORY"]].compactMap(\.self) : repository
        for path in named {
            let location = HostPaths.resolved(HostPaths.absolute(path))
            if !places.contains(where: { $0.1 == location }) { places.append((location, location)) }
        }
        guard !places.isEmpty else {
            throw CommandFailure(.usage, "which repositories? name the agent's file with --config, or folders with -r")
        }
        return places
    }

    /// Counts a repository, keeps the sample, and looks ahead.
    private static func look(
        at location: String, named name: String, folder: HostArchives, now: UInt64
    ) throws -> CapacityReport.Repository {
        guard HostPaths.isFolder(location) else {
            throw FileError(
                number: 0, sentence: "\(HostPaths.whyNoFolder(location)); mount the disk, or correct the path",
                remedy: .inspect)
        }
        guard let room = HostPaths.room(location) else {
            throw FileError(
                number: 0, sentence: "the file system of \(location) does not say how full it is", remedy: .inspect)
        }
        let size = try HostPaths.byteCount(below: location)
        do {
            let sample = CapacityArchive.Sample(
                instant: now, location: location, size: size, used: room.used, free: room.free)
            try folder.capacity.keep(sample, at: now)
        } catch { Console.note("note: \(error.sentence); today's sample of \(Console.printable(name)) is not kept") }
        let samples = try folder.capacity.samples(of: location)
        let forecast = GrowthForecast(samples.map(\.growth), used: room.used, free: room.free, at: now)
        return CapacityReport.Repository(
            name: name, location: location, size: size, used: room.used, free: room.free, forecast: forecast,
            storedPerDay: try folder.runs.storedPerDay(repository: name, at: now))
    }

    /// The table of libvirt's guests; those of other hypervisors do not tell what they use. `nil` when there are none.
    private static func table(of found: HostGuests, _ problems: inout [String]) -> CapacityTable? {
        let guests = found.guests.compactMap { guest in guest.libvirt.map { (guest, $0) } }
        var first: [(HostGuests.Found, LibvirtGuest, GuestResources, UInt64)] = []
        for (guest, libvirt) in guests {
            do throws(GuestError) {
                let resources = try libvirt.resources()
                first.append((guest, libvirt, resources, SystemClock.system.monotonic()))
            } catch {
                guard error.code != .noGuest else { continue }
                problems.append(error.sentence)
            }
        }
        guard !first.isEmpty else {
            Console.note("note: no guest of libvirt is known here, so there is no table of guests")
            return nil
        }
        // How busy processors are is known from two looks.
        if first.contains(where: { $0.2.isRunning }) { for _ in 0..<2 { ThreadPause.take(milliseconds: 500) } }
        return CapacityTable(
            first.map { guest, libvirt, resources, instant in
                let later = resources.isRunning ? try? libvirt.resources() : nil
                let passed = SystemClock.system.monotonic() - instant
                let busy = later.map {
                    $0.processorTime > resources.processorTime
                        ? $0.processorTime - resources.processorTime : 0
                }
                return CapacityTable.Machine(
                    name: guest.name, place: guest.connection.words, state: guest.state,
                    disk: CapacityTable.Amount(total: resources.diskBytes, used: resources.takenBytes),
                    memory: CapacityTable.Amount(
                        total: resources.largestMemory, used: resources.isRunning ? resources.memory : 0),
                    processors: CapacityTable.Amount(
                        total: UInt64(resources.processorCount) * 1000,
                        used: busy.map { $0 / max(1, passed / 1000) } ?? 0))
            })
    }
}
