/// Something that is wrong with the configuration, or that is told about it.
package struct ConfigurationProblem: Error, Hashable, Sendable {
    /// The line, from 1.
    package let line: Int
    /// The key's path, such as `policies.nightly.rpo`; empty when it concerns the file.
    package let key: String
    /// What is wrong, with the numbers.
    package let sentence: String
    /// What to do about it.
    package let remedy: String

    /// A problem.
    package init(line: Int, key: String, sentence: String, remedy: String) {
        self.line = line
        self.key = key
        self.sentence = sentence
        self.remedy = remedy
    }

    /// As it stands on a terminal, behind the file's name: line, key, sentence, remedy.
    package func text(file: String) -> String {
        "\(file):\(line): \(key.isEmpty ? "" : "\(key): ")\(sentence); \(remedy)"
    }
}

/// Collects what is wrong while the file is read on, so that all of it is told at once.
struct ConfigurationFindings: Sendable {
    private(set) var errors: [ConfigurationProblem] = []
    private(set) var notes: [ConfigurationProblem] = []
    /// How many were left out behind the most that are kept.
    private(set) var leftOut = 0

    /// Whether one more error would be left out.
    var isFull: Bool { errors.count >= ConfigurationText.mostProblems }

    /// Refuses the file.
    mutating func error(_ line: Int, _ key: String, _ sentence: String, _ remedy: String) {
        keep(ConfigurationProblem(line: line, key: key, sentence: sentence, remedy: remedy), in: \.errors)
    }

    /// Tells something that refuses nothing.
    mutating func note(_ line: Int, _ key: String, _ sentence: String, _ remedy: String) {
        keep(ConfigurationProblem(line: line, key: key, sentence: sentence, remedy: remedy), in: \.notes)
    }

    private mutating func keep(
        _ problem: ConfigurationProblem, in list: WritableKeyPath<ConfigurationFindings, [ConfigurationProblem]>
    ) {
        if self[keyPath: list].count < ConfigurationText.mostProblems {
            self[keyPath: list].append(problem)
        } else {
            leftOut += 1
        }
    }
}

/// Which of the words that are known was meant.
enum NearMiss {
    /// The one known word that is so near that it was probably meant; `nil` when there is none, or several are as near.
    ///
    /// Near is another spelling (case, `_` for `-`, plural), or one letter in three changed, left out, added or
    /// exchanged with its neighbour, two at most.
    static func of(_ word: String, among known: [String]) -> String? {
        guard word.utf8.count <= 64 else { return nil }
        func plain(_ text: String) -> [UInt8] {
            var bytes = Array(text.lowercased().utf8).filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
            if bytes.last == UInt8(ascii: "s") { bytes.removeLast() }
            return bytes
        }
        let own = plain(word)
        let ranked = known.map { (name: $0, distance: distance(own, plain($0))) }.sorted {
            ($0.distance, $0.name) < ($1.distance, $1.name)
        }
        guard let first = ranked.first, first.distance <= min(2, max(own.count, 1) / 3) else { return nil }
        if ranked.count > 1, ranked[1].distance == first.distance { return nil }
        return first.name
    }

    /// Optimal string alignment: the least number of letters changed, left out, added or exchanged with a neighbour.
    static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        var before: [Int] = []
        var row = Array(0...other.count)
        for (index, letter) in one.enumerated() {
            var next = [index + 1]
            for (place, facing) in other.enumerated() {
                var least = min(row[place + 1] + 1, next[place] + 1, row[place] + (letter == facing ? 0 : 1))
                if index > 0, place > 0, letter == other[place - 1], one[index - 1] == facing {
                    least = min(least, before[place - 1] + 1)
                }
                next.append(least)
            }
            before = row
            row = next
        }
        return row[other.count]
    }
}
