import RepositoryFormat

/// A small object without which nothing opens, as its place and its spare hold it (format page §1).
struct SparedObject: Sendable {
    /// Name of its place.
    let name: String
    /// What lies at the place.
    let place: ObjectAccess.Look
    /// What lies in the spare.
    let spare: ObjectAccess.Look

    /// Whether nothing lies at either.
    var isAbsent: Bool { place == .absent && spare == .absent }
    /// Name of the spare.
    var spareName: String { ObjectPaths.spare(name) }

    /// What to try, in this order.
    var candidates: [[UInt8]] {
        [place.readable, spare == place ? nil : spare.readable].compactMap(\.self)
    }

    /// Both, with their names.
    var copies: [(name: String, look: ObjectAccess.Look)] { [(name, place), (spareName, spare)] }

    /// What is wrong, when `good` are the bytes that count; both when there are none.
    func findings(good: [UInt8]?, why: String = "") -> [RepositoryFinding] {
        guard let good else {
            return copies.filter { $0.look != .absent }.map { copy in
                RepositoryFinding(
                    object: copy.name,
                    sentence: SparedObject.reason(copy.look).map { "\(copy.name) \($0)" }
                        ?? "\(copy.name) holds something else than belongs there\(why)")
            }
        }
        // A spare that is missing is no damage: see `lacksSpare`.
        return copies.filter { $0.look != .bytes(good) && ($0.name == name || $0.look != .absent) }.map { copy in
            let what = SparedObject.reason(copy.look) ?? (copy.look == .absent ? "is missing" : "is damaged")
            let other = copy.name == name ? "its spare" : "what it is the spare of"
            return RepositoryFinding(
                object: copy.name,
                sentence: "\(copy.name) \(what), and \(other) is whole: `dozo verify --repair` puts it back")
        }
    }

    private static func reason(_ look: ObjectAccess.Look) -> String? {
        if case .unreadable(let why) = look { "cannot be read (\(why))" } else { nil }
    }

    /// Whether only the spare is missing, as when whoever put the object was interrupted; nothing is damaged then.
    var lacksSpare: Bool { place.readable != nil && spare == .absent }

    /// Why the store fails at a copy, when it does and the other one does not help.
    var unreadable: RepositoryError? {
        for case .unreadable(let why) in copies.map(\.look) {
            return RepositoryError(.storage, why, .retry)
        }
        return nil
    }
}
