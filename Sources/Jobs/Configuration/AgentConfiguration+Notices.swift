package import Notices

extension AgentConfiguration {
    /// Targets and rules as the sending of notices takes them.
    package var noticeSettings: NoticeSettings {
        NoticeSettings(
            targets: targets.sorted { $0.key < $1.key }.compactMap { name, target in
                target.way.map { NoticeTarget(name: name, way: $0) }
            }, rules: rules.map(\.rule))
    }
}

extension NotificationTarget {
    /// How it is reached; `nil` for an address that nobody could write to, which reading the file refuses.
    fileprivate var way: NoticeTarget.Way? {
        switch self {
        case .email(let target):
            guard let sender = MailAddress(target.from) else { return nil }
            let recipients = target.to.compactMap(MailAddress.init)
            guard !recipients.isEmpty, let port = UInt16(exactly: target.port) else { return nil }
            return .mail(
                MailTarget(
                    server: target.server, port: port, security: target.security, sender: sender,
                    recipients: recipients, user: target.login?.user, passwordFile: target.login?.passwordFile))
        case .webhook(let url, let file): return .webhook(WebhookTarget(address: url, tokenFile: file))
        case .syslog(let facility): return .systemLog(facility: facility.number)
        case .journal: return .journal(socket: NoticeTarget.journalSocket)
        case .command(let hook):
            return .command(
                CommandTarget(command: hook.command, limit: UInt64(hook.timeLimit) * 1_000_000_000))
        }
    }
}

extension SyslogFacility {
    /// Its number in RFC 5424.
    fileprivate var number: Int32 {
        switch self {
        case .user: 1
        case .daemon: 3
        case .local0: 16
        case .local1: 17
        case .local2: 18
        case .local3: 19
        case .local4: 20
        case .local5: 21
        case .local6: 22
        case .local7: 23
        }
    }
}
