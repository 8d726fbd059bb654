import Notices

extension ConfigurationReader {
    private typealias Key = ConfigurationKeys.Target

    /// Seconds that a program has to tell somebody.
    private static let usualTimeLimit = 30

    /// Whoever is told; `nil` when something is missing or wrong, which is told.
    mutating func target(_ section: ConfigurationSection<ConfigurationKeys.Target>) -> NotificationTarget? {
        guard let kind = section.choice(.kind, NotificationKind.self, &findings) else {
            if !section.has(.kind) {
                let kinds = NotificationKind.allCases.map(\.rawValue).joined(separator: ", ")
                section.lacks(.kind, "write kind: and one of \(kinds)", &findings)
            }
            return nil
        }
        let taken: [Key] =
            switch kind {
            case .email: [.server, .port, .security, .user, .passwordFile, .from, .to]
            case .webhook: [.url, .secretFile]
            case .syslog: [.facility]
            case .journal: []
            case .command: [.command, .timeLimit]
            }
        for key in Key.allCases where key != .kind && !taken.contains(key) && section.has(key) {
            findings.error(
                section.line(key), section.at(key), "\(key.rawValue) does not go with kind: \(kind.rawValue)",
                taken.isEmpty
                    ? "take it away" : "this kind takes \(taken.map(\.rawValue).joined(separator: ", "))")
        }
        switch kind {
        case .email: return email(section)
        case .webhook: return webhook(section)
        case .syslog:
            return .syslog(facility: section.choice(.facility, SyslogFacility.self, &findings) ?? .daemon)
        case .journal: return .journal
        case .command:
            return command(section, .command, .timeLimit, usual: ConfigurationReader.usualTimeLimit)
                .map(NotificationTarget.command)
        }
    }

    private mutating func email(_ section: ConfigurationSection<ConfigurationKeys.Target>) -> NotificationTarget? {
        let server = section.value(.server, "a host's name or address", &findings) {
            ConfigurationReader.isHost($0) ? $0 : nil
        }
        let from = section.value(.from, "an address such as dozo@example.org", &findings) {
            ConfigurationReader.isAddress($0) ? $0 : nil
        }
        let to = section.texts(.to, &findings)
        for address in to where !ConfigurationReader.isAddress(address) {
            findings.error(
                section.line(.to), section.at(.to), "\"\(ConfigurationKeys.short(address))\" is not an address",
                "write addresses such as operators@example.org")
        }
        for key in [Key.server, .from, .to] where !section.has(key) {
            section.lacks(key, "a letter wants a server, from and to", &findings)
        }
        if section.has(.to), to.isEmpty { section.lacks(.to, "write who gets the letters", &findings) }
        let security = section.choice(.security, MailTarget.Security.self, &findings) ?? .startTLS
        let port = section.number(.port, 1...65_535, &findings)
        let user = section.text(.user, &findings)
        let passwordFile = section.path(.passwordFile, &findings)
        if section.has(.user) != section.has(.passwordFile) {
            let key = section.has(.user) ? Key.user : .passwordFile
            findings.error(
                section.line(key), section.at(key), "user and password-file go together", "write both, or none")
        }
        if security == .none, let server, !ConfigurationReader.isThisHost(server) {
            findings.error(
                section.line(.security), section.at(.security), "letters and passwords would go to \(server) in clear",
                "write security: starttls or tls; none goes with this host only")
        }
        guard let server, let from, !to.isEmpty else { return nil }
        return .email(
            EmailTarget(
                server: server, port: port ?? Int(security.port), security: security,
                login: user.flatMap { user in
                    passwordFile.map { EmailTarget.Login(user: user, passwordFile: $0) }
                }, from: from, to: to))
    }

    private mutating func webhook(_ section: ConfigurationSection<ConfigurationKeys.Target>) -> NotificationTarget? {
        let secretFile = section.path(.secretFile, &findings)
        guard let text = section.text(.url, &findings) else {
            if !section.has(.url) { section.lacks(.url, "write an https:// address", &findings) }
            return nil
        }
        let line = section.line(.url)
        let isPlain = text.hasPrefix("http://")
        guard isPlain || text.hasPrefix("https://"),
            text.utf8.allSatisfy({ (33...126).contains($0) }),
            let host = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst(2).first, !host.isEmpty
        else {
            findings.error(
                line, section.at(.url), "\"\(ConfigurationKeys.short(text))\" is not the address of a web service",
                "write https://, a host and a path")
            return nil
        }
        guard !host.contains("@") else {
            findings.error(
                line, section.at(.url),
                "the address has a user or password in it, and secrets do not stand in this file",
                "take it out, and name a secret-file")
            return nil
        }
        let bare = host.hasPrefix("[") ? host : host.prefix { $0 != ":" }
        guard !isPlain || ConfigurationReader.isThisHost(String(bare)) || bare.hasPrefix("[::1]") else {
            findings.error(
                line, section.at(.url), "what happens here would go to \(host) in clear", "write https://")
            return nil
        }
        return .webhook(url: text, secretFile: secretFile)
    }

    /// Whether a name means this host.
    private static func isThisHost(_ name: String) -> Bool { ["localhost", "127.0.0.1", "::1"].contains(name) }

    private static func isHost(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || ".-:".utf8.contains($0)
            }
    }

    /// Of an address only what could end a line of SMTP, or is none at all, is refused; the server knows the rest.
    private static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && text.utf8.count <= 254
            && text.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && !"<>,;\"\\".unicodeScalars.contains($0) }
    }
}
