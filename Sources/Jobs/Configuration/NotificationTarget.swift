package import Notices

/// Whoever can be told.
package enum NotificationTarget: Hashable, Sendable {
    /// Letters by SMTP.
    case email(EmailTarget)
    /// A POST to a URL; the file has the token that goes with it (`Authorization: Bearer`).
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
    /// A host's name or address.
    package let server: String
    /// The port, 1…65535.
    package let port: Int
    /// How the way is protected.
    package let security: MailTarget.Security
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

/// Which notices go to which targets.
package struct NotificationRule: Hashable, Sendable {
    /// The name it has in the file.
    package let name: String
    /// What it is about, and whom it tells.
    package let rule: NoticeRule
}
