/// Where two texts differ, line by line, as people know it from patches.
package struct LineDifference: Hashable, Sendable {
    /// Lines that stay the same shown around a change.
    package static let context = 2
    /// Most lines of each text that are compared one by one; behind what the texts have in common at their ends, longer
    /// ones count as exchanged whole.
    package static let mostCompared = 2000
    /// Most lines of the result.
    package static let mostLines = 1000

    /// `-` before a line that went, `+` before one that came, a space before one that stayed, `@@ line N` before each
    /// place, with N the line's number in the earlier text.
    package private(set) var lines: [String] = []
    /// Whether the result had more lines than are kept.
    package private(set) var isCut = false

    private enum Step {
        case same(String)
        case gone(String)
        case new(String)

        var isSame: Bool { if case .same = self { true } else { false } }
    }

    /// Compares.
    package init(_ before: [String], _ after: [String]) {
        var front = 0
        while front < min(before.count, after.count), before[front] == after[front] { front += 1 }
        var back = 0
        while back < min(before.count, after.count) - front,
            before[before.count - 1 - back] == after[after.count - 1 - back]
        { back += 1 }
        let middle = LineDifference.steps(before[front..<before.count - back], after[front..<after.count - back])
        let steps = before[..<front].map { Step.same($0) } + middle + before[(before.count - back)...].map { .same($0) }
        show(steps)
    }

    private static func steps(_ before: ArraySlice<String>, _ after: ArraySlice<String>) -> [Step] {
        guard before.count <= mostCompared, after.count <= mostCompared else {
            return before.map { .gone($0) } + after.map { .new($0) }
        }
        var (gone, new): (Set<Int>, Set<Int>) = ([], [])
        for change in Array(after).difference(from: Array(before)) {
            switch change {
            case .remove(let offset, _, _): gone.insert(offset)
            case .insert(let offset, _, _): new.insert(offset)
            }
        }
        var steps: [Step] = []
        var (one, two) = (0, 0)
        while one < before.count || two < after.count {
            if one < before.count, gone.contains(one) {
                steps.append(.gone(before[before.startIndex + one]))
                one += 1
            } else if two < after.count, new.contains(two) {
                steps.append(.new(after[after.startIndex + two]))
                two += 1
            } else {
                steps.append(.same(before[before.startIndex + one]))
                one += 1
                two += 1
            }
        }
        return steps
    }

    private mutating func show(_ steps: [Step]) {
        let changes = steps.indices.filter { !steps[$0].isSame }
        var shown = Set<Int>()
        for index in changes {
            for near in max(0, index - LineDifference.context)...min(steps.count - 1, index + LineDifference.context) {
                shown.insert(near)
            }
        }
        var number = 1
        var last = -2
        for (index, step) in steps.enumerated() {
            defer { if case .new = step {} else { number += 1 } }
            guard shown.contains(index) else { continue }
            if index != last + 1 { lines.append("@@ line \(number)") }
            last = index
            switch step {
            case .same(let text): lines.append("  \(text)")
            case .gone(let text): lines.append("- \(text)")
            case .new(let text): lines.append("+ \(text)")
            }
            guard lines.count < LineDifference.mostLines else {
                isCut = true
                return
            }
        }
    }
}
