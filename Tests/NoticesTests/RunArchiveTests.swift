import Effects
import Foundation
import Notices
import TestKit
import Testing

@Suite("the records of runs that a host keeps")
struct RunArchiveTests {
    /// A folder that goes with the test.
    private final class Folder {
        let path = FileManager.default.temporaryDirectory.path + "/dozo-runs-\(UUID().uuidString)/agent/runs"
        deinit {
            try? FileManager.default.removeItem(atPath: String(path.dropLast("/agent/runs".count)))
        }

        func file(of instant: UInt64) -> String { "\(path)/\(CivilTime(instant).date).jsonl" }

        func append(_ text: String, to file: String) throws {
            let handle = try #require(FileHandle(forWritingAtPath: file))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data(text.utf8))
            try handle.close()
        }
    }

    private static func record(
        _ run: String, _ guest: String = "web01", policy: String? = "nightly", began: UInt64, took: UInt64? = 60,
        _ outcome: RunRecord.Outcome = .complete, stored: UInt64 = 0, point: String? = "p"
    ) -> RunRecord {
        RunRecord(
            run: run, subject: NoticeSubject(guest: guest, repository: "main", policy: policy), policyRevision: "1",
            startedBy: "schedule", began: began, ended: took.map { began + $0 * Sample.second }, outcome: outcome,
            point: point, sizes: RunRecord.Sizes(read: 1, changed: 1, new: 1, stored: stored))
    }

    @Test("a run is kept when it begins and finished later; the last word counts")
    func finishing() throws {
        let folder = Folder()
        let archive = RunArchive(folder: folder.path)
        #expect(try archive.records(in: 0..<UInt64.max) == RunArchive.Found())
        let began = Sample.start + 22 * Sample.hour
        // Over midnight: both lines belong to the day it began.
        try archive.keep(Self.record("r1", began: began, took: nil, .running, point: nil), at: began)
        let running = try archive.records(in: began..<began + 1)
        #expect(running.records.map(\.outcome) == [.running] && running.damagedLines == 0)
        let ended = Self.record("r1", began: began, took: 3 * 3600)
        try archive.keep(ended, at: began + 3 * Sample.hour)
        #expect(try archive.records(in: began..<began + 1).records == [ended])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2)
        let facts = try FileManager.default.attributesOfItem(atPath: folder.file(of: began))
        #expect(facts[.posixPermissions] as? Int == 0o600)
    }

    @Test("a range of time has the runs that were under way in it, by their beginning")
    func range() throws {
        let folder = Folder()
        let archive = RunArchive(folder: folder.path)
        let night = Sample.start + 22 * Sample.hour..<Sample.start + 30 * Sample.hour
        let cases: [(String, UInt64, UInt64?, RunRecord.Outcome, Bool)] = [
            ("before", night.lowerBound - 2 * Sample.hour, 60, .complete, false),
            ("into", night.lowerBound - Sample.hour, 2 * 3600, .complete, true),
            ("first", night.lowerBound, 0, .skipped("off"), true),
            ("last", night.upperBound - 1, 60, .complete, true), ("after", night.upperBound, 60, .complete, false),
            ("goes on", night.lowerBound - 30 * Sample.hour, nil, .running, true),
            // Went down with its host: it went on for no time that anybody knows of.
            ("no end", night.lowerBound - 30 * Sample.hour, nil, .failed("gone"), false),
        ]
        for (name, began, took, outcome, _) in cases {
            try archive.keep(Self.record(name, began: began, took: took, outcome), at: night.upperBound)
        }
        let found = try archive.records(in: night).records.map(\.run)
        #expect(Set(found) == Set(cases.filter(\.4).map(\.0)))
        #expect(found == ["goes on", "into", "first", "last"])
        #expect(try archive.records(in: night.lowerBound..<night.lowerBound).records.isEmpty)
    }

    @Test("a line that a crash has torn costs itself alone, wherever it was cut")
    func torn() throws {
        let folder = Folder()
        let archive = RunArchive(folder: folder.path)
        let first = Self.record("r1", began: Sample.start)
        let line = first.document.encoded
        for cut in stride(from: 1, to: line.count, by: 7) {
            try? FileManager.default.removeItem(atPath: folder.file(of: Sample.start))
            try archive.keep(first, at: Sample.start)
            try folder.append(String(decoding: line.prefix(cut), as: UTF8.self), to: folder.file(of: Sample.start))
            #expect(try archive.records(in: 0..<UInt64.max) == found([first], damaged: 1))
            let next = Self.record("r2", began: Sample.start + 1)
            try archive.keep(next, at: Sample.start)
            #expect(try archive.records(in: 0..<UInt64.max) == found([first, next], damaged: 1))
        }
    }

    private func found(_ records: [RunRecord], damaged: Int) -> RunArchive.Found {
        var found = RunArchive.Found()
        (found.records, found.damagedLines) = (records, damaged)
        return found
    }

    @Test("several append at once and none loses a line")
    func together() async throws {
        let folder = Folder()
        let (writers, each) = (8, 20)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                let archive = RunArchive(folder: folder.path)
                group.addTask {
                    for number in 0..<each {
                        try archive.keep(
                            Self.record("\(writer)-\(number)", began: Sample.start + UInt64(number)), at: Sample.start)
                    }
                }
            }
            try await group.waitForAll()
        }
        let all = try RunArchive(folder: folder.path).records(in: 0..<UInt64.max)
        #expect(Set(all.records.map(\.run)).count == writers * each && all.damagedLines == 0)
    }

    @Test("what is older than 400 days goes, and a day less stays")
    func age() throws {
        let folder = Folder()
        let archive = RunArchive(folder: folder.path)
        let now = Sample.start + 500 * Sample.day
        for age in [401, 400, 399, 0] as [UInt64] {
            let began = now - age * Sample.day
            try archive.keep(Self.record("\(age)", began: began), at: began)
        }
        #expect(try archive.records(in: 0..<UInt64.max).records.map(\.run) == ["400", "399", "0"])
    }

    @Test("beyond its bound of size whole days go, the oldest first; a day too large keeps the last word of each run")
    func size() throws {
        let folder = Folder()
        // Each line of the first part is as long.
        let line = Self.record("0-10", began: Sample.start).document.encoded.count + 1
        let archive = RunArchive(
            folder: folder.path, bounds: DayLog.Bounds(total: UInt64(line * 100), day: UInt64(line * 50)))
        for day in 0..<10 as Range<UInt64> {
            for number in 10..<30 {
                try archive.keep(
                    Self.record("\(day)-\(number)", began: Sample.start + day * Sample.day), at: Sample.start)
            }
        }
        let kept = try archive.records(in: 0..<UInt64.max).records
        #expect(Set(kept.map { $0.run.prefix(1) }).sorted() == ["5", "6", "7", "8", "9"])
        #expect(kept.count == 100)

        let busy = Sample.start + 20 * Sample.day
        for number in 0..<30 {
            try archive.keep(Self.record("a", began: busy, took: UInt64(number)), at: busy)
            try archive.keep(Self.record("b", began: busy + 1, took: UInt64(number)), at: busy)
        }
        var last = try archive.records(in: busy..<busy + 2).records
        #expect(last.map(\.seconds) == [29, 29])
        for number in 0..<200 { try archive.keep(Self.record("c\(number)", began: busy + 2), at: busy) }
        last = try archive.records(in: busy..<busy + 3).records
        #expect((20...52).contains(last.count) && last.last?.run == "c199")
        let size = try FileManager.default.attributesOfItem(atPath: folder.file(of: busy))[.size] as? Int
        #expect((size ?? .max) <= line * 50)
    }

    @Test("the newest of each subject, and the last whole runs of a guest under a policy, oldest first")
    func newest() throws {
        let folder = Folder()
        let archive = RunArchive(folder: folder.path)
        for day in 0..<30 as Range<UInt64> {
            let began = Sample.start + day * Sample.day
            let outcome: RunRecord.Outcome = day % 7 == 3 ? .failed("no") : day % 7 == 4 ? .stopped("end") : .complete
            try archive.keep(
                Self.record("w\(day)", began: began, took: 100 + day, outcome, stored: day, point: "p\(day)"),
                at: began)
            if day < 20 {
                try archive.keep(Self.record("h\(day)", "db01", policy: "hourly", began: began), at: began)
            }
            try archive.keep(Self.record("x\(day)", policy: "weekly", began: began, took: 9), at: began)
        }
        let web = NoticeSubject(guest: "web01", repository: "main", policy: "nightly")
        let database = NoticeSubject(guest: "db01", repository: "main", policy: "hourly", object: "any")
        let newest = try archive.newest(of: [web, database])
        #expect(newest[web]?.run == "w29" && newest.count == 2)
        #expect(try archive.newest().values.map(\.run).sorted() == ["h19", "w29", "x29"])
        #expect(try archive.newest(of: []).isEmpty)
        // Days 24 and 25 have none.
        #expect(try archive.newest { $0.hasPoint && $0.began < Sample.start + 26 * Sample.day }[web]?.run == "w23")
        let history = try archive.history(guest: "web01", policy: "nightly", last: 4)
        #expect(history.map(\.seconds) == [126, 127, 128, 129] && history.map(\.sizes.stored) == [26, 27, 28, 29])
        #expect(try archive.history(guest: "web01", policy: "nightly", last: 100).count == 22)
        #expect(try archive.history(guest: "nobody", policy: "nightly", last: 4).isEmpty)
        #expect(try archive.history(guest: "web01", policy: nil, last: 4).isEmpty)
    }
}
