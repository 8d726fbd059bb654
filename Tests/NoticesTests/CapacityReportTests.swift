import Effects
import Foundation
import Notices
import TestKit
import Testing

@Suite("the capacity report")
struct CapacityReportTests {
    private static func gigabytes(_ number: Double) -> UInt64 { UInt64(number * 1e9) }

    /// The lecture's sums and free rooms; how they lie over its three servers is ours.
    private static let servers = CapacityTable([
        machine("files", disk: (300, 276), memory: (4, 1.64), cores: (4, 1.2)),
        machine("web", disk: (200, 50), memory: (2, 0.5), cores: (4, 1.1)),
        machine("tests", disk: (20, 10), memory: (1, 0.3), cores: (2, 0.5)),
    ])

    private static func machine(
        _ name: String, disk: (Double, Double), memory: (Double, Double), cores: (Double, Double)
    ) -> CapacityTable.Machine {
        CapacityTable.Machine(
            name: name, place: "lecture", state: "running",
            disk: CapacityTable.Amount(total: gigabytes(disk.0), used: gigabytes(disk.1)),
            memory: CapacityTable.Amount(total: gigabytes(memory.0), used: gigabytes(memory.1)),
            processors: CapacityTable.Amount(total: UInt64(cores.0 * 1000), used: UInt64(cores.1 * 1000)))
    }

    @Test("the lecture's table comes out to the letter (S45)")
    func lecture() {
        #expect(
            Self.servers.headline
                == "total 520 GB, used 336 GB (64.6 %), free 24/150/10 GB; RAM 2.44 of 7 GB (34.9 %); "
                + "CPU 2.8 of 10 cores (28 %)")
        let report = CapacityReport(host: "h", repositories: [], table: Self.servers, problems: [], at: Sample.start)
        #expect(
            report.text == """
                Capacity of h

                \(Self.servers.headline)
                machine  disks GB  used  free  %     RAM GB  used  %     cores  used  %     state    where
                files    300       276   24    92    4       1.64  41    4      1.2   30    running  lecture
                web      200       50    150   25    2       0.5   25    4      1.1   27.5  running  lecture
                tests    20        10    10    50    1       0.3   30    2      0.5   25    running  lecture
                total    520       336   184   64.6  7       2.44  34.9  10     2.8   28

                Made 2028-01-31 00:00 UTC.

                """)
    }

    @Test("numbers are rounded to the places that are shown; what nobody can tell is a dash and is in no sum")
    func numbers() {
        let unknown = CapacityTable([
            Self.machine("on", disk: (10.005, 3.3349), memory: (1, 0.5), cores: (3, 2)),
            CapacityTable.Machine(
                name: "off", place: "x", state: "shut off", disk: CapacityTable.Amount(total: 5_000_000_000, used: nil),
                memory: CapacityTable.Amount(total: 0, used: 0),
                processors: CapacityTable.Amount(total: 1000, used: 0)),
        ])
        #expect(
            unknown.headline
                == "total 15.01 GB, used 3.33 GB (22.2 %), free 6.67/? GB; RAM 0.5 of 1 GB (50 %); "
                + "CPU 2 of 4 cores (50 %)")
        // More is used than there is: nothing is free, and the share is told as it is.
        let over = CapacityTable([Self.machine("x", disk: (1, 2), memory: (1, 1), cores: (1, 1))])
        #expect(over.headline.hasPrefix("total 1 GB, used 2 GB (200 %), free 0 GB;"))
        let none = CapacityTable([])
        #expect(none.headline == "total 0 GB, used ? GB (–), free  GB; RAM ? of 0 GB (–); CPU – of 0 cores (–)")
        let many = CapacityTable((0..<9).map { Self.machine("m\($0)", disk: (2, 1), memory: (1, 0), cores: (1, 0)) })
        #expect(many.headline.contains("free 9 GB;"))
    }

    @Test("repositories come by when they are full; text, JSON and page say the same, and no name becomes a tag")
    func repositories() throws {
        let samples = (0..<30).map { day in
            GrowthForecast.Sample(instant: Sample.start + UInt64(day) * Sample.day, used: UInt64(100 + day) << 30)
        }
        let now = samples[29].instant
        func repository(_ name: String, free: UInt64, _ samples: [GrowthForecast.Sample]) -> CapacityReport.Repository {
            let used = samples.last?.used ?? 1 << 30
            return CapacityReport.Repository(
                name: name, location: "/srv/\(name)", size: 90 << 30, used: used, free: free,
                forecast: GrowthForecast(samples, used: used, free: free, at: now), storedPerDay: 3 << 30)
        }
        let report = CapacityReport(
            host: "h",
            repositories: [
                repository("new", free: 1 << 30, []), repository("late<b>", free: 300 << 30, samples),
                repository("soon", free: 30 << 30, samples),
            ], table: nil, problems: ["/gone is not there"], at: now)
        #expect(report.repositories.map(\.name) == ["soon", "late<b>", "new"])
        // 30 GiB are left and 1 GiB is added a day.
        let text = report.text
        #expect(text.contains("  soon: full on 2028-03-30 (2028-03-30 to 2028-03-30), by 30 days\n"))
        #expect(text.contains("  new: too little history: 0 days of 10, over 0 of 14\n"))
        #expect(text.contains("/gone is not there"))
        #expect(text.contains("129.0 GiB (81.1 %)"))
        #expect(report.page.contains("late&lt;b&gt;") && !report.page.contains("<b>"))
        let document = try JSONDocument(decoding: report.document.encoded)
        let first = document["repositories"]?.elements?.first
        #expect(first?["forecast"]?["outcome"]?.text == "full" && first?["free"]?.count == 30 << 30)
        #expect(first?["forecast"]?["bytes-per-day"]?.number == 1 << 30)
        #expect(first?["stored-per-day"]?.count == 3 << 30)
    }

    @Test("a sample a day is kept of each repository, the last of a day counts, torn lines cost themselves alone")
    func archive() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/dozo-capacity-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let archive = CapacityArchive(folder: folder)
        for day in 0..<20 as Range<UInt64> {
            for (hour, place) in [(1, "/a"), (2, "/b"), (3, "/a")] as [(UInt64, String)] {
                let instant = Sample.start + day * Sample.day + hour * Sample.hour
                try archive.keep(
                    CapacityArchive.Sample(
                        instant: instant, location: place, size: place == "/a" ? day : nil, used: hour, free: 7),
                    at: instant)
            }
        }
        let file = "\(folder)/\(CivilTime(Sample.start + 3 * Sample.day).date).jsonl"
        let handle = try #require(FileHandle(forWritingAtPath: file))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("{\"at\":18".utf8))
        try handle.close()
        let samples = try archive.samples(of: "/a")
        #expect(samples.count == 20 && samples.allSatisfy { $0.used == 3 && $0.free == 7 })
        #expect(samples.map(\.size) == (0..<20).map { UInt64($0) })
        #expect(try archive.samples(of: "/b").map(\.size) == Array(repeating: nil, count: 20))
        #expect(try archive.samples(of: "/c").isEmpty)
    }
}
