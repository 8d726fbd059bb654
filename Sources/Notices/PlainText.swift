/// Text of foreign origin, made harmless: names of guests are whatever somebody typed into a hypervisor, and end in
/// mail headers, log lines, environments and terminals.
package enum PlainText {
    /// Most scalars of a name or a value that are told.
    package static let longestValue = 512
    /// Most scalars of a sentence.
    package static let longestSentence = 2000

    /// One line of `text`: what steers a terminal, breaks a line or turns the direction of writing becomes U+FFFD, and
    /// what is longer than `limit` scalars ends in an ellipsis. A line of a line is the same line.
    package static func line(_ text: String, limit: Int = longestValue) -> String {
        var line = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < limit else {
                line.append("…")
                break
            }
            line.append(isSteering(scalar) ? "\u{FFFD}" : scalar)
            count += 1
        }
        return String(line)
    }

    private static func isSteering(_ scalar: Unicode.Scalar) -> Bool {
        if (0x20..<0x7F).contains(scalar.value) { return false }
        return switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .surrogate: true
        // Marks of direction and the like, but not what joins letters in some scripts (U+200C, U+200D) or flags.
        case .format: scalar.value != 0x200C && scalar.value != 0x200D && !(0xE0020...0xE007F).contains(scalar.value)
        default: false
        }
    }

    /// A time for people: "3 days 4 h", "4 h 30 min", "12 min", "40 s".
    package static func duration(_ nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60)
        if days > 0 { return "\(days) day\(days == 1 ? "" : "s")" + (hours > 0 ? " \(hours) h" : "") }
        if hours > 0 { return "\(hours) h" + (minutes > 0 ? " \(minutes) min" : "") }
        return minutes > 0 ? "\(minutes) min" : "\(seconds) s"
    }

    /// A size for people, "1.5 GiB", to a tenth.
    package static func size(_ byteCount: UInt64) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        guard byteCount >= 1024 else { return "\(byteCount) B" }
        let unit = min((63 - byteCount.leadingZeroBitCount) / 10, units.count)
        let tenths = (byteCount >> UInt64(10 * (unit - 1))) * 10 / 1024
        return "\(tenths / 10).\(tenths % 10) \(units[unit - 1])"
    }
}
