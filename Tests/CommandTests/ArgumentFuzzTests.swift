import BackupModel
import Commands
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Whatever stands on the command line is understood or refused with status 1, 2 or 7, and never traps.
@Suite("seeded mutations of arguments")
struct ArgumentFuzzTests {
    private static func fault(_ body: () throws -> String?) throws -> String? {
        do {
            return try body()
        } catch let failure as CommandFailure {
            guard [.failed, .usage, .refused].contains(failure.status) else { return "status \(failure.status)" }
            return failure.sentence.isEmpty ? "refused without a sentence" : nil
        }
    }

    @Test("times")
    func times() {
        let texts = [
            "2026-11-24", "2026-11-24T23:59:30Z", "2026-11-24 23:59+09:00", "2026-11-24T23:59:30.123456789Z",
            "9999-12-31", "1970-01-01T00:00Z",
        ]
        Mutator.run("times", texts.map { Array($0.utf8) }, refusedBy: CommandFailure.self) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let time = TimeText.parse(text) else { return nil }
            // Nothing but digits, signs and the two letters spells a time.
            let isPlain = text.utf8.allSatisfy { "0123456789-+:. TZ".utf8.contains($0) }
            return isPlain || time == TimeText.parse(text) ? nil : "two times for one text"
        }
    }

    @Test("points")
    func points() {
        let points =
            [1, 2, 3].map { Self.point($0, label: "web") } + [Self.point(4, label: "a@b")]
            + [Self.point(5, label: "業務サーバ01")]
        let ids = points.map { $0.record.identifier.hexadecimal }
        let texts = [
            ids[0], String(ids[1].prefix(8)), "web@latest", "a@b@latest", "web@2026-11-24", "web@9999-12-31T23:59Z",
            "業務サーバ01@1970-01-01T00:00:00.000000003Z", ids[3].uppercased(),
        ]
        Mutator.run("points", texts.map { Array($0.utf8) }, refusedBy: CommandFailure.self) { bytes in
            try Self.fault {
                let found = try PointArgument.find(String(decoding: bytes, as: UTF8.self), among: points)
                return points.contains(found) ? nil : "a point from nowhere"
            }
        }
    }

    private static func point(_ number: UInt8, label: String) -> RestorePoint {
        func identifier<Subject>(_ first: UInt8) -> Identifier<Subject> {
            Identifier<Subject>(bytes: [first] + [UInt8](repeating: number, count: 15))!
        }
        let record = RestorePointRecord(
            identifier: identifier(0xAB), guest: identifier(UInt8(label.utf8.count)), label: label,
            takenAt: UInt64(number) << 60, consistency: "crash", trust: "scanned", host: "host", tool: "test",
            images: [], base: nil, startedAt: 0, endedAt: 0, volume: RestorePointRecord.Volume())
        return RestorePoint(
            record: record, writer: identifier(1), session: identifier(2), entry: 0,
            slot: SlotNumber(incarnation: 0, epoch: 0, number: UInt32(number)))
    }

    @Test("disks")
    func disks() {
        let texts = [
            "vda=/images/a.raw", "../evil=x\nb=-\n/images/b.tar.gz", "-\nd=/dev/vg/db01", "a=b=c\n.hidden\n//", "=",
            "web.ova\nx=one.ova\nb.ova",
        ]
        Mutator.run("disks", texts.map { Array($0.utf8) }, refusedBy: CommandFailure.self) { bytes in
            try Self.fault {
                let words = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
                var more = 0
                let disks = try DiskArgument.parse(
                    images: words.filter { !$0.contains("=") }, disks: words.filter { $0.contains("=") }
                ) { path in
                    guard path.hasSuffix(".ova"), !path.contains("/") else { return nil }
                    more += path.utf8.count % 3 - 1
                    return (0..<path.utf8.count % 3).map { "\(path)\($0).raw" }
                }
                guard disks.count == words.count + more, Set(disks.map(\.name)).count == disks.count else {
                    return "a disk was lost or is there twice"
                }
                let areNamed = disks.allSatisfy { (1...255).contains($0.name.utf8.count) && !$0.path.isEmpty }
                return areNamed ? nil : "a disk without a name or a path"
            }
        }
    }
}
