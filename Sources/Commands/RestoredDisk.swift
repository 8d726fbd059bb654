import BackupModel
import GuestSource
import Recovery

extension Leftover {
    /// Why it was not gone on with; `nil` when it was, or nothing was there.
    fileprivate var why: String? {
        guard case .discarded(let why) = self else { return nil }
        return why
    }
}

/// A disk that was restored, as JSON.
struct RestoredDisk: Encodable {
    /// A part that was lost.
    struct Lost: Encodable {
        let start: UInt64
        let length: UInt64
        let why: String
    }
    let name: String
    let path: String
    let format: String
    let size_bytes: UInt64
    let written_bytes: UInt64
    let kept_bytes: UInt64
    let resumed: Bool
    let begun_anew_because: String?
    let lost: [Lost]

    init(_ name: String, _ goal: RestoreCommand.DiskGoal, _ outcome: RestoreOutcome) {
        self.name = name
        path = goal.path
        format = goal.format.name
        size_bytes = outcome.byteCount
        written_bytes = outcome.written
        kept_bytes = outcome.kept
        resumed = outcome.leftover == .takenUp
        begun_anew_because = outcome.leftover.why
        lost = outcome.lost.map { Lost(start: $0.extent.start, length: $0.extent.length, why: $0.sentence) }
    }

    /// For people.
    func show() {
        let kept = kept_bytes > 0 ? ", \(Console.size(kept_bytes)) were there already" : ""
        Console.result(
            "\(Console.printable(path)): \(Console.size(size_bytes)) as \(format), "
                + "\(Console.size(written_bytes)) written\(kept)")
        for lost in lost {
            Console.result("  LOST bytes \(lost.start) to \(lost.start + lost.length - 1): \(lost.why)")
        }
    }
}
