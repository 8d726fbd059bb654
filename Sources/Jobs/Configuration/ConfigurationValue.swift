import BackupModel

/// What single values of the file are made of.
package enum ConfigurationValue {
    /// Longest text, in bytes.
    static let longestText = 4096

    private static let units: [(letter: Character, seconds: Int)] = [
        ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1),
    ]

    /// A text that is not empty, without characters that steer a terminal; `nil`, with an error told, for another.
    static func text(_ node: ConfigurationNode, _ path: String, _ findings: inout ConfigurationFindings) -> String? {
        guard case .scalar(let text, _) = node.content else {
            findings.error(node.line, path, "here stands \(node.kind), and it takes one value", "write one value")
            return nil
        }
        guard !text.isEmpty else {
            findings.error(node.line, path, "the value is missing", "write one behind the colon, or take the key away")
            return nil
        }
        guard text.utf8.count <= longestText, NameCheck.isFit(text) else {
            findings.error(
                node.line, path, "the value has control characters, or more than \(longestText) bytes",
                "write it on one line")
            return nil
        }
        return text
    }

    /// A whole number without a sign, of up to nine digits.
    static func number(_ text: some StringProtocol) -> Int? {
        guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }

    /// `90s`, `15m`, `24h`, `7d` in seconds; `nil` for anything else.
    package static func seconds(_ text: String) -> Int? {
        guard let last = text.last, let unit = units.first(where: { $0.letter == last }) else { return nil }
        // Nine digits of days are no overflow.
        return number(text.dropLast()).map { $0 * unit.seconds }
    }

    /// Seconds as they are written, in the largest unit that divides them.
    static func duration(_ seconds: Int) -> String {
        for unit in units where seconds % unit.seconds == 0 && seconds >= unit.seconds {
            return "\(seconds / unit.seconds)\(unit.letter)"
        }
        return "\(seconds)s"
    }

    /// Seconds for a sentence: the two largest units that it has, such as `1d 1h`.
    static func spoken(_ seconds: Int) -> String {
        var rest = seconds
        var words: [String] = []
        for unit in units where words.count < 2 && rest >= unit.seconds {
            words.append("\(rest / unit.seconds)\(unit.letter)")
            rest %= unit.seconds
        }
        return words.isEmpty ? "0s" : words.joined(separator: " ")
    }

    /// `22:00` in minutes after midnight.
    static func minuteOfDay(_ text: String) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 2 }), let hour = number(parts[0]),
            let minute = number(parts[1]), hour < 24, minute < 60
        else { return nil }
        return hour * 60 + minute
    }

    /// An absolute path without `..`.
    static func isPath(_ text: String) -> Bool {
        text.hasPrefix("/") && !text.split(separator: "/").contains("..")
    }

    /// A name that the user gives to a section.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy {
                $0 == "-" || $0 == "_" || $0.properties.isAlphabetic || $0.properties.numericType != nil
            }
    }
}
