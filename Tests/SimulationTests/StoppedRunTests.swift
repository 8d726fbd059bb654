import Simulation
import TestKit
import Testing

@Suite("what a stopped run costs, by counts")
struct StoppedRunTests {
    /// Sizes of the repository that tests share.
    private static let region = 64 << 10
    private static let pack = 24 << 10
    private static let largestChunk = 16 << 10

    private func guest(regions: Int, seed: UInt64, workers: Int) async throws -> StoppableGuest {
        var dice = Dice(seed: seed)
        var guest = try await StoppableGuest(
            dice.bytes(regions * Self.region), template: try await RepositoryTemplate.made(), seed: seed)
        guest.workers = workers
        guest.interval = .max / 2
        return guest
    }

    @Test("with a list of changes no more is read again than is dirty and one region a worker", arguments: [1, 2, 3])
    func resumed(workers: Int) async throws {
        var guest = try await guest(regions: 20, seed: UInt64(workers), workers: workers)
        defer { guest.remove() }
        let first = try await guest.night(.stops(after: 10))
        #expect(first.point == nil && first.isKept && first.read >= 10 * UInt64(Self.region))
        var dice = Dice(seed: 9)
        let dirty = [1, 4, 8, 15].map { $0 * Self.region + 4096 * 3 }
        for place in dirty { guest.write(dice.bytes(4096), at: place) }
        let second = try await guest.night(.commits)
        #expect(second.ground == .unfinished)
        // A dirty page is cut anew with the chunk that it lies in, and those that a new boundary touches.
        let widened = UInt64(3 * 3 * Self.largestChunk)
        #expect(second.readAgain >= 3 * 4096)
        #expect(second.readAgain <= UInt64(workers * Self.region) + widened)
        #expect(second.read <= 20 * UInt64(Self.region) - first.read + second.readAgain)
        let point = try #require(second.point)
        #expect(try await guest.restored(point) == guest.disk)
        #expect(guest.lists.count == 1)
    }

    @Test("without a list everything is read again, and said; nothing that was stored is stored again")
    func withoutList() async throws {
        var guest = try await guest(regions: 20, seed: 5, workers: 2)
        defer { guest.remove() }
        let first = try await guest.night(.stops(after: 10))
        guest.lists = [:]
        let second = try await guest.night(.commits)
        #expect(second.ground == .nothing)
        #expect(second.readAgain >= first.read && second.read == UInt64(guest.disk.count))
        #expect(second.new <= UInt64(guest.disk.count) - first.new)
        let point = try #require(second.point)
        #expect(try await guest.restored(point) == guest.disk)
    }

    @Test("killed, it has stored in vain one pack a worker at most, and two of its own", arguments: [1, 2, 3])
    func killed(workers: Int) async throws {
        var guest = try await guest(regions: 20, seed: 30 + UInt64(workers), workers: workers)
        defer { guest.remove() }
        let first = try await guest.night(.isKilled(after: 60))
        #expect(first.point == nil && first.new > 0)
        let second = try await guest.night(.commits)
        // What the killed run had stored of chunks, and the next does not find: packs that were being filled.
        let sum = first.new + second.new
        let disk = UInt64(guest.disk.count)
        #expect(sum <= disk + UInt64((workers + 1) * (Self.pack + Self.region)), "\(sum) of \(disk)")
        let point = try #require(second.point)
        #expect(try await guest.restored(point) == guest.disk)
    }

    @Test("progress that a killed run kept is gone on with")
    func killedWithProgress() async throws {
        var guest = try await guest(regions: 40, seed: 50, workers: 1)
        defer { guest.remove() }
        guest.interval = 0
        let first = try await guest.night(.isKilled(after: 90))
        let second = try await guest.night(.commits)
        #expect(second.ground == .unfinished)
        #expect(second.readAgain < first.read / 2)
        let point = try #require(second.point)
        #expect(try await guest.restored(point) == guest.disk)
    }

    @Test("stopped night after night it gets done, with two lists of changes at most")
    func manyStops() async throws {
        var guest = try await guest(regions: 30, seed: 70, workers: 2)
        defer { guest.remove() }
        _ = try await guest.night(.commits)
        var dice = Dice(seed: 71)
        for region in 0..<30 { guest.write(dice.bytes(4096), at: region * Self.region) }
        var read: UInt64 = 0
        for nights in 1...3 {
            let night = try await guest.night(.stops(after: 10 * nights - 3))
            #expect(night.point == nil && night.isKept && guest.lists.count == 2)
            read += night.read
        }
        let last = try await guest.night(.commits)
        let point = try #require(last.point)
        #expect(last.ground == .unfinished && guest.lists.count == 1)
        // Each region was dirty once: what all nights read is what one night would have, and what was in work.
        #expect(read + last.read <= UInt64(30 * 3 * Self.largestChunk + 3 * 2 * Self.region))
        #expect(try await guest.restored(point) == guest.disk)
    }

    @Test("what nobody vouches for is told when it is read again, and not built on; what was left before stays")
    func unvouched() async throws {
        var guest = try await guest(regions: 12, seed: 77, workers: 1)
        defer { guest.remove() }
        guest.isVouchedFor = false
        let first = try await guest.night(.stops(after: 4))
        #expect(!first.isKept && guest.lists.isEmpty)
        guest.isVouchedFor = true
        let second = try await guest.night(.stops(after: 6))
        #expect(second.ground == .nothing && second.isKept && second.readAgain >= first.read)
        guest.isVouchedFor = false
        let third = try await guest.night(.stops(after: 9))
        #expect(third.ground == .unfinished && !third.isKept && guest.lists.count == 1)
        let last = try await guest.night(.commits)
        #expect(last.ground == .unfinished && last.read >= 6 * UInt64(Self.region))
        #expect(last.readAgain >= third.read)
        let point = try #require(last.point)
        #expect(try await guest.restored(point) == guest.disk)
    }

    @Test("chunks that were swept away since are read and stored again")
    func swept() async throws {
        var guest = try await guest(regions: 12, seed: 80, workers: 2)
        defer { guest.remove() }
        _ = try await guest.night(.stops(after: 8))
        try await guest.commitAnother()
        try await guest.sweep()
        let second = try await guest.night(.commits)
        let point = try #require(second.point)
        #expect(second.ground == .unfinished && second.new > UInt64(8 * Self.region))
        #expect(try await guest.restored(point) == guest.disk)
    }

    @Test("a list that was caught lying, another image, another size: nothing is gone on with")
    func doubts() async throws {
        for doubt in 0..<3 {
            var guest = try await guest(regions: 8, seed: 90 + UInt64(doubt), workers: 1)
            defer { guest.remove() }
            _ = try await guest.night(.stops(after: 5))
            switch doubt {
            case 0: guest.identity = "another"
            case 1: guest.resize(to: 7 * Self.region + 4096)
            default:
                // Something is written that no list hears of; looked at, it is found, and the run stopped afterwards.
                let lists = guest.lists
                guest.write([UInt8](repeating: 9, count: 4096), at: 0)
                guest.lists = lists
                let lied = try await guest.night(.stops(after: 3), share: 1000)
                #expect(lied.ground == .unfinished && lied.point == nil)
            }
            let last = try await guest.night(.commits)
            #expect(last.ground == .nothing, "doubt \(doubt)")
            let point = try #require(last.point)
            #expect(try await guest.restored(point) == guest.disk, "doubt \(doubt)")
        }
    }
}
