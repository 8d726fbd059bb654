package import Effects
import GuestSource

/// The host's Xen, asked through `xl`, the toolstack's own program.
package struct XenHost: Sendable {
    /// What names it where libvirts are named by their URIs.
    package static let uri = "xl:"

    /// Absolute path of `xl`.
    private let program: String
    let clock: SystemClock
    /// Nanoseconds for an answer; then the program is ended.
    private static let patience: UInt64 = 60_000_000_000

    /// Finds `xl`.
    ///
    /// - Throws: ``GuestError``, `missing`.
    package init(clock: SystemClock = .system) throws(GuestError) {
        guard let program = HostProgram.find("xl") else {
            throw GuestError(.missing, "this host has no xl; guests of Xen are reached through it (xen-utils)")
        }
        self.program = program
        self.clock = clock
    }

    /// Whether this host runs under Xen and may ask it for guests; without it `xl` cannot answer.
    package static var isControlDomain: Bool {
        guard let words = try? HostPaths.read("/proc/xen/capabilities", limit: 4096) else { return false }
        return String(decoding: words, as: UTF8.self).contains("control_d")
    }

    /// Asks `xl`.
    ///
    /// - Parameters:
    ///   - words: behind the program's name; never a guest's name, which could be an option or a number.
    ///   - doing: what for, before " failed: …".
    ///   - passing: descriptors that it gets as 3, 4, ….
    ///   - patience: `nil` for as long as it takes.
    /// - Throws: ``GuestError``: `refused` with xl's own words; `late`.
    @discardableResult
    func ask(
        _ words: [String], _ doing: String, passing: [Int32] = [], patience: UInt64? = XenHost.patience
    ) throws(GuestError) -> [UInt8] {
        let patience = ProgramPatience(limit: patience, ends: patience != nil)
        let answer = HostProgram.ask(
            [program] + words, passing: passing, outputLimit: XenDomain.longestList, patience: patience, clock: clock)
        return try answer.output(of: "xl \(words[0])", doing, patience)
    }

    /// All guests that are there, by number.
    ///
    /// - Throws: ``GuestError``.
    package func domains() throws(GuestError) -> [XenDomain] {
        let doing = "listing the guests of Xen"
        let document = try ask(["list", "-l"], doing)
        return try XenDomain.list(document, states: try ask(["list"], doing)).sorted { $0.number < $1.number }
    }

    /// The guest of that name or UUID.
    ///
    /// - Throws: ``GuestError``, `noGuest`, `wrongState` when two have the name.
    package func guest(named name: String) throws(GuestError) -> XenGuest {
        let domains = try domains()
        let wanted = name.lowercased()
        let found = domains.filter { $0.name == name }
        let all = found.isEmpty ? domains.filter { $0.uuid == wanted } : found
        guard let domain = all.first else {
            guard name != "Domain-0", name != "0" else {
                throw GuestError(
                    .noGuest, "Domain-0 is the host itself, and no guest; back its disks up by their paths")
            }
            throw GuestError(.noGuest, "xl knows no guest \(name); `dozo guests --connect xl:` lists them")
        }
        guard all.count == 1 else {
            throw GuestError(
                .wrongState, "xl has \(all.count) guests called \(name); name the one that is meant by its UUID")
        }
        return XenGuest(host: self, described: domain)
    }

    /// Xen's version; `nil` when it does not tell.
    package var version: String? {
        guard let answer = try? ask(["info"], "asking for Xen's version") else { return nil }
        for line in String(decoding: answer, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.filter { !$0.isWhitespace } }
            if parts.count == 2, parts[0] == "xen_version", !parts[1].isEmpty { return String(parts[1]) }
        }
        return nil
    }
}

extension ProgramAnswer {
    /// Characters of a program's own words that are passed on.
    private static let longestWords = 300

    /// What the program wrote, when it did what it was asked for.
    ///
    /// - Parameters:
    ///   - name: the program's, for messages.
    ///   - doing: what for, before " failed: …".
    /// - Throws: ``GuestError``: `refused` with the program's own words; `late`.
    func output(of name: String, _ doing: String, _ patience: ProgramPatience) throws(GuestError) -> [UInt8] {
        guard !isLate else {
            throw GuestError(
                .late, "\(doing) failed: \(name) did not end within \((patience.limit ?? 0) / 1_000_000_000) s")
        }
        guard status == 0, !isCut else { throw GuestError(.refused, "\(doing) failed: \(words)") }
        return output
    }

    /// What it said of its failure: its last lines, for the first ones tell how it went.
    private var words: String {
        let lines = errorText.split { $0.isNewline || $0 == "\r" }.filter { !$0.allSatisfy(\.isWhitespace) }
        guard !lines.isEmpty else {
            return isCut ? "it wrote too much" : "it ended with \(status) and said nothing"
        }
        let text = lines.joined(separator: "; ")
        return text.count <= ProgramAnswer.longestWords ? text : "…" + text.suffix(ProgramAnswer.longestWords)
    }
}
