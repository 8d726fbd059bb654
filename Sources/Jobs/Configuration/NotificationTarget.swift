/// Whoever can be told.
package enum NotificationTarget: Hashable, Sendable {
    /// Letters by SMTP.
    case email(EmailTarget)
    /// A POST to a URL; the file has the secret that it is signed with.
    case webhook(url: String, secretFile: String?)
    /// The system's log, with a facility such as `daemon`.
    case syslog(facility: SyslogFacility)
    /// The journal, with a field for each fact.
    case journal
    /// A program that gets the event on its standard input.
    case command(RunHook)
}

/// What a target may be.
enum NotificationKind: String, CaseIterable, Sendable { case email, webhook, syslog, journal, command }

/// Letters by SMTP.
package struct EmailTarget: Hashable, Sendable {
    /// How the way to the server is protected.
    package enum Security: String, Hashable, Sendable, CaseIterable {
        /// Begins in clear and turns to TLS before anything is said.
        case starttls
        /// TLS from the first byte.
        case tls
        /// In clear; only to this host.
        case none

        /// The port that is usual.
        package var port: Int {
            switch self {
            case .starttls: 587
            case .tls: 465
            case .none: 25
            }
        }
    }
    /// A host's name or address.
    package let server: String
    /// The port, 1…65535.
    package let port: Int
    /// How the way is protected.
    package let security: Security
    /// Whom the server knows, with the file that has the password; `nil` when it asks for nobody.
    package let login: Login?
    /// The sender's address.
    package let from: String
    /// Addresses.
    package let to: [String]

    /// Whom the server knows.
    package struct Login: Hashable, Sendable {
        /// The name.
        package let user: String
        /// The file with the password.
        package let passwordFile: String
    }
}

/// Facilities of syslog (RFC 5424) that a service of a host may take.
package enum SyslogFacility: String, Hashable, Sendable, CaseIterable {
    /// A service of the host.
    case daemon
    /// A program of a user.
    case user
    /// For uses of the site's own.
    case local0, local1, local2, local3, local4, local5, local6, local7
}

/// What happened, or did not.
package enum NotificationEvent: String, Hashable, Sendable, CaseIterable {
    /// A run made its point.
    case done
    /// A run that was due did not begin, or nobody heard of it.
    case missed
    /// It began or ended later than it should have.
    case late
    /// It failed.
    case failed
    /// Something was left out.
    case partial
    /// A guest that no policy covers.
    case unprotected
    /// The newest point is older than the RPO.
    case rpoBreach = "rpo-breach"
    /// Not all that is due will fit into the window.
    case windowOverrun = "window-overrun"
    /// The repository will be full by a date.
    case repositoryFull = "repository-full"
    /// No point of a guest was verified for too long.
    case unverified
    /// What changed looks like what malware encrypts.
    case encryptionLike = "encryption-like"
    /// A list of changes was caught lying.
    case changesUntrue = "changes-untrue"
    /// A guest did not come back from being at rest.
    case guestFrozen = "guest-frozen"
}

/// How bad an event is.
package enum NotificationSeverity: String, Hashable, Sendable, CaseIterable, Comparable {
    /// For the record.
    case notice
    /// Somebody should look at it by day.
    case warning
    /// Somebody should look at it now.
    case alarm

    package static func < (left: NotificationSeverity, right: NotificationSeverity) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .notice: 0
        case .warning: 1
        case .alarm: 2
        }
    }
}

/// Which events go to which targets.
package struct NotificationRule: Hashable, Sendable {
    /// The name it has in the file.
    package let name: String
    /// The events; all when empty.
    package let events: Set<NotificationEvent>
    /// The least severity.
    package let severity: NotificationSeverity
    /// Patterns of names of guests; all when empty, and events of no guest then too.
    package let guests: [NamePattern]
    /// Names of targets.
    package let targets: [String]

    /// Whether it is about an event.
    ///
    /// - Parameter guest: the guest's name; `nil` for an event of none.
    package func matches(_ event: NotificationEvent, _ severity: NotificationSeverity, guest: String?) -> Bool {
        guard events.isEmpty || events.contains(event), severity >= self.severity else { return false }
        guard !guests.isEmpty else { return true }
        return guest.map { name in guests.contains { $0.matches(name) } } ?? false
    }
}
