import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

@Suite("index runs are merged, and nothing is lost by it (format page §9)")
struct IndexMergeTests {
    @Test("what is merged: enough groups of one size, smallest first, never more than the limit")
    func choice() {
        let width = IndexMerge.width
        #expect(IndexMerge.choice([Int](repeating: 10, count: width - 1), width: width).isEmpty)
        #expect(IndexMerge.choice([Int](repeating: 10, count: width), width: width) == Array(0..<width))
        #expect(IndexMerge.choice([Int](repeating: 10, count: width), width: width + 1).isEmpty)
        // A large one among small ones stays as it is.
        let mixed = [10, 1_000_000] + [Int](repeating: 10, count: width - 1)
        #expect(IndexMerge.choice(mixed, width: width) == [0] + Array(2...width))
        // Too large together: as many as fit.
        let large = [Int](repeating: IndexMerge.entryLimit / 3, count: width)
        #expect(IndexMerge.choice(large, width: width) == [0, 1, 2])
        #expect(IndexMerge.choice([Int](repeating: IndexMerge.entryLimit, count: 100), width: width).isEmpty)
        #expect(IndexMerge.choice([], width: width).isEmpty)
    }

    @Test("however many backups there were, few groups are left, and each entry is rewritten a few times only")
    func bounded() {
        var dice = Dice(seed: 7)
        var groups: [Int] = []
        var (added, rewritten) = (0, 0)
        for _ in 0..<20_000 {
            let size = 1 + Int(dice.roll(below: 20_000))
            groups.append(size)
            added += size
            let chosen = IndexMerge.choice(
                groups, width: IndexMerge.width + Int(dice.roll(below: UInt64(IndexMerge.width))))
            guard !chosen.isEmpty else { continue }
            let sum = chosen.reduce(0) { $0 + groups[$1] }
            rewritten += sum
            for position in chosen.reversed() { groups.remove(at: position) }
            groups.append(sum)
            #expect(sum <= IndexMerge.entryLimit)
        }
        // 100 million entries and more: what cannot be merged any further, and up to 8 of each smaller size.
        #expect(groups.reduce(0, +) == added && added > 190_000_000)
        #expect(groups.count <= 2 * added / IndexMerge.entryLimit + 8 * 6, "\(groups.count) groups")
        #expect(rewritten <= 6 * added, "\(rewritten) of \(added)")
    }

    @Test("many backups: every blob is found, with the merged runs and without those that were merged")
    func many() async throws {
        let writer = try await IndexWriter()
        for backup in 0..<40 { _ = try await writer.add(backup * 100..<(backup + 1) * 100) }
        let index = try await writer.index()
        #expect(index.groupEntryCounts.count <= 2 * IndexMerge.width, "\(index.groupEntryCounts)")
        #expect(index.groupEntryCounts.reduce(0, +) == 4_000)
        #expect(index.notes.isEmpty, "\(index.notes)")
        for number in 0..<4_000 { #expect(try await index.contains(IndexWriter.identifier(number))) }
        for number in 4_000..<5_000 { #expect(try await !index.contains(IndexWriter.identifier(number))) }
        let all = try await writer.runs()
        #expect(all.count > 40)
        // As after a sweep: only what is asked is there.
        let asked = Set(index.askedRuns)
        for name in all where !asked.contains(name.text) { try await writer.store.delete(name) }
        let swept = try await writer.index()
        #expect(swept.notes.isEmpty && swept.groupEntryCounts == index.groupEntryCounts)
        for number in 0..<4_000 { #expect(try await swept.places(of: IndexWriter.identifier(number)).count == 1) }
    }

    @Test("a merge of parts: looked up, and read from the merged runs when a part is lost or damaged")
    func parts() async throws {
        let writer = try await IndexWriter()
        let share = 70_000
        var sessions = 0
        repeat {
            _ = try await writer.add(sessions * share..<(sessions + 1) * share, packs: 10)
            sessions += 1
            try #require(sessions < 20)
        } while try await writer.index().groupEntryCounts.count == sessions
        // All but the last, which came after the merge.
        let total = (sessions - 1) * share
        let index = try await writer.index()
        #expect(total > IndexMerge.partEntryCount && index.groupEntryCounts == [total, share])
        let parts = index.askedRuns.dropLast()
        #expect(parts.count == 1 + (total - 1) / IndexMerge.partEntryCount)
        var dice = Dice(seed: 5)
        let sample = (0..<500).map { _ in Int(dice.roll(below: UInt64(total))) }
        for number in sample {
            #expect(try await index.places(of: IndexWriter.identifier(number)).count == 1)
            #expect(try await !index.contains(IndexWriter.identifier(number + total + share)))
        }
        for part in parts {
            let name = try #require(ObjectName(part))
            let bytes = try #require(try await writer.store.get(name))
            try await writer.store.delete(name)
            let without = try await writer.index()
            #expect(!without.notes.isEmpty)
            for number in sample { #expect(try await without.contains(IndexWriter.identifier(number))) }
            var damaged = bytes
            for place in stride(from: 200, to: bytes.count / 2, by: 1_000) { damaged[place] ^= 1 }
            _ = try await writer.store.putIfAbsent(name, damaged)
            let wounded = try await writer.index()
            // The packs are not real, so what the damaged blocks held comes from the runs that were merged.
            for number in sample { #expect(try await wounded.places(of: IndexWriter.identifier(number)).count == 1) }
            #expect(!wounded.notes.isEmpty)
            try await writer.store.delete(name)
            _ = try await writer.store.putIfAbsent(name, bytes)
        }
    }

    @Test("a merge that leaves nearly everything out costs dedup, and no restore (threat model, stolen writer)")
    func leavingOut() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[0].copy()
        let repository = try await OpenRepository.open(store: store, key: .credential(host.credential))
        let state = try HostState(
            files: host.disk, repository: sample.owner.repository, randomness: Randomness.seeded(1))
        let session = try await WritingSession.begin(repository, state: state, randomness: .seeded(2))
        let signer = try #require(host.credential.signingKey)
        let pack = try #require(session.view.packs.first?.key)
        let keys = session.keys
        let run = IndexRunBuilder.run(
            entries: [IndexEntry(identifier: IndexWriter.identifier(1), pack: 0, ordinal: 0)], packs: [pack],
            merged: session.view.runs.map(\.key.hash), repository: keys.repository, domain: 0,
            keyEpoch: keys.domain.epoch, indexKey: try keys.indexKey(), signer: signer,
            randomness: [UInt8](repeating: 3, count: 32))
        let key = ObjectKey(hash: run.hash, generation: 0)
        var inventory = Inventory()
        inventory.runs = [Inventory.Run(key: key, byteCount: UInt64(run.bytes.count))]
        let entry = try SessionEntry.compose(
            SessionEntry.Draft(
                writer: session.writer, session: session.session, number: 0, previous: session.slot.hash,
                slot: session.slot.slot, action: .checkpoint, heads: repository.heads(session.view),
                inventory: inventory, records: []), recipient: try keys.recipient(.structure), signer: signer,
            randomness: .seeded(4))
        let place = ObjectPaths.sessionEntry(writer: session.writer, session: session.session, number: 0)
        for (name, bytes) in [(key.runName, run.bytes), (place, entry.bytes)] {
            _ = try await store.putIfAbsent(try #require(ObjectName(name)), bytes)
        }
        let owner = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let reader = try await RepositoryReader(owner, view: owner.view())
        #expect(reader.index.askedRuns == [key.runName])
        for point in reader.view.points {
            let disks = try #require(sample.disks[point.record.identifier])
            for (disk, image) in zip(disks, point.record.images) {
                #expect(try await RestoredImage.bytes(of: image, reader: reader) == disk)
            }
        }
        let last = try #require(sample.points.last)
        let other = sample.hosts[1].copy()
        try await other.backUp(
            try #require(sample.disks[last]), to: store, at: 10, randomness: .seeded(5))
    }

    @Test("a merge that there is no room for fails no backup")
    func noRoom() async throws {
        let writer = try await IndexWriter()
        // A run of 100 entries has 4.4 KB, a merge of four 16.
        let full = NoRoomForMerges(writer.store, limit: 8_000)
        for backup in 0..<10 { _ = try await writer.add(backup * 100..<(backup + 1) * 100, through: full) }
        let index = try await writer.index()
        #expect(full.refusals > 0 && index.groupEntryCounts.count == 10)
        for number in 0..<1_000 { #expect(try await index.contains(IndexWriter.identifier(number))) }
    }

    /// So many groups that the next session merges, whatever its name.
    private static func withMergeDue() async throws -> (writer: IndexWriter, groupCount: Int) {
        let writer = try await IndexWriter()
        let full = NoRoomForMerges(writer.store, limit: 8_000)
        let count = 2 * IndexMerge.width
        for backup in 0..<count { _ = try await writer.add(backup * 100..<(backup + 1) * 100, through: full) }
        try #require(try await writer.index().groupEntryCounts.count == count)
        return (writer, count)
    }

    @Test("a session that was cancelled merges nothing, and what it says last is said all the same")
    func cancelledBefore() async throws {
        let (writer, count) = try await Self.withMergeDue()
        let before = Set(try await writer.runs())
        let reads = CountingStore(writer.store)
        let session = try await writer.begin(through: reads)
        let readsToBegin = reads.reads
        let task = Task {
            // Safety: the task is used during the call only.
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            try await writer.add(count * 100..<(count + 1) * 100, in: session)
        }
        try await task.value
        #expect(reads.reads == readsToBegin, "runs were read though nobody waits for a merge")
        // Its own run alone, and the entry that names it.
        #expect(Set(try await writer.runs()).subtracting(before).count == 1)
        let index = try await writer.index()
        #expect(index.groupEntryCounts.count == count + 1)
        for number in 0..<(count + 1) * 100 { #expect(try await index.contains(IndexWriter.identifier(number))) }
        // The same, not cancelled, merges: that is what was left out.
        _ = try await writer.add((count + 1) * 100..<(count + 2) * 100)
        #expect(try await writer.index().groupEntryCounts.count < count)
    }

    @Test("a session that is cancelled while it merges ends there, names nothing of it, and the next one merges")
    func cancelledMeanwhile() async throws {
        let (writer, count) = try await Self.withMergeDue()
        let store = CancellingStore(writer.store)
        let session = try await writer.begin(through: store)
        store.arm()
        let task = Task { try await writer.add(count * 100..<(count + 1) * 100, in: session) }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(store.cancelled == 1)
        #expect(try await writer.index().groupEntryCounts.count == count)
        _ = try await writer.add((count + 1) * 100..<(count + 2) * 100)
        let index = try await writer.index()
        #expect(index.groupEntryCounts.count < count && index.notes.isEmpty, "\(index.notes)")
        for number in 0..<count * 100 { #expect(try await index.contains(IndexWriter.identifier(number))) }
    }

    @Test("a session forgets what it claimed once the index shows it")
    func claims() async throws {
        let writer = try await IndexWriter()
        let session = try await writer.add(0..<10)
        #expect(try await session.claim(IndexWriter.identifier(11)))
        #expect(try await !session.claim(IndexWriter.identifier(11)), "another worker has it")
        for number in 0..<10 { #expect(try await !session.claim(IndexWriter.identifier(number))) }
        #expect(session.claimCount == 1)
    }
}
