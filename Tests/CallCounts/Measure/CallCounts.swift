import BackupModel
import CCallCounts
import Glibc

// Allocations and reference counts by chunk and page
// --------------------------------------------------
// Each kind of work runs over a small and a large image; what the large one costs more, divided by what it has more of,
// is the cost of a chunk. What a run costs once falls out. The numbers are counts and repeat: no clock is asked.

/// What a chunk may cost at most in one kind of work.
struct Allowance {
    let work: CountedWork.Kind
    let allocations: Double
    let references: Double
    /// Of libcrypto, which makes a new state with each start of a hash.
    let inHashLibrary: Double
}

@main
enum CallCounts {
    static let small = 32 << 20
    static let large = 96 << 20

    static func main() async throws {
        guard CommandLine.arguments.count == 2 else {
            print("usage: CallCounts SCRATCH-FOLDER")
            exit(2)
        }
        guard call_counts_begin() == 1 else {
            print("FAIL: allocations of libcrypto can be told from others")
            exit(1)
        }
        proveThatItCounts()
        var sums: [CountedWork.Kind: [CountedWork.Sum]] = [:]
        for size in [small, large] {
            for (kind, sum) in try await CountedWork(byteCount: size, folder: CommandLine.arguments[1]).run() {
                sums[kind, default: []].append(sum)
            }
        }
        for allowance in allowances { judge(allowance, sums[allowance.work] ?? []) }
        print("done")
    }

    /// A counter that counts nothing would let everything pass.
    private static func proveThatItCounts() {
        let before = CountedWork.Sum.now(chunks: 0)
        var objects: [Probe] = []
        for number in 0..<1000 { objects.append(Probe(number)) }
        objects.reverse()
        let after = CountedWork.Sum.now(chunks: objects.reduce(0) { $0 + $1.number })
        let name = "the counters see 1,000 objects that are made and kept"
        let seen = after.since(before)
        let isRight = seen.allocations >= 1000 && seen.references >= 1000
        print(isRight ? "pass: \(name)" : "FAIL: \(name) (\(seen.allocations) and \(seen.references))")
    }

    private static func judge(_ allowance: Allowance, _ sums: [CountedWork.Sum]) {
        let name =
            "\(allowance.work.rawValue): at most \(allowance.allocations) allocations and "
            + "\(allowance.references) reference counts a chunk, \(allowance.inHashLibrary) allocations in libcrypto"
        guard sums.count == 2, sums[1].chunks > sums[0].chunks else {
            print("FAIL: \(name) (the larger image has no more chunks)")
            return
        }
        func perChunk(_ count: KeyPath<CountedWork.Sum, UInt64>) -> Double {
            (Double(sums[1][keyPath: count]) - Double(sums[0][keyPath: count]))
                / Double(sums[1].chunks - sums[0].chunks)
        }
        let allocations = perChunk(\.allocations)
        let references = perChunk(\.references)
        let inHashLibrary = perChunk(\.inHashLibrary)
        let found =
            "\((allocations * 100).rounded() / 100) and \((references * 100).rounded() / 100) over "
            + "\(sums[1].chunks - sums[0].chunks) chunks"
        let isRight =
            allocations <= allowance.allocations && references <= allowance.references
            && inHashLibrary <= allowance.inHashLibrary
        print(isRight ? "pass: \(name): \(found)" : "FAIL: \(name) (\(found))")
    }
}

/// Something to be counted.
private final class Probe {
    let number: Int
    init(_ number: Int) { self.number = number }
}
