// Reads all of an NBD export as a backup does, region by region and a connection a worker, and throws the bytes away.
//
//   ExportRates SOCKET [EXPORT]
//
// Its wall time stands beside that of `nbdcopy` to `null:` on the same socket (Tests/Benchmarks/live.py).
import BackupModel
import Glibc
import GuestSource
import Synchronization

private enum Sizes {
    static let workers = 3
    static let region: UInt64 = 16 << 20
}

private final class Place: Sendable {
    let next = Atomic<UInt64>(0)
}

@concurrent
private func readAll(_ source: NBDExportSource) async throws {
    let place = Place()
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<Sizes.workers {
            group.addTask {
                let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(Sizes.region), alignment: 4096)
                // Safety: allocated, filled by the reads and freed here.
                defer { unsafe room.deallocate() }
                while true {
                    let start = place.next.add(Sizes.region, ordering: .relaxed).oldValue
                    guard start < source.byteCount else { return }
                    let count = Int(min(Sizes.region, source.byteCount - start))
                    try await unsafe source.read(
                        at: start, into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
                }
            }
        }
        try await group.waitForAll()
    }
}

let words = CommandLine.arguments
guard words.count > 1 else {
    print("usage: ExportRates SOCKET [EXPORT]")
    exit(2)
}
let source = try NBDExportSource.open(
    socket: words[1], export: words.count > 2 ? words[2] : "", dirtyContext: nil, connections: Sizes.workers,
    name: "disk")
try await readAll(source)
await source.close()
