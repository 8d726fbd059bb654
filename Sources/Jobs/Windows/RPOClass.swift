/// How old a guest's newest point is, measured by its RPO.
package enum RPOClass: Hashable, Sendable, Comparable, CaseIterable {
    /// Younger than the RPO: what was promised.
    case met
    /// Up to twice the RPO.
    case upToTwice
    /// Up to four times the RPO.
    case upToFourTimes
    /// Older than that.
    case beyond
    /// There is no point at all.
    case unprotected

    /// - Parameters:
    ///   - newest: the instant of the newest point, in seconds since 1970; `nil` when there is none.
    ///   - time: when it is judged, in seconds since 1970; a point that lies behind it is new.
    ///   - rpo: in seconds, above 0.
    package init(newest: Int?, at time: Int, rpo: Int) {
        precondition(rpo > 0, "an RPO is a length of time")
        guard let newest else {
            self = .unprotected
            return
        }
        let age = max(0, time - newest)
        // By division, for four times a large RPO may be no number.
        self =
            switch age {
            case ..<rpo: .met
            case _ where age - rpo <= rpo: .upToTwice
            case _ where (age - 1) / 4 < rpo: .upToFourTimes
            default: .beyond
            }
    }

    /// As it stands in a report.
    package var words: String {
        switch self {
        case .met: "< 1 × RPO"
        case .upToTwice: "≤ 2 × RPO"
        case .upToFourTimes: "≤ 4 × RPO"
        case .beyond: "> 4 × RPO"
        case .unprotected: "no point"
        }
    }
}
