package import BackupModel
import Capture
import ChunkEncryption
import Effects
import Foundation
import Hypervisors
import MapCache
package import ObjectStorage
import Repository
package import RepositoryFormat
import Synchronization
package import TestKit

// A guest whose backups may be stopped
// ------------------------------------
// One disk that is written to all the time, the lists of changes of its hypervisor, a host with its state and its map
// cache, and a repository. What is decided is decided by the program's own parts: which list is believed
// (`ChangeListPlan`), what is kept and built on (`MapKeeper`), what is read (`BackupRun`).

/// A running guest with one disk, and a host that backs it up.
package struct StoppableGuest {
    /// How a run ends.
    package enum Ending: Hashable, Sendable {
        /// With a point.
        case commits
        /// The operator stops it after so many regions.
        case stops(after: Int)
        /// The store is lost after so many calls, and the run ends as it can.
        case losesStore(after: Int)
        /// As that, and nothing behind it is done: neither the host nor the hypervisor is told.
        case isKilled(after: Int)
    }

    /// What a run was built on.
    package enum Ground: Hashable, Sendable {
        case unfinished
        case point
        case nothing
    }

    /// How a run came out.
    package struct Night: Sendable {
        /// The point; `nil` when none was made.
        package var point: RestorePointRecord?
        package var ground = Ground.nothing
        /// Bytes read, and of them those in regions that a run which was stopped had read.
        package var read: UInt64 = 0
        package var readAgain: UInt64 = 0
        /// Bytes of chunks that the repository did not have.
        package var new: UInt64 = 0
        /// Whether its progress was kept.
        package var isKept = false
        /// Why it made no point.
        package var failure = ""
    }

    /// What the disk holds; written by ``write(_:)``.
    package private(set) var disk: [UInt8]
    /// What the disk held at the instant of each point, by its id, also of those that were never made.
    package private(set) var instants: [PointID: [UInt8]] = [:]
    /// The hypervisor's lists of changes.
    package var lists: [String: [Extent]] = [:]
    /// Lists that were not closed properly.
    package var broken: Set<String> = []
    /// The image that the disk is.
    package var identity = "raw /disk"
    package let store: MemoryStore
    /// Whether the hypervisor vouches for what was read when a run is stopped.
    package var isVouchedFor = true
    /// Regions in work at once.
    package var workers = 1
    /// Nanoseconds of progress that a kill costs at most.
    package var interval: UInt64 = 0
    /// After so many points everything is read.
    package var fullReadEvery = 0
    private let owner: Credential
    private let writer: Credential
    private let guest: GuestID
    private let state = SimulatedDisk(leftOut: .nothing)
    private let folder: URL
    private let seed: SecretBytes
    private var dice: Dice
    private var number: UInt64 = 0
    private let executor: SeededExecutor?
    private static let diskName = "vda"

    /// A guest of a host that is enrolled in a repository of its own.
    package init(
        _ disk: [UInt8], template: RepositoryTemplate, seed: UInt64, executor: SeededExecutor? = nil
    ) async throws {
        self.disk = disk
        self.executor = executor
        var dice = Dice(seed: seed)
        store = MemoryStore(randomness: .seeded(dice.next()))
        for (name, bytes) in template.content.sorted(by: { $0.key < $1.key }) {
            _ = try await store.putIfAbsent(name, bytes)
        }
        owner = template.owner
        self.seed = SecretBytes(copying: dice.bytes(SigningKey.seedByteCount))
        var repository = try await OpenRepository.open(store: store, key: .credential(owner))
        try await repository.enrol(
            Enrolment(key: SigningKey(seed: self.seed).publicKey, role: .writer, domain: 0, label: "host"),
            createdAt: 1)
        writer = owner.restricted(to: .writer, signingSeed: self.seed, ownerHead: repository.chain.head)
        guard let guest = GuestID(bytes: dice.bytes(16)) else { preconditionFailure("16 bytes make an id") }
        self.guest = guest
        self.dice = dice
        folder = FileManager.default.temporaryDirectory.appending(path: "stoppable-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    /// Removes what it left on this machine.
    package func remove() { try? FileManager.default.removeItem(at: folder) }

    // MARK: What happens to it

    /// Writes bytes; every list of changes hears of it, in whole blocks of a page.
    package mutating func write(_ bytes: [UInt8], at offset: Int) {
        disk.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        let start = offset / 4096 * 4096
        let end = min(disk.count, (offset + bytes.count + 4095) / 4096 * 4096)
        for name in lists.keys { lists[name]?.append(Extent(start: UInt64(start), length: UInt64(end - start))) }
    }

    /// Becomes another size; no list hears of it.
    package mutating func resize(to byteCount: Int) {
        if byteCount < disk.count {
            disk.removeLast(disk.count - byteCount)
        } else {
            disk += [UInt8](repeating: 0, count: byteCount - disk.count)
        }
    }

    /// The host loses its maps.
    package func loseMaps() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            try FileManager.default.removeItem(at: folder.appending(path: name))
        }
    }

    // MARK: A run

    /// One run, and what host and hypervisor do behind it.
    ///
    /// - Parameters:
    ///   - share: thousandths of what should be unchanged that are looked at.
    ///   - meanwhile: is called behind the instant, while the guest goes on.
    package mutating func night(
        _ ending: Ending, share: Int = 0, meanwhile: (inout StoppableGuest) -> Void = { _ in }
    ) async throws -> Night {
        number += 1
        guard let point = PointID(bytes: dice.bytes(16)) else { preconditionFailure("16 bytes make an id") }
        let clock = VirtualClock()
        let keeper = MapKeeper(
            try KeptMaps(folder: folder.path, guest: guest, seed: seed), guest: guest, point: point, now: { clock.now },
            interval: interval)
        var request = CaptureRequest(
            point: point, repository: "\(owner.repository)", bases: [:], excluded: [], scratchFolder: "/scratch")
        request.last[Self.diskName] = keeper.kept(disk: Self.diskName)?.point
        let choice = keeper.choice(disk: Self.diskName, identity: identity, fullReadEvery: fullReadEvery)
        request.unfinished[Self.diskName] = choice.unfinished
        request.bases[Self.diskName] = choice.base
        let bitmaps = lists.keys.sorted().map { name in
            var bitmap = ChangeListPlan.Bitmap(name: name)
            bitmap.isInconsistent = broken.contains(name)
            return bitmap
        }
        let plan = ChangeListPlan(bitmaps, request: request, disk: Self.diskName, base: choice.base)
        for name in plan.stale { lists[name] = nil }
        // The instant.
        let own = request.listName(point, disk: Self.diskName)
        instants[point] = disk
        let told = plan.base.flatMap { lists[$0] }
        lists[own] = []
        let image = disk
        meanwhile(&self)
        let tally = Tally()
        do {
            try await read(
                image, point: point, keeper: keeper, told: told.flatMap { told in plan.point.map { ($0, told) } },
                ending: ending, share: share, into: tally)
        } catch {
            var night = tally.night.withLock { $0 }
            night.failure = "\(error)"
            if case .isKilled = ending {
                store.restart()
                return night
            }
            // As the command does.
            if isVouchedFor { keeper.keepProgress(isLast: true) } else { keeper.keepReads() }
            night.isKept = keeper.hasKeptProgress
            store.restart()
            // As `interrupted()` and `abandon()` do.
            if night.isKept {
                if let outdone = plan.outdone { lists[outdone] = nil }
            } else {
                lists[own] = nil
            }
            return night
        }
        store.restart()
        for name in plan.superseded { lists[name] = nil }
        return tally.night.withLock { $0 }
    }

    /// What is known of a run, also of one that throws.
    private final class Tally: Sendable {
        let night = Mutex(Night())
    }

    private mutating func read(
        _ image: [UInt8], point: PointID, keeper: MapKeeper, told: (PointID, [Extent])?, ending: Ending, share: Int,
        into tally: Tally
    ) async throws {
        let disk = Self.diskName
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        let state = try HostState(files: self.state, repository: owner.repository, randomness: .seeded(dice.next()))
        let session = try await WritingSession.begin(repository, state: state, randomness: .seeded(dice.next()))
        keeper.readsWhole(disk: disk, byteCount: UInt64(image.count))
        var earlier: EarlierImage?
        if let (base, extents) = told {
            let isUnfinished = keeper.unfinished(disk: disk)?.map.point == base
            do {
                earlier = try keeper.earlier(
                    disk: disk, byteCount: UInt64(image.count), since: base, extents: extents,
                    sampling: ChangeSampling(perMille: share, seed: dice.next()),
                    isShown: { session.view.shows($0, committedBy: $1) })
                if earlier != nil { tally.night.withLock { $0.ground = isUnfinished ? .unfinished : .point } }
            } catch is EarlierImageUnusable {}
        }
        var plan = BackupPlan(
            guest: guest, label: "guest", takenAt: number, host: "host", tool: "simulation", base: nil,
            workers: workers, now: { [number] in number })
        plan.point = point
        plan.pulse = VirtualClock().pulse
        plan.readBefore = keeper.readBefore
        let regions = Mutex(0)
        switch ending {
        case .commits: break
        case .stops(let count): plan.isToStop = { regions.withLock { $0 >= count } }
        case .losesStore(let calls), .isKilled(let calls): store.crash(after: calls)
        }
        let source = SimulatedImage(image, executor: executor)
        let run = try BackupRun(session, plan: plan, recorder: keeper) { progress in
            tally.night.withLock {
                ($0.read, $0.readAgain, $0.new) = (progress.read, progress.readAgain, progress.new)
            }
            regions.withLock { $0 += 1 }
        }
        let record = try await run.run([BackupDisk.image(name: disk, source: source, since: earlier)])
        tally.night.withLock { $0.point = record }
    }

    // MARK: What else happens in the repository

    /// The same host makes a point of another guest: what a run of this one left is protected no more.
    package mutating func commitAnother() async throws {
        guard let other = GuestID(bytes: dice.bytes(16)) else { preconditionFailure("16 bytes make an id") }
        number += 1
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        let state = try HostState(files: self.state, repository: owner.repository, randomness: .seeded(dice.next()))
        let session = try await WritingSession.begin(repository, state: state, randomness: .seeded(dice.next()))
        var plan = BackupPlan(
            guest: other, label: "other", takenAt: number, host: "host", tool: "simulation", base: nil, workers: 1,
            now: { [number] in number })
        plan.pulse = VirtualClock().pulse
        _ = try await BackupRun(session, plan: plan).run([
            BackupDisk.image(name: "disk", source: SimulatedImage(dice.bytes(5_000)))
        ])
    }

    /// Forgets points of the guest, and sweeps until nothing is left to do.
    package mutating func sweep(forgetting points: [PointID] = []) async throws {
        if !points.isEmpty {
            let repository = try await OpenRepository.open(store: store, key: .credential(owner))
            _ = try await MaintenanceSession(repository, randomness: .seeded(dice.next())).forget(
                points, at: number, reason: "simulated")
        }
        var memory = Sweep.Memory()
        for _ in 0..<5 {
            var settings = Sweep.Settings(now: number)
            settings.patience = 0
            let repository = try await OpenRepository.open(store: store, key: .credential(owner))
            _ = try await Sweep.run(
                repository, store: store, state: nil, memory: &memory, settings: settings,
                randomness: .seeded(dice.next()))
        }
    }

    /// Points of the guest that the repository shows, oldest first.
    package func points() async throws -> [RestorePointRecord] {
        let repository = try await OpenRepository.open(store: store, key: .credential(owner))
        return try await repository.view().points.map(\.record).filter { $0.guest == guest }
            .sorted { $0.takenAt < $1.takenAt }
    }

    /// What a restore of a point gives.
    package func restored(_ point: RestorePointRecord) async throws -> [UInt8] {
        let repository = try await OpenRepository.open(store: store, key: .credential(owner))
        let reader = try await RepositoryReader(repository, view: try await repository.view())
        return try await RestoredImage.bytes(of: point.images[0], reader: reader)
    }
}
