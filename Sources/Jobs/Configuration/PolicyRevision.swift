import BackupModel
package import Notices

/// What a policy said when a run followed it: all that stands in the file about it, its sets of guests, its tier and
/// its repository, and a short mark that is another one as soon as any of that is.
package struct PolicyRevision: Hashable, Sendable {
    /// As the file has it.
    package let document: JSONDocument
    /// Eight hexadecimal digits.
    package let mark: String

    /// - Parameters:
    ///   - name: the policy's name.
    ///   - tree: the whole file.
    init?(of name: String, in tree: ConfigurationNode) {
        guard let policy = tree["policies"]?[name] else { return nil }
        func named(_ section: String, _ names: [String]) -> JSONDocument {
            .object(
                names.compactMap { name in
                    tree[section]?[name].map { JSONDocument.Member(name, $0.document) }
                })
        }
        let document = JSONDocument.members(
            ("policy", policy.document), ("guests", named("guests", policy["guests"]?.texts ?? [])),
            ("tier", named("tiers", policy["tier"]?.texts ?? [])),
            ("repository", named("repositories", policy["repository"]?.texts ?? [])),
            ("time-zone", tree["time-zone"]?.document))
        self.document = document
        // Folded: a mark to tell revisions apart.
        let hash = FowlerNollVo.hash(document.encoded)
        let digits = String(UInt32(truncatingIfNeeded: hash ^ hash >> 32), radix: 16)
        mark = String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension ConfigurationNode {
    /// A value of a section; `nil` when there is none or this is no section.
    fileprivate subscript(key: String) -> ConfigurationNode? {
        guard case .section(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// The texts of a list, or the one text.
    fileprivate var texts: [String] {
        switch content {
        case .scalar(let text, _): [text]
        case .list(let list): list.flatMap(\.texts)
        case .section: []
        }
    }

    /// Without the order of its keys, which means nothing.
    fileprivate var document: JSONDocument {
        switch content {
        case .scalar(let text, _): .text(text)
        case .list(let list): .list(list.map(\.document))
        case .section(let entries):
            .object(entries.sorted { $0.key < $1.key }.map { JSONDocument.Member($0.key, $0.value.document) })
        }
    }
}
