import RepositoryFormat

/// A small object without which nothing opens, as its place and its spare hold it (format page §1).
struct SparedObject: Sendable {
    /// Name of its place.
    let name: String
    /// Bytes at the place; `nil` when nothing lies there.
    let place: [UInt8]?
    /// Bytes of the spare; `nil` when nothing lies there.
    let spare: [UInt8]?

    /// Whether nothing lies at either.
    var isAbsent: Bool { place == nil && spare == nil }
    /// Name of the spare.
    var spareName: String { ObjectPaths.spare(name) }

    /// What to try, in this order.
    var candidates: [[UInt8]] {
        [place, spare == place ? nil : spare].compactMap(\.self)
    }

    /// What is wrong, when `good` are the bytes that count; both when there are none.
    func findings(good: [UInt8]?, why: String = "") -> [RepositoryFinding] {
        guard let good else {
            return [place.map { _ in name }, spare.map { _ in spareName }].compactMap(\.self).map {
                RepositoryFinding(object: $0, sentence: "\($0) holds something else than belongs there\(why)")
            }
        }
        var findings: [RepositoryFinding] = []
        if place != good {
            findings.append(
                RepositoryFinding(
                    object: name,
                    sentence:
                        "\(name) is \(place == nil ? "missing" : "damaged"), and its spare is whole: `dozo verify "
                        + "--repair` puts it back"))
        }
        if spare != nil, spare != good {
            findings.append(
                RepositoryFinding(
                    object: spareName,
                    sentence:
                        "\(spareName) is damaged, and what it is the spare of is whole: `dozo verify --repair` puts "
                        + "it back"))
        }
        return findings
    }

    /// Whether only the spare is missing, as when whoever put the object was interrupted; nothing is damaged then.
    var lacksSpare: Bool { place != nil && spare == nil }
}
