import Effects

/// A place that notices are sent to.
package struct NoticeTarget: Hashable, Sendable {
    /// How it is reached.
    package enum Way: Hashable, Sendable {
        /// E-mail.
        case mail(MailTarget)
        /// A request to a server.
        case webhook(WebhookTarget)
        /// The journal of systemd, or the system's log where there is none.
        case journal(socket: String)
        /// The system's log, with a facility's number (RFC 5424): 1 user, 3 daemon, 16 to 23 local0 to local7.
        case systemLog(facility: Int32)
        /// A program of this host.
        case command(CommandTarget)
    }

    /// Name, by which rules know it; no two have the same.
    package var name: String
    /// How it is reached.
    package var way: Way

    /// Where the journal of systemd takes entries.
    package static let journalSocket = SystemLog.journalSocket

    /// - Parameters: see the properties.
    package init(name: String, way: Way) {
        self.name = name
        self.way = way
    }
}

/// E-mail by SMTP.
package struct MailTarget: Hashable, Sendable {
    /// How the line to the server is protected.
    package enum Security: String, CaseIterable, Hashable, Sendable {
        /// From the first byte on (port 465).
        case implicit = "tls"
        /// Asked for by STARTTLS, and insisted on (port 587).
        case startTLS = "starttls"
        /// Not at all: for a mail server on this host (port 25).
        case none

        /// The port that is usual for it.
        package var port: UInt16 {
            switch self {
            case .implicit: 465
            case .startTLS: 587
            case .none: 25
            }
        }
    }

    /// Name or address of the server.
    package var server: String
    /// Its port.
    package var port: UInt16
    /// How the line is protected.
    package var security: Security
    /// Who sends.
    package var sender: MailAddress
    /// Who gets it, at least one and at most ``mostRecipients``.
    package var recipients: [MailAddress]
    /// User to log in as; `nil` for no login.
    package var user: String?
    /// File with that user's password.
    package var passwordFile: String?
    /// File with certificates of authorities to believe in place of the system's; PEM.
    package var authorityFile: String?

    /// Most recipients of a message.
    package static let mostRecipients = 50

    /// A mail server and who writes to whom; see the properties.
    package init(
        server: String, port: UInt16, security: Security, sender: MailAddress, recipients: [MailAddress],
        user: String? = nil, passwordFile: String? = nil, authorityFile: String? = nil
    ) {
        self.server = server
        self.port = port
        self.security = security
        self.sender = sender
        self.recipients = recipients
        self.user = user
        self.passwordFile = passwordFile
        self.authorityFile = authorityFile
    }
}

/// A request to a server: POST with the notices as JSON.
package struct WebhookTarget: Hashable, Sendable {
    /// A header that is sent along, its value perhaps in a file because it is secret.
    package struct Header: Hashable, Sendable {
        /// Its name.
        package var name: String
        /// Its value; exactly one of it and `file` is given.
        package var value: String?
        /// File with its value.
        package var file: String?
        /// What stands before the file's value, such as `Bearer `.
        package var prefix = ""
    }

    /// Address; exactly one of it and `file` is given.
    package var address: String?
    /// File with the address, which is a secret for many services.
    package var addressFile: String?
    /// What is sent along.
    package var headers: [Header]
    /// File with certificates of authorities to believe in place of the system's; PEM.
    package var authorityFile: String?

    /// Most headers.
    package static let mostHeaders = 16

    /// A webhook that gets what is in a file as its bearer token (RFC 6750), if there is one.
    package init(address: String, tokenFile: String?) {
        self.address = address
        headers =
            tokenFile.map { [Header(name: "Authorization", value: nil, file: $0, prefix: "Bearer ")] } ?? []
    }

    init(address: String?, addressFile: String?, headers: [Header], authorityFile: String?) {
        self.address = address
        self.addressFile = addressFile
        self.headers = headers
        self.authorityFile = authorityFile
    }
}

/// A program of this host, which reads the notices as JSON on standard input and is told the most urgent one in its
/// environment.
package struct CommandTarget: Hashable, Sendable {
    /// Absolute path and arguments.
    package var command: [String]
    /// How long it may run, nanoseconds; then it and all that it started is ended.
    package var limit: UInt64

    /// - Parameters: see the properties.
    package init(command: [String], limit: UInt64) {
        self.command = command
        self.limit = limit
    }

    /// Most words of a command.
    package static let mostWords = 64
    /// How long it may run unless something else is said, nanoseconds.
    package static let usualLimit: UInt64 = 30 * 1_000_000_000
    /// How long it may run at most, nanoseconds.
    package static let longestLimit: UInt64 = 600 * 1_000_000_000
}
