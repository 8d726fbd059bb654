import Recovery
import Repository
import RepositoryFormat

/// What changed of a guest's machine and definition between two points.
struct DefinitionDifference: Encodable {
    struct Field: Encodable {
        let name: String
        let before: String
        let after: String
    }
    struct File: Encodable {
        let name: String
        /// `changed`, `added` or `removed`.
        let state: String
    }

    /// `equal`, `changed`, `added` (only the later point has a definition), `removed`, `none` (neither has) or `unread`
    /// (this credential does not open it).
    let state: String
    /// Machine type, processor, versions and what else the records say.
    let fields: [Field]
    /// Files of the definition.
    let files: [File]
    /// The lines of `domain.xml` that changed; see ``LineDifference``.
    let domain_xml: [String]
    /// Whether there are more.
    let domain_xml_is_cut: Bool
    /// Whether a password in `domain.xml` changed; passwords are never shown.
    let password_changed: Bool

    /// Compares.
    ///
    /// - Throws: ``RepositoryError``, ``FormatError``.
    init(_ before: RestorePointRecord, _ after: RestorePointRecord, reader: RepositoryReader) async throws {
        fields = DefinitionDifference.fields(before.machine, after.machine)
        let (hasOne, hasTwo) = (before.hasDefinition, after.hasDefinition)
        guard hasOne, hasTwo, reader.keys.opensContent else {
            (files, domain_xml, domain_xml_is_cut, password_changed) = ([], [], false, false)
            state = hasOne && hasTwo ? "unread" : hasOne ? "removed" : hasTwo ? "added" : "none"
            return
        }
        let one = try await StoredDefinition(before, reader: reader)
        let two = try await StoredDefinition(after, reader: reader)
        let (old, new) = (one?.files ?? [:], two?.files ?? [:])
        files = Set(old.keys).union(new.keys).sorted().compactMap { name in
            guard old[name] != new[name] else { return nil }
            return File(name: name, state: old[name] == nil ? "added" : new[name] == nil ? "removed" : "changed")
        }
        let texts = (one?.domain ?? "", two?.domain ?? "")
        let shown = (HiddenPasswords.lines(texts.0), HiddenPasswords.lines(texts.1))
        let difference = LineDifference(shown.0, shown.1)
        domain_xml = difference.lines
        domain_xml_is_cut = difference.isCut
        let secrets = (HiddenPasswords.secrets(texts.0), HiddenPasswords.secrets(texts.1))
        password_changed = secrets.0.contains { line, kept in secrets.1[line].map { $0 != kept } ?? false }
        state = files.isEmpty && fields.isEmpty ? "equal" : "changed"
    }

    private static func fields(
        _ before: RestorePointRecord.Machine?, _ after: RestorePointRecord.Machine?
    ) -> [Field] {
        guard let before, let after else { return [] }
        func drives(_ media: [String: String]) -> String {
            media.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        }
        var pairs = [
            ("machine type", before.type, after.type), ("CPU", before.cpu, after.cpu),
            ("name on the host", before.name, after.name), ("hypervisor", before.hypervisor, after.hypervisor),
            ("media", drives(before.media), drives(after.media)),
        ]
        for name in Set(before.versions.keys).union(after.versions.keys).sorted() {
            pairs.append(("version of \(name)", before.versions[name] ?? "", after.versions[name] ?? ""))
        }
        return pairs.filter { $0.1 != $0.2 }.map { Field(name: $0.0, before: $0.1, after: $0.2) }
    }

    /// For people.
    func show() {
        for field in fields {
            func word(_ text: String) -> String { text.isEmpty ? "nothing" : Console.printable(text) }
            Console.result("\(Console.printable(field.name)): was \(word(field.before)) and is \(word(field.after))")
        }
        switch state {
        case "equal": Console.result("definition: equal")
        case "none": Console.result("definition: neither point has one")
        case "added": Console.result("definition: the earlier point has none")
        case "removed": Console.result("definition: the later point has none")
        case "unread": Console.result("definition: not compared; this credential does not open it")
        default:
            for file in files { Console.result("definition, \(Console.printable(file.name)): \(file.state)") }
            for line in domain_xml { Console.result("  \(Console.printable(line))") }
            if domain_xml_is_cut { Console.result("  and more; `dozo restore POINT --definition-to` writes it whole") }
            if password_changed { Console.result("  a password in domain.xml changed; passwords are not shown") }
        }
    }
}

extension RestorePointRecord {
    /// Whether it holds the files that describe the guest.
    var hasDefinition: Bool { images.contains { $0.kind == Image.definitionKind } }
}
