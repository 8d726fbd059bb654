package import BackupModel

/// Which notices go where, and when.
package struct NoticeRule: Hashable, Sendable {
    /// Kinds that it is about; `nil` for all.
    package var kinds: Set<NoticeKind>?
    /// The least severity.
    package var atLeast: NoticeSeverity
    /// Guests that it is about; `nil` for all, and for what is about no guest.
    package var guests: [NamePattern]?
    /// Names of targets.
    package var targets: [String]
    /// Whether they wait for the end of the night and go as one message.
    package var isDigest: Bool
    /// Whether good news is sent too.
    package var tellsOver: Bool

    /// - Parameters: see the properties.
    package init(
        kinds: Set<NoticeKind>? = nil, atLeast: NoticeSeverity = .information, guests: [NamePattern]? = nil,
        targets: [String], isDigest: Bool = false, tellsOver: Bool = true
    ) {
        self.kinds = kinds
        self.atLeast = atLeast
        self.guests = guests
        self.targets = targets
        self.isDigest = isDigest
        self.tellsOver = tellsOver
    }

    /// Whether it is about the notice. What is over goes where the problem went.
    package func matches(_ notice: Notice) -> Bool {
        guard notice.phase != .over || tellsOver else { return false }
        return concerns(notice.kind, notice.severity, guest: notice.subject.guest)
    }

    /// Whether it is about notices like this.
    ///
    /// - Parameter guest: the guest's name; `nil` for what is about none.
    package func concerns(_ kind: NoticeKind, _ severity: NoticeSeverity, guest: String?) -> Bool {
        guard kinds?.contains(kind) ?? true, severity >= atLeast else { return false }
        guard let guests else { return true }
        return guest.map { name in guests.contains { $0.matches(name) } } ?? false
    }
}
