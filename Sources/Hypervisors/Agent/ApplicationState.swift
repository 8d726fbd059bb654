/// What the hooks in a guest did at its last freeze: the file that `agent/hooks/dozo-fsfreeze-hook` writes.
///
/// It is the guest's word: whoever is root in it can write what he likes.
package struct ApplicationState: Hashable, Sendable {
    /// How far a freeze got.
    package enum Phase: String, Sendable {
        /// Hooks are being called.
        case freezing
        /// All have been called, and the thaw has not.
        case frozen
        /// One failed, and all were undone.
        case refused
        /// The thaw has been called.
        case thawed
    }

    /// How a call of a hook ended.
    package enum Outcome: String, Sendable {
        /// It did what it was asked to do.
        case done = "ok"
        /// There was nothing to do: its application is not installed, or down.
        case idle
        /// It said that it could not.
        case failed
        /// It took too long.
        case late
    }

    /// A hook of the last freeze.
    package struct Hook: Hashable, Sendable {
        /// Letters, digits, `-` and `_`, at most ``ApplicationState/longestName``.
        package let name: String
        /// How the freeze went.
        package let outcome: Outcome
        /// Milliseconds that it took.
        package let milliseconds: UInt64
        /// How the thaw went; `nil` when it was not called.
        package internal(set) var thaw: Outcome?
        /// As ``milliseconds``, no more than 64 bits hold.
        package var nanoseconds: UInt64 {
            let (time, isTooMuch) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
            return isTooMuch ? .max : time
        }

        /// Whether its application was at rest from the freeze to the thaw, or had nothing to bring to rest.
        package var wasAtRest: Bool {
            switch outcome {
            case .done: thaw == .done
            case .idle: thaw == .done || thaw == .idle
            case .failed, .late: false
            }
        }
    }

    /// Where the guest keeps it.
    package static let path = "/run/dozo/application"
    /// Most bytes of the file.
    package static let mostBytes = 16 << 10
    /// Most bytes of a hook's name.
    package static let longestName = 64
    /// Most hooks.
    package static let mostHooks = 32
    /// Most bytes of what names a start of the guest: a UUID.
    package static let longestBoot = 36

    /// Which start of the guest it is of.
    package let boot: String
    /// Rises by one with each freeze of a start.
    package let number: UInt64
    /// How far it got.
    package let phase: Phase
    /// Thaws since.
    package let thaws: UInt64
    /// In the order in which they were called.
    package let hooks: [Hook]

    /// Reads the file.
    ///
    /// - Throws: ``GuestError``, `refused`, for anything that the dispatcher does not write.
    package init(parsing bytes: [UInt8]) throws(GuestError) {
        guard bytes.count <= ApplicationState.mostBytes else { throw ApplicationState.unreadable("it is too long") }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { $0.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false) }[...]
        /// The words behind the first one of the next line.
        func next(_ word: String, count: Int) throws(GuestError) -> [String] {
            guard let line = lines.popFirst(), line.count == count + 1, line[0].elementsEqual(word.utf8) else {
                throw ApplicationState.unreadable("a line '\(word)' is missing")
            }
            return line.dropFirst().map { String(decoding: $0, as: UTF8.self) }
        }
        guard try next("dozo-application", count: 1) == ["1"] else {
            throw ApplicationState.unreadable("it is of another version of the hooks")
        }
        boot = try next("boot", count: 1)[0]
        guard ApplicationState.isBoot(boot) else { throw ApplicationState.unreadable("it names no start") }
        number = try ApplicationState.number(try next("freeze", count: 1)[0])
        guard let phase = Phase(rawValue: try next("state", count: 1)[0]) else {
            throw ApplicationState.unreadable("its state is none")
        }
        self.phase = phase
        thaws = try ApplicationState.number(try next("thaws", count: 1)[0])
        var hooks: [Hook] = []
        while lines.first?.first?.elementsEqual("hook".utf8) == true {
            let words = try next("hook", count: 3)
            guard hooks.count < ApplicationState.mostHooks, ApplicationState.isName(words[0]),
                !hooks.contains(where: { $0.name == words[0] })
            else { throw ApplicationState.unreadable("a hook's name is none") }
            hooks.append(
                Hook(
                    name: words[0], outcome: try ApplicationState.outcome(words[1]),
                    milliseconds: try ApplicationState.number(words[2])))
        }
        while lines.first?.first?.elementsEqual("thaw".utf8) == true {
            let words = try next("thaw", count: 3)
            let outcome = try ApplicationState.outcome(words[1])
            _ = try ApplicationState.number(words[2])
            guard let index = hooks.firstIndex(where: { $0.name == words[0] }), hooks[index].thaw == nil else {
                throw ApplicationState.unreadable("a hook was let go on that was not called")
            }
            hooks[index].thaw = outcome
        }
        self.hooks = hooks
        _ = try next("end", count: 0)
        guard lines.count == 1, lines.first?.count == 1, lines.first?[0].isEmpty ?? false else {
            throw ApplicationState.unreadable("something stands behind its end")
        }
    }

    private static func unreadable(_ why: String) -> GuestError {
        GuestError(.refused, "what the hooks in the guest wrote to \(path) cannot be read: \(why)")
    }

    /// A whole number in its only spelling.
    private static func number(_ text: String) throws(GuestError) -> UInt64 {
        guard let number = UInt64(text), String(number) == text else { throw unreadable("a number is none") }
        return number
    }

    private static func outcome(_ text: String) throws(GuestError) -> Outcome {
        guard let outcome = Outcome(rawValue: text) else { throw unreadable("an outcome is none") }
        return outcome
    }

    private static func isName(_ text: String) -> Bool {
        (1...longestName).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Whether a text can name a start of a guest: hexadecimal digits and hyphens.
    static func isBoot(_ text: String) -> Bool {
        (1...longestBoot).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
