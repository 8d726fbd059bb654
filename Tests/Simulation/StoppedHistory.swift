import BackupModel
import RepositoryFormat
import TestKit

// Nights that are stopped
// -----------------------
// A guest changes at random places. Some nights its backup is done, others it is stopped, loses the store or is killed
// at any step, several times in a row; lists of changes are lost, lie or are broken; the host loses its maps; the
// repository is swept between. Whatever happened: each point is the disk as it was at that point's instant, and has the
// map that a whole read of it has.

/// A seeded history of runs that are stopped and gone on with.
package struct StoppedHistory {
    /// How a history came out.
    package struct Report: Sendable {
        /// What is wrong; `nil` when nothing is.
        package var complaint: String?
        /// Points that were compared.
        package var points = 0
        /// Runs that made none.
        package var stopped = 0
        package var killed = 0
        package var failed = 0
        /// Points made of a run that was stopped.
        package var resumed = 0
        /// Of them those behind which chunks were swept away.
        package var resumedAfterSweep = 0
        /// Most runs in a row that made no point and were gone on with.
        package var longestRow = 0
        package var lies = 0
        package var lostLists = 0
        package var lostMaps = 0
        package var shrunk = 0
        /// Most lists of changes that were there at once behind a run.
        package var mostLists = 0
        /// Bytes read for points made of stopped runs, and the bytes of their disks.
        package var readResumed: UInt64 = 0
        package var wholeResumed: UInt64 = 0

        /// Of nothing played, or of what cannot be.
        package init(complaint: String? = nil) { self.complaint = complaint }
    }

    private var guest: StoppableGuest
    /// The same disk, read whole into a repository of its own with the same keys.
    private var mirror: StoppableGuest
    private var dice: Dice
    private var report = Report()
    private var row = 0
    private var wasSwept = false

    /// Plays the history of one seed.
    package static func play(seed: UInt64, template: RepositoryTemplate) async -> Report {
        let executor = SeededExecutor(seed: seed ^ 0x5EED)
        return await executor.run {
            do {
                var history = try await StoppedHistory(seed: seed, template: template, executor: executor)
                do { try await history.play() } catch { history.report.complaint = "a run failed: \(error)" }
                history.guest.remove()
                history.mirror.remove()
                return history.report
            } catch { return Report(complaint: "\(error)") }
        }
    }

    private init(seed: UInt64, template: RepositoryTemplate, executor: SeededExecutor) async throws {
        dice = Dice(seed: seed)
        var disk = [UInt8](
            repeating: 0, count: Int(20 + dice.roll(below: 100)) * 4096 + Int(dice.roll(below: 2)) * 1_717)
        for page in 0..<disk.count / 4096 where dice.roll(below: 4) > 0 {
            var words = Dice(seed: dice.roll(below: 1_000))
            disk.replaceSubrange(page * 4096..<page * 4096 + 4096, with: words.bytes(4096))
        }
        guest = try await StoppableGuest(disk, template: template, seed: dice.next(), executor: executor)
        mirror = try await StoppableGuest(disk, template: template, seed: dice.next(), executor: executor)
        guest.workers = 1 + Int(dice.roll(below: 3))
        guest.interval = dice.roll(below: 2) == 0 ? 0 : .max / 2
        guest.fullReadEvery = dice.roll(below: 3) == 0 ? 3 : 0
    }

    private mutating func play() async throws {
        for _ in 0..<9 where report.complaint == nil {
            for _ in 0..<dice.roll(below: 4) { StoppedHistory.write(&guest, &dice) }
            try await disturb()
            try await night(ending())
        }
        if report.complaint == nil { try await night(.commits) }
        for point in try await guest.points() where report.complaint == nil { try await compare(point) }
    }

    private mutating func ending() -> StoppableGuest.Ending {
        let regions = UInt64(guest.disk.count / 65_536 + 2)
        return switch dice.roll(below: 10) {
        case 0, 1, 2: .commits
        case 3, 4, 5, 6: .stops(after: Int(dice.roll(below: regions)))
        case 7: .losesStore(after: Int(dice.roll(below: 120)))
        default: .isKilled(after: Int(dice.roll(below: 120)))
        }
    }

    private mutating func night(_ ending: StoppableGuest.Ending) async throws {
        var ending = ending
        var share = [0, 0, 300][Int(dice.roll(below: 3))]
        if dice.roll(below: 8) == 0, lie() {
            // Uncaught it would be the list's fault, so everything is looked at, to the end.
            (ending, share) = (.commits, 1000)
            report.lies += 1
        }
        let before = guest
        let seed = dice.next()
        let night = try await guest.night(ending, share: share) { guest in
            var dice = Dice(seed: seed)
            for _ in 0..<dice.roll(below: 3) { StoppedHistory.write(&guest, &dice) }
        }
        report.mostLists = max(report.mostLists, guest.lists.count)
        guard let point = night.point else {
            switch ending {
            case .commits: report.complaint = "a run that nobody stopped failed: \(night.failure)"
            case .stops: report.stopped += 1
            case .losesStore: report.failed += 1
            case .isKilled: report.killed += 1
            }
            row = night.ground == .unfinished ? row + 1 : 1
            report.longestRow = max(report.longestRow, row)
            return
        }
        if night.ground == .unfinished {
            report.resumed += 1
            if wasSwept { report.resumedAfterSweep += 1 }
            report.readResumed += point.volume.read
            report.wholeResumed += UInt64(before.disk.count)
        }
        (row, wasSwept) = (0, false)
        try await compare(point)
        mirror.resize(to: 0)
        mirror.resize(to: before.disk.count)
        mirror.write(before.disk, at: 0)
        try mirror.loseMaps()
        let whole = try await mirror.night(.commits)
        guard whole.point?.images[0].root == point.images[0].root else {
            report.complaint = "point \(point.takenAt) has another map than a whole read, on \(night.ground)"
            return
        }
    }

    private mutating func compare(_ point: RestorePointRecord) async throws {
        report.points += 1
        guard try await guest.restored(point) == guest.instants[point.identifier] else {
            report.complaint = "point \(point.takenAt) is not the disk of its instant"
            return
        }
    }

    /// Writes data, zeros, or what was there already.
    private static func write(_ guest: inout StoppableGuest, _ dice: inout Dice) {
        let longest: UInt64 = [600, 5_000, 20_000, 90_000][Int(dice.roll(below: 4))]
        guard !guest.disk.isEmpty else { return }
        let start = Int(dice.roll(below: UInt64(guest.disk.count)))
        let end = min(guest.disk.count, start + 1 + Int(dice.roll(below: longest)))
        let kind = dice.roll(below: 4)
        if kind == 0 {
            guest.write([UInt8](repeating: 0, count: end - start), at: start)
        } else if kind < 3 {
            var words = Dice(seed: dice.roll(below: 40))
            guest.write(words.bytes(end - start), at: start)
        } else {
            guest.write(Array(guest.disk[start..<end]), at: start)
        }
    }

    /// What goes wrong between two nights.
    private mutating func disturb() async throws {
        switch dice.roll(below: 14) {
        case 0:
            if let name = guest.lists.keys.sorted().first {
                guest.lists[name] = nil
                report.lostLists += 1
            }
        case 1:
            if let name = guest.lists.keys.sorted().last {
                guest.broken.insert(name)
                report.lostLists += 1
            }
        case 2:
            try guest.loseMaps()
            report.lostMaps += 1
        case 3:
            // Less, and as much again: no list hears of it, and what is there now is a hole.
            let size = guest.disk.count
            guest.resize(to: Int(dice.roll(below: UInt64(size + 1))) / 4096 * 4096)
            guest.resize(to: size)
            report.shrunk += 1
        case 4: guest.resize(to: Int(20 + dice.roll(below: 100)) * 4096)
        case 5: guest.identity += "'"
        case 6, 7:
            try await guest.commitAnother()
            try await guest.sweep()
            wasSwept = true
        case 8:
            // Also the point that lists began at.
            try await guest.sweep(forgetting: try await guest.points().map(\.identifier))
            wasSwept = true
        default: break
        }
    }

    /// Leaves something out of the lists of changes. - Returns: whether there was anything.
    private mutating func lie() -> Bool {
        guard !guest.disk.isEmpty, !guest.lists.isEmpty else { return false }
        let start = Int(dice.roll(below: UInt64(guest.disk.count)))
        let lists = guest.lists
        guest.write(dice.bytes(min(9_000, guest.disk.count - start)), at: start)
        guest.lists = lists
        return true
    }
}
