/// Rules of the sweep and of those beside it (format page §12) that a debug build can be told to break, one at a time:
/// so the tests prove that they would notice. A release build holds to all of them; there is nothing in it that could
/// be told.
package enum SweepRule: String, CaseIterable, Sendable {
    /// The verdict reads the sessions below the close, and pardons what they need.
    case verdictReadsSessions
    /// What is condemned is deleted when the close stands and its verdict is known, not before.
    case nothingGoesBeforeTheClose
    /// A close is carried out when every session below it has ended.
    case sessionsEndFirst
    /// The sessions below a close are its slots, not what a listing shows of them.
    case sessionsAreSlots
    /// A held point stays whatever is said.
    case holdBeatsForget
    /// Of forget and undo the later slot decides.
    case undoBeatsForget
    /// The horizon covers sessions that have ended.
    case horizonHasEnded
    /// What was condemned and found dead is absent when the next close is composed.
    case deadIsAbsent
    /// What the maps of living points lean on is needed.
    case pointsAreRoots
    /// An index run goes when every entry of it stands in the one that takes its place, and what is merged keeps what
    /// has no verdict.
    case runsHoldWhatTheyReplace
    /// A pack that was copied from goes by a close and its verdict, not behind the copy.
    case copiedFromGoesByClose
    /// What a sweep kept for the next one counts while the packs it names do.
    case marksAreCompared
    /// A backup that goes on in another session names all that it has in a last checkpoint.
    case movedIsCovered
    /// An unknown critical record stops a sweep.
    case unknownStops
    /// What waits for the approval of persons stays.
    case approvalsAreAsked
    /// A store that shows less than this host has seen stops a sweep.
    case wentBackStops

    #if DEBUG
        @TaskLocal private static var broken: SweepRule?
    #endif

    /// Whether the rule is to be held to.
    var holds: Bool {
        #if DEBUG
            SweepRule.broken != self
        #else
            true
        #endif
    }

    /// Runs `body` with one rule broken; for tests.
    ///
    /// - Precondition: `nil` in a release build.
    package static func breaking<Result>(_ rule: SweepRule?, _ body: () async throws -> Result) async rethrows -> Result
    {
        #if DEBUG
            try await $broken.withValue(rule, operation: body)
        #else
            precondition(rule == nil, "a release build breaks no rule")
            return try await body()
        #endif
    }
}
