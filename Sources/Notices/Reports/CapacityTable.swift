/// What machines have and use of disks, memory and processors, with sums: the capacity table (S45). All sizes are told
/// in GB of 10^9 bytes, so that the sums are what somebody adds up by hand.
package struct CapacityTable: Hashable, Sendable {
    /// What there is of something, and what of it is in use; bytes, or thousandths of a core.
    package struct Amount: Hashable, Sendable {
        /// All there is.
        package let total: UInt64
        /// What is in use; `nil` when nobody can tell.
        package let used: UInt64?

        /// - Parameters: see the properties.
        package init(total: UInt64, used: UInt64?) {
            self.total = total
            self.used = used
        }

        /// What is left; none when more is used than there is.
        package var free: UInt64? { used.map { total > $0 ? total - $0 : 0 } }

        /// The sum of all. What nobody can tell of one is left out of what is used.
        static func sum(_ amounts: [Amount]) -> Amount {
            Amount(
                total: amounts.reduce(0) { later($0, by: $1.total) },
                used: amounts.contains { $0.used != nil } ? amounts.reduce(0) { later($0, by: $1.used ?? 0) } : nil)
        }

        /// How much of it is used, in tenths of a percent, rounded; `nil` of nothing.
        var perMille: UInt64? {
            guard let used, total > 0 else { return nil }
            return UInt64((Double(used) * 1000 / Double(total)).rounded())
        }

        /// "64.6", "28".
        var share: String { perMille.map { CapacityTable.decimal($0, places: 1) } ?? "–" }

        /// "64.6 %", "28 %".
        var percent: String { perMille == nil ? "–" : share + " %" }
    }

    /// A machine: a guest, or a server.
    package struct Machine: Hashable, Sendable {
        /// Its name.
        package let name: String
        /// Where it is: a connection.
        package let place: String
        /// What it does.
        package let state: String
        /// Bytes of its disks: as it sees them, and what they take up.
        package let disk: Amount
        /// Bytes of memory.
        package let memory: Amount
        /// Thousandths of cores.
        package let processors: Amount

        /// - Parameters: see the properties.
        package init(
            name: String, place: String, state: String, disk: Amount, memory: Amount, processors: Amount
        ) {
            self.name = PlainText.line(name)
            self.place = PlainText.line(place)
            self.state = PlainText.line(state)
            self.disk = disk
            self.memory = memory
            self.processors = processors
        }
    }

    /// Machines in the order they were given.
    package let machines: [Machine]

    /// A table of machines.
    package init(_ machines: [Machine]) { self.machines = machines }

    /// The sum of their disks.
    package var disk: Amount { .sum(machines.map(\.disk)) }
    /// The sum of their memory.
    package var memory: Amount { .sum(machines.map(\.memory)) }
    /// The sum of their processors.
    package var processors: Amount { .sum(machines.map(\.processors)) }

    /// Free room is told machine by machine up to so many.
    private static let mostNamed = 8

    /// One line with the sums: `total 520 GB, used 336 GB (64.6 %), free 24/150/10 GB; RAM 2.44 of 7 GB (34.9 %); CPU
    /// 2.8 of 10 cores (28 %)`.
    package var headline: String {
        let (disk, memory, processors) = (disk, memory, processors)
        func size(_ bytes: UInt64?) -> String { bytes.map(CapacityTable.gigabytes) ?? "?" }
        let free =
            machines.count > CapacityTable.mostNamed
            ? size(disk.free) : machines.map { size($0.disk.free) }.joined(separator: "/")
        return "total \(size(disk.total)) GB, used \(size(disk.used)) GB (\(disk.percent)), free \(free) GB; "
            + "RAM \(size(memory.used)) of \(size(memory.total)) GB (\(memory.percent)); "
            + "CPU \(CapacityTable.cores(processors.used)) of \(CapacityTable.cores(processors.total)) cores "
            + "(\(processors.percent))"
    }

    /// Header of ``rows``.
    static let header = [
        "machine", "disks GB", "used", "free", "%", "RAM GB", "used", "%", "cores", "used", "%", "state", "where",
    ]

    /// A row for each machine, and one of sums.
    var rows: [[String]] {
        machines.map { CapacityTable.row($0.name, $0.disk, $0.memory, $0.processors, $0.state, $0.place) }
            + [CapacityTable.row("total", disk, memory, processors, "", "")]
    }

    private static func row(
        _ name: String, _ disk: Amount, _ memory: Amount, _ processors: Amount, _ state: String, _ place: String
    ) -> [String] {
        func size(_ bytes: UInt64?) -> String { bytes.map(gigabytes) ?? "–" }
        return [
            name, size(disk.total), size(disk.used), size(disk.free), disk.share, size(memory.total),
            size(memory.used), memory.share, cores(processors.total), cores(processors.used), processors.share, state,
            place,
        ]
    }

    /// Bytes in GB of 10^9, with up to two places.
    static func gigabytes(_ bytes: UInt64) -> String {
        decimal(bytes / 10_000_000 + (bytes % 10_000_000 >= 5_000_000 ? 1 : 0), places: 2)
    }

    /// Thousandths of cores, as cores to a hundredth.
    private static func cores(_ thousandths: UInt64?) -> String {
        thousandths.map { decimal(($0 + 5) / 10, places: 2) } ?? "–"
    }

    /// A number of tenths, hundredths, … without zeros at its end.
    static func decimal(_ number: UInt64, places: Int) -> String {
        var (number, places) = (number, places)
        while places > 0, number % 10 == 0 { (number, places) = (number / 10, places - 1) }
        guard places > 0 else { return "\(number)" }
        let scale = UInt64(places == 1 ? 10 : 100)
        let rest = String(number % scale)
        return "\(number / scale).\(String(repeating: "0", count: places - rest.count))\(rest)"
    }

    /// For machines.
    package var document: JSONDocument {
        func amount(_ amount: Amount) -> JSONDocument {
            .members(("total", .count(amount.total)), ("used", amount.used.map { .count($0) }))
        }
        return .members(
            ("headline", .text(headline)), ("disk", amount(disk)), ("memory", amount(memory)),
            ("millicores", amount(processors)),
            (
                "machines",
                .list(
                    machines.map { machine in
                        .members(
                            ("name", .text(machine.name)), ("where", .text(machine.place)),
                            ("state", .text(machine.state)), ("disk", amount(machine.disk)),
                            ("memory", amount(machine.memory)), ("millicores", amount(machine.processors)))
                    })
            ))
    }
}
