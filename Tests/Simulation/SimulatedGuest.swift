import BackupModel
import TestKit

/// A guest whose disks change from one backup to the next.
struct SimulatedGuest: Sendable {
    let identifier: GuestID
    let label: String
    /// The bytes of its disks.
    var disks: [[UInt8]] = []
    /// A disk has fewer pages than this.
    private let mostPages: UInt64

    init(label: String, mostPages: UInt64 = 36, dice: inout Dice) {
        self.mostPages = mostPages
        guard let identifier = GuestID(bytes: dice.bytes(16)) else { preconditionFailure("16 bytes make an id") }
        self.identifier = identifier
        self.label = label
        for _ in 0...dice.roll(below: 4) / 3 {
            disks.append([])
            resize(disks.count - 1, &dice)
        }
    }

    /// Some pages get other content; now and then a disk grows or shrinks.
    mutating func change(_ dice: inout Dice) {
        for number in disks.indices {
            if dice.roll(below: 6) == 0 { resize(number, &dice) }
            let pages = disks[number].count / 4096
            guard pages > 0 else { continue }
            for _ in 0..<dice.roll(below: 4) {
                SimulatedGuest.fill(&disks[number], page: Int(dice.roll(below: UInt64(pages))), &dice)
            }
        }
    }

    private mutating func resize(_ number: Int, _ dice: inout Dice) {
        let old = disks[number].count
        var size = Int(dice.roll(below: mostPages)) * 4096
        if dice.roll(below: 3) == 0 { size += Int(dice.roll(below: 4096)) }
        if size < old {
            disks[number].removeLast(old - size)
            return
        }
        disks[number] += [UInt8](repeating: 0, count: size - old)
        for page in (old + 4095) / 4096..<max((old + 4095) / 4096, size / 4096) {
            SimulatedGuest.fill(&disks[number], page: page, &dice)
        }
    }

    /// A page of zeros, of noise, or of one of a few texts that guests share.
    private static func fill(_ disk: inout [UInt8], page: Int, _ dice: inout Dice) {
        let kind = dice.roll(below: 8)
        var words = Dice(seed: kind < 5 ? dice.roll(below: 12) : dice.next())
        for offset in stride(from: page * 4096, to: page * 4096 + 4096, by: 8) {
            var word = words.next()
            if kind < 2 { word = 0 } else if kind < 5 { word &= 0x0303_0303_0303_0303 }
            for byte in 0..<8 { disk[offset + byte] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(byte))) }
        }
    }
}
