import ArgumentParser
import Effects
import Foundation
import Glibc
import Notices

/// What the agent says of itself, one line an event, on standard error.
///
/// Names of guests and sentences of programs are foreign text and lose what steers a terminal or breaks a line; secrets
/// are never given to it.
struct AgentLog: Sendable {
    enum Format: String, ExpressibleByArgument, CaseIterable, Sendable {
        case text
        case json
    }

    let format: Format
    /// Whether lines go to the journal, which knows the time itself and takes a level in front.
    private let isJournal: Bool

    init(format: Format) {
        self.format = format
        isJournal = AgentLog.goesToJournal
    }

    /// systemd says which file its journal reads (JOURNAL_STREAM of systemd.exec(5)).
    private static var goesToJournal: Bool {
        guard let stream = Environment["JOURNAL_STREAM"] else { return false }
        var facts = stat()
        // Safety: the structure lives through the call.
        guard unsafe fstat(STDERR_FILENO, &facts) == 0 else { return false }
        return stream == "\(facts.st_dev):\(facts.st_ino)"
    }

    /// Says what happened.
    ///
    /// - Parameters:
    ///   - event: one word, which never changes its meaning.
    ///   - facts: names and values, in order; empty ones are left out.
    func say(_ level: SystemLog.Level, _ event: String, _ sentence: String, _ facts: [(String, String?)] = []) {
        let now = SystemClock.system.wall()
        let known = facts.compactMap { name, value in
            value.flatMap { $0.isEmpty ? nil : (name, PlainText.line($0)) }
        }
        let text = PlainText.line(sentence, limit: PlainText.longestSentence)
        let mark = isJournal ? "<\(level.rawValue)>" : ""
        switch format {
        case .json:
            let document = JSONDocument.object(
                [
                    .init("time", .text(TimeText.utc(now))), .init("level", .text(level.word)),
                    .init("event", .text(event)),
                ] + known.map { .init($0.0, .text($0.1)) } + [.init("message", .text(text))])
            Console.note(mark + String(decoding: document.encoded, as: UTF8.self))
        case .text:
            let time = isJournal ? "" : "\(TimeText.utc(now)) \(level.word) "
            let words = known.map { " \($0.0)=\(AgentLog.quoted($0.1))" }.joined()
            Console.note("\(mark)\(time)\(event)\(words): \(text)")
        }
    }

    private static func quoted(_ value: String) -> String {
        let isPlain = value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "=" }
        return isPlain ? value : "\"" + value.replacingOccurrences(of: "\"", with: "'") + "\""
    }
}

extension SystemLog.Level {
    /// As logs write it.
    var word: String {
        switch self {
        case .critical: "critical"
        case .error: "error"
        case .warning: "warning"
        case .notice: "notice"
        case .information: "info"
        }
    }
}
