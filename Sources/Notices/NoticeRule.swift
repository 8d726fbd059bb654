/// A pattern of names as shells have it: `*` for any text, `?` for one character, everything else for itself.
package struct NamePattern: Hashable, Sendable {
    /// Most bytes of a pattern.
    package static let longest = 512
    private let parts: [Character]
    /// As it was given.
    package let text: String

    /// `nil` for a pattern that is empty or too long.
    package init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= NamePattern.longest else { return nil }
        self.text = text
        parts = Array(text)
    }

    /// Whether it stands for the name; takes no longer than their lengths multiplied.
    package func matches(_ name: String) -> Bool {
        let name = Array(name)
        var (part, place) = (0, 0)
        // Where the last star stands and what it was tried with: only that one is ever tried with more.
        var retry: (part: Int, place: Int)?
        while place < name.count {
            if part < parts.count, parts[part] == "*" {
                retry = (part, place)
                part += 1
            } else if part < parts.count, parts[part] == "?" || parts[part] == name[place] {
                part += 1
                place += 1
            } else if let last = retry {
                retry = (last.part, last.place + 1)
                part = last.part + 1
                place = last.place + 1
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { $0 == "*" }
    }
}

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
        guard kinds?.contains(notice.kind) ?? true, notice.severity >= atLeast else { return false }
        guard notice.phase != .over || tellsOver else { return false }
        guard let guests else { return true }
        guard let name = notice.subject.guest else { return false }
        return guests.contains { $0.matches(name) }
    }
}
