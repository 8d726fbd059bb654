import BackupModel
import Effects

/// Where notices go, and how often.
package struct NoticeSettings: Hashable, Sendable {
    /// Most targets.
    package static let mostTargets = 64
    /// Most rules.
    package static let mostRules = 256
    /// Most bytes of a name of a target.
    private static let longestName = 64
    /// Most patterns of one rule.
    private static let mostPatterns = 256

    /// Targets.
    package private(set) var targets: [NoticeTarget]
    /// Rules; all that match count.
    package private(set) var rules: [NoticeRule]
    /// How often the same is told.
    package private(set) var manners: NoticeManners

    /// Reads `{"targets": […], "rules": […], "reminder-hours": 24, "critical-reminder-hours": 4}`;
    /// docs/operating/notices.md has every key. Keys that are not known are refused, so that none is misspelled in
    /// silence.
    ///
    /// - Throws: ``NoticeError``, `settings`, with the place and what belongs there.
    package init(document: JSONDocument) throws(NoticeError) {
        let top = try SettingsReader(document, at: "notices")
        try top.allow(["targets", "rules", "reminder-hours", "critical-reminder-hours"])
        targets = []
        for entry in try top.list("targets", limit: NoticeSettings.mostTargets) {
            targets.append(try NoticeSettings.target(entry))
        }
        let names = targets.map(\.name)
        guard Set(names).count == names.count else { throw top.refusal("two targets have one name") }
        rules = []
        for entry in try top.list("rules", limit: NoticeSettings.mostRules) {
            rules.append(try NoticeSettings.rule(entry, targets: Set(names)))
        }
        let hour: UInt64 = 3600 * 1_000_000_000
        manners = NoticeManners(
            reminder: UInt64(try top.number("reminder-hours", 1...720) ?? 24) * hour,
            criticalReminder: UInt64(try top.number("critical-reminder-hours", 1...720) ?? 4) * hour)
    }

    /// Settings that somebody else has read and judged.
    package init(targets: [NoticeTarget], rules: [NoticeRule], manners: NoticeManners = NoticeManners()) {
        self.targets = targets
        self.rules = rules
        self.manners = manners
    }

    private static func rule(_ reader: SettingsReader, targets: Set<String>) throws(NoticeError) -> NoticeRule {
        try reader.allow(["kinds", "at-least", "guests", "targets", "send", "tell-over"])
        var rule = NoticeRule(targets: try reader.texts("targets", limit: mostTargets) ?? [])
        guard !rule.targets.isEmpty else { throw reader.refusal("targets is missing: names of targets belong there") }
        for name in rule.targets where !targets.contains(name) {
            throw reader.refusal("there is no target \(PlainText.line(name, limit: longestName))")
        }
        if let words = try reader.texts("kinds", limit: NoticeKind.allCases.count) {
            var kinds: Set<NoticeKind> = []
            for word in words {
                guard let kind = NoticeKind(rawValue: word) else {
                    let known = NoticeKind.allCases.map(\.rawValue).joined(separator: ", ")
                    throw reader.refusal("\(PlainText.line(word, limit: 64)) is no kind; kinds are \(known)")
                }
                kinds.insert(kind)
            }
            rule.kinds = kinds
        }
        if let word = try reader.text("at-least") {
            guard let severity = NoticeSeverity(word: word) else {
                let known = NoticeSeverity.allCases.map(\.word).joined(separator: ", ")
                throw reader.refusal("at-least is one of \(known)")
            }
            rule.atLeast = severity
        }
        if let patterns = try reader.texts("guests", limit: mostPatterns) {
            rule.guests = []
            for text in patterns {
                guard let pattern = NamePattern(text) else {
                    throw reader.refusal("a pattern of guests is empty or too long")
                }
                rule.guests?.append(pattern)
            }
        }
        switch try reader.text("send") {
        case nil, "at-once": rule.isDigest = false
        case "digest": rule.isDigest = true
        default: throw reader.refusal("send is at-once or digest")
        }
        rule.tellsOver = try reader.truth("tell-over") ?? true
        return rule
    }

    private static func target(_ reader: SettingsReader) throws(NoticeError) -> NoticeTarget {
        let name = try reader.needed("name")
        guard !name.isEmpty, name.utf8.count <= longestName, PlainText.line(name) == name else {
            throw reader.refusal("name is a short line of text")
        }
        let way: NoticeTarget.Way
        switch try reader.needed("type") {
        case "mail": way = .mail(try mail(reader))
        case "webhook": way = .webhook(try webhook(reader))
        case "journal":
            try reader.allow(["name", "type", "socket"])
            let socket = try reader.path("socket") ?? SystemLog.journalSocket
            way = .journal(socket: socket)
        case "command": way = .command(try command(reader))
        default: throw reader.refusal("type is mail, webhook, journal or command")
        }
        return NoticeTarget(name: name, way: way)
    }

    private static func mail(_ reader: SettingsReader) throws(NoticeError) -> MailTarget {
        try reader.allow([
            "name", "type", "server", "port", "security", "from", "to", "user", "password-file", "authority-file",
        ])
        let server = try reader.needed("server")
        guard HostText.isHost(server) else { throw reader.refusal("server is the name or address of a mail server") }
        var security = MailTarget.Security.startTLS
        if let word = try reader.text("security") {
            guard let known = MailTarget.Security(rawValue: word) else {
                throw reader.refusal("security is starttls, tls or none")
            }
            security = known
        }
        func address(_ text: String) throws(NoticeError) -> MailAddress {
            guard let address = MailAddress(text) else {
                throw reader.refusal("\(PlainText.line(text, limit: 80)) is no address of e-mail in plain letters")
            }
            return address
        }
        var recipients: [MailAddress] = []
        for text in try reader.texts("to", limit: MailTarget.mostRecipients) ?? [] {
            recipients.append(try address(text))
        }
        guard !recipients.isEmpty else { throw reader.refusal("to is missing: addresses belong there") }
        let user = try reader.text("user")
        let passwordFile = try reader.path("password-file")
        guard (user == nil) == (passwordFile == nil) else {
            throw reader.refusal("user and password-file belong together")
        }
        guard user?.contains(":") != true else { throw reader.refusal("user has a colon, which curl cannot send") }
        guard user == nil || security != .none || HostText.isLoopback(server) else {
            throw reader.refusal("a password is not sent without TLS: set security to starttls or tls")
        }
        return MailTarget(
            server: server, port: UInt16(try reader.number("port", 1...65535) ?? Int64(security.port)),
            security: security, sender: try address(try reader.needed("from")), recipients: recipients, user: user,
            passwordFile: passwordFile, authorityFile: try reader.path("authority-file"))
    }

    private static func webhook(_ reader: SettingsReader) throws(NoticeError) -> WebhookTarget {
        try reader.allow(["name", "type", "url", "url-file", "headers", "authority-file"])
        let address = try reader.text("url")
        let file = try reader.path("url-file")
        guard (address == nil) != (file == nil) else { throw reader.refusal("one of url and url-file is needed") }
        var headers: [WebhookTarget.Header] = []
        for entry in try reader.list("headers", limit: WebhookTarget.mostHeaders) {
            try entry.allow(["name", "value", "file"])
            let name = try entry.needed("name")
            let isToken = name.utf8.allSatisfy { MailAddress.isLetterOrDigit($0) || "-_".utf8.contains($0) }
            guard isToken, (1...64).contains(name.utf8.count) else {
                throw entry.refusal("name is letters, digits and dashes")
            }
            let header = WebhookTarget.Header(
                name: name, value: try entry.text("value"), file: try entry.path("file"))
            guard (header.value == nil) != (header.file == nil) else {
                throw entry.refusal("one of value and file is needed")
            }
            headers.append(header)
        }
        if let address {
            do { _ = try WebhookAddress(address) } catch { throw reader.refusal(error.sentence) }
        }
        return WebhookTarget(
            address: address, addressFile: file, headers: headers, authorityFile: try reader.path("authority-file"))
    }

    private static func command(_ reader: SettingsReader) throws(NoticeError) -> CommandTarget {
        try reader.allow(["name", "type", "command", "seconds"])
        let words = try reader.texts("command", limit: CommandTarget.mostWords) ?? []
        guard let program = words.first, program.hasPrefix("/") else {
            throw reader.refusal("command is a list: the absolute path of a program, and its arguments")
        }
        let second: UInt64 = 1_000_000_000
        let usual = Int64(CommandTarget.usualLimit / second)
        let seconds = try reader.number("seconds", 1...Int64(CommandTarget.longestLimit / second)) ?? usual
        return CommandTarget(command: words, limit: UInt64(seconds) * second)
    }
}

/// Reads the members of one object of the settings, and names the place when something is wrong.
struct SettingsReader {
    private let document: JSONDocument
    private let place: String
    /// Most bytes of one text.
    private static let longestText = 4096

    init(_ document: JSONDocument, at place: String) throws(NoticeError) {
        self.document = document
        self.place = place
        guard case .object = document else { throw refusal("an object is expected") }
    }

    func refusal(_ what: String) -> NoticeError { NoticeError(.settings, "\(place): \(what)", .askOperator) }

    func allow(_ names: Set<String>) throws(NoticeError) {
        guard case .object(let members) = document else { return }
        for member in members where !names.contains(member.name) {
            let known = names.sorted().joined(separator: ", ")
            throw refusal("\(PlainText.line(member.name, limit: 64)) is not known; known are \(known)")
        }
    }

    private func plain(_ text: String, _ name: String) throws(NoticeError) -> String {
        guard text.utf8.count <= SettingsReader.longestText,
            text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else { throw refusal("\(name) is too long or holds a control character") }
        return text
    }

    func text(_ name: String) throws(NoticeError) -> String? {
        guard let value = document[name], value != .null else { return nil }
        guard let text = value.text else { throw refusal("\(name) is a text") }
        return try plain(text, name)
    }

    func needed(_ name: String) throws(NoticeError) -> String {
        guard let text = try text(name) else { throw refusal("\(name) is missing") }
        return text
    }

    func path(_ name: String) throws(NoticeError) -> String? {
        guard let path = try text(name) else { return nil }
        guard path.hasPrefix("/") else { throw refusal("\(name) is an absolute path") }
        return path
    }

    func truth(_ name: String) throws(NoticeError) -> Bool? {
        guard let value = document[name], value != .null else { return nil }
        guard let truth = value.truth else { throw refusal("\(name) is true or false") }
        return truth
    }

    func number(_ name: String, _ range: ClosedRange<Int64>) throws(NoticeError) -> Int64? {
        guard let value = document[name], value != .null else { return nil }
        guard let number = value.number, range.contains(number) else {
            throw refusal("\(name) is a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// One text or a list of them.
    func texts(_ name: String, limit: Int) throws(NoticeError) -> [String]? {
        guard let value = document[name], value != .null else { return nil }
        let list = value.text == nil ? value.elements : [value]
        guard let list, list.count <= limit else { throw refusal("\(name) is a list of at most \(limit) texts") }
        var texts: [String] = []
        for element in list {
            guard let text = element.text else { throw refusal("\(name) is a list of texts") }
            texts.append(try plain(text, name))
        }
        return texts
    }

    func list(_ name: String, limit: Int) throws(NoticeError) -> [SettingsReader] {
        guard let value = document[name], value != .null else { return [] }
        guard let list = value.elements, list.count <= limit else {
            throw refusal("\(name) is a list of at most \(limit)")
        }
        var readers: [SettingsReader] = []
        for (index, element) in list.enumerated() {
            readers.append(try SettingsReader(element, at: "\(place).\(name)[\(index)]"))
        }
        return readers
    }
}
