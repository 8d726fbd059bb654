import Foundation
import Glibc
import Synchronization

/// Results go to standard output, everything else to standard error (design §7).
enum Console {
    /// Whether results could not be written: the command then did not do what it was asked.
    static let lostResults = Mutex<String?>(nil)

    /// Prints a line of results.
    static func result(_ line: String) {
        if let reason = write(line + "\n", to: STDOUT_FILENO) {
            lostResults.withLock { $0 = $0 ?? reason }
        }
    }
    /// Prints a line for people beside the results.
    static func note(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

    /// Prints one JSON document.
    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        result(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// A value as one line of JSON.
    static func line(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// Writes all of the text. - Returns: why it could not; `nil` when it could.
    @discardableResult
    static func write(_ text: String, to descriptor: Int32) -> String? {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            // Safety: the bytes live through the call.
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                // Safety: strerror answers a terminated string for every number.
                return unsafe String(cString: strerror(errno))
            }
            rest = rest.dropFirst(count)
        }
        return nil
    }

    /// Names and other foreign text with control characters made visible, so that none steers a terminal.
    static func printable(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : Character($0) })
    }

    /// A number of things: "1 point", "2 points".
    static func count(_ number: Int, _ thing: String) -> String { "\(number) \(thing)\(number == 1 ? "" : "s")" }

    /// Bytes for people: "1.5 GiB".
    static func size(_ byteCount: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(byteCount)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(byteCount) B" : String(format: value < 10 ? "%.2f %@" : "%.1f %@", value, units[unit])
    }

    /// Seconds for people: "1 h 02 min", "3 min 05 s", "7 s".
    static func duration(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 1e9).rounded())
        if whole >= 3600 { return String(format: "%d h %02d min", whole / 3600, whole % 3600 / 60) }
        if whole >= 60 { return String(format: "%d min %02d s", whole / 60, whole % 60) }
        return "\(whole) s"
    }

    /// A table with columns as wide as they need to be.
    static func table(_ header: [String], _ rows: [[String]]) {
        var widths = header.map(\.count)
        for row in rows { for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.count) } }
        for row in [header] + rows {
            let cells = row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }
            result(cells.joined(separator: "  "))
        }
    }
}
