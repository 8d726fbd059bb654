import BackupModel
import Effects
import GuestSource
import Hypervisors
import Repository
import RepositoryFormat

/// A backup of guests that run, each into a point of its own; several are taken at one barrier.
struct LiveBackup {
    private let command: BackupCommand
    private var options: RepositoryOptions { command.options }
    private var live: LiveOptions { command.live }

    /// A guest between the preparation and its point.
    private struct Taking {
        let guest: LiveGuest
        let preparation: any CapturePreparation
        let keeper: StillnessKeeper
        var rest: GuestRest
        var capture: (any GuestCapture)?

        /// Nobody has to watch over the guest any more; one that stands still all the same is let go on.
        func released() {
            guard !keeper.hasEnded else { return }
            if capture?.isStandingStill == false { try? keeper.runs() }
            keeper.end()
        }
    }

    init(_ command: BackupCommand) { self.command = command }

    func run() async throws {
        let rates = command.load.rates()
        let watch = Stopwatch()
        let target = try await BackupTarget(options, rates: rates)
        var guests: [LiveGuest] = []
        for address in live.addresses {
            let guest = try await LiveGuest(address, command, target: target, besides: guests.map(\.known))
            guests.append(guest)
        }
        try await tellUnknown(live.exclude, of: guests)
        let taken = try await take(guests, target: target, watch: watch)
        let machines = machines(of: taken)
        var documents: [BackupDocument] = []
        var rest = taken[...]
        do {
            for (taking, machine) in zip(taken, machines) {
                guard let capture = taking.capture else { preconditionFailure("every guest was taken") }
                let document = try await taking.guest.store(
                    capture, machine: machine, level: taking.rest.level, target: target, rates: rates,
                    watch: watch.split())
                rest = rest.dropFirst()
                taking.released()
                for line in await capture.committed() { Console.note("note: \(Console.printable(line))") }
                documents.append(document)
                if !options.json { try document.show(options) }
            }
        } catch {
            for taking in rest {
                if let capture = taking.capture {
                    if await taking.guest.keepProgress(of: capture) {
                        for line in await capture.interrupted() { Console.note("note: \(Console.printable(line))") }
                    } else {
                        await capture.abandon()
                    }
                }
                taking.released()
            }
            guard !documents.isEmpty else { throw error }
            Console.note("dozo: \(Console.printable(CommandFailure(error).sentence))")
            throw CommandFailure(
                .partial, "\(documents.count) of \(guests.count) guests have a point of this barrier, the others none")
        }
        if options.json {
            if documents.count == 1 { try documents[0].show(options) } else { try Console.json(documents) }
        }
        await target.updateCatalog(options)
    }

    /// What the records say of the machines and of the barrier.
    private func machines(of taken: [Taking]) -> [RestorePointRecord.Machine] {
        let instants = taken.compactMap(\.capture?.takenAt)
        let spread = (instants.max() ?? 0) - (instants.min() ?? 0)
        let group = taken.count > 1 ? Randomness.system.bytes(16) : nil
        if group != nil {
            options.note("\(taken.count) guests were taken within \(Double(spread / 10_000) / 100) ms")
        }
        return taken.compactMap { taking in
            taking.capture.map { capture in
                var machine = taking.guest.definition.machine(of: capture, rest: taking.rest)
                machine.group = group
                machine.spread = spread
                return machine
            }
        }
    }

    /// A name that no disk has may be a slip of the pen; or of a disk that is not plugged in today, and then the night
    /// must not fail.
    private func tellUnknown(_ names: [String], of guests: [LiveGuest]) async throws {
        guard !names.isEmpty else { return }
        var known: Set<String> = []
        for guest in guests { known.formUnion(try await guest.guest.disks().map(\.name)) }
        for name in names where !known.contains(name) {
            Console.note(
                "note: --exclude names \(Console.printable(name)), and there is no such disk now, only "
                    + known.sorted().map(Console.printable).joined(separator: ", "))
        }
    }

    // MARK: The instant

    /// Takes all guests at one barrier: all are ready and at rest before the first is taken.
    private func take(_ guests: [LiveGuest], target: BackupTarget, watch: Stopwatch) async throws -> [Taking] {
        var all: [Taking] = []
        do {
            for guest in guests {
                let preparation = try await guest.prepare(target)
                do {
                    let keeper = try StillnessKeeper(
                        for: guest.address, arguments: [HoldStillCommand.word],
                        limit: UInt64(live.freezeLimit))
                    let rest = GuestRest(guest, keeper: keeper, command: command)
                    all.append(Taking(guest: guest, preparation: preparation, keeper: keeper, rest: rest))
                } catch {
                    await preparation.abandon()
                    throw error
                }
            }
            for index in all.indices { try await all[index].rest.look() }
            watch.begin(.still)
            for index in all.indices { try await all[index].rest.freeze() }
            for index in all.indices {
                let capture = try await all[index].preparation.take(watch: all[index].keeper)
                all[index].capture = capture
                tellMemory(all[index].guest, capture)
            }
            for index in all.indices { all[index].rest.thaw() }
            watch.begin(.wait)
            for index in all.indices { try await all[index].rest.settle() }
        } catch {
            for taking in all {
                taking.rest.letGo()
                taking.keeper.end()
                if let capture = taking.capture { await capture.abandon() } else { await taking.preparation.abandon() }
            }
            throw error
        }
        // One that stands still until it was read is still watched over.
        for taking in all where taking.capture?.isStandingStill != true { taking.keeper.end() }
        return all
    }

    /// Says how long a guest stood still for its memory, and why.
    private func tellMemory(_ guest: LiveGuest, _ capture: any GuestCapture) {
        guard live.withMemory != nil else { return }
        for line in capture.notes { options.note("note: \(guest.label): \(Console.printable(line))") }
        options.note(
            capture.pause > 0
                ? "\(guest.label) stood still for \(TimeText.milliseconds(capture.pause)), and goes on"
                : "\(guest.label) was paused before, and stays so")
    }
}

extension GuestDisk.Omission {
    /// Whether nobody expects the disk in a point: it was left out on purpose, or there is nothing to lose on it.
    var isMeant: Bool {
        switch self {
        case .excluded, .removable, .readOnly, .transient, .empty: true
        case .shareable, .passedThrough, .unsupported: false
        }
    }

    /// In words, behind "is left out: ".
    var words: String {
        switch self {
        case .excluded: "--exclude names it"
        case .removable: "a removable drive; what is in it is noted, not copied"
        case .shareable: "several guests may write it at once, so that there is no instant of it"
        case .passedThrough: "it is given through to the guest, and nobody here sees what is written"
        case .readOnly: "the guest cannot write it; back its file up once"
        case .transient: "what is written to it goes when the guest stops"
        case .empty: "nothing is in it"
        case .unsupported(let why): why
        }
    }
}

extension GuestDefinition {
    /// The hypervisor's identity of the guest; `nil` when it has none of its own.
    var usableUUID: String? { uuid.contains { $0 != "0" && $0 != "-" } ? uuid : nil }

    /// The files as one image (format page §11).
    var encodedFiles: [UInt8] { RecordValue.map(files.mapValues { .bytes($0) }).encoded }

    /// Bytes of a record besides those of its files, at most.
    private static let recordOverhead = 64 << 10

    /// Leaves the largest files out until the rest fits into a record. - Returns: their names.
    mutating func fitFiles() -> [String] {
        var left: [String] = []
        while files.values.reduce(0, { $0 + $1.count }) > FormatLimits.recordByteCount - GuestDefinition.recordOverhead,
            let largest = files.max(by: { $0.value.count < $1.value.count })?.key
        {
            files[largest] = nil
            left.append(largest)
        }
        return left
    }

    /// What the record says of the machine.
    func machine(of capture: any GuestCapture, rest: GuestRest) -> RestorePointRecord.Machine {
        var machine = RestorePointRecord.Machine(hypervisor: hypervisor, name: name, uuid: usableUUID ?? "")
        machine.versions = versions
        machine.type = self.machine ?? ""
        machine.cpu = processor ?? ""
        machine.media = media
        machine.leftOut = capture.omitted.map {
            RestorePointRecord.Machine.LeftOut(name: $0.name, why: $0.omission?.words ?? "")
        }
        machine.pause = capture.pause
        machine.frozen = rest.frozen
        machine.hooks = rest.hooks.map {
            RestorePointRecord.Machine.Hook(
                name: $0.name, outcome: $0.outcome.rawValue, took: $0.nanoseconds)
        }
        machine.uncertainty = capture.uncertainty
        return machine
    }
}
