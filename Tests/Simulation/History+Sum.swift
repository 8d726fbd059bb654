extension History {
    /// What many histories with sweeps came to.
    package struct Sum: Sendable {
        /// Histories played, points committed, of them by backups that went on in another session, readings that ended.
        package private(set) var (histories, commits, moved, read) = (0, 0, 0, 0)
        /// What their sweeps did.
        package private(set) var swept = Swept()

        /// Nothing yet.
        package init() {}

        /// Adds one history.
        package mutating func add(_ report: Report) {
            histories += 1
            commits += report.commits
            moved += report.moved
            read += report.read
            swept.deleted += report.swept.deleted
            swept.dropped += report.swept.dropped
            swept.closes += report.swept.closes
            swept.fenced += report.swept.fenced
            swept.waits += report.swept.waits
            swept.merged += report.swept.merged
            swept.rewritten += report.swept.rewritten
        }

        /// The fewest times that any of what the histories are for has happened.
        package var rarest: Int { min(commits, moved, read, swept.fenced, swept.merged, swept.rewritten) }
    }

    /// Plays the history of one seed, with sweeps; in every third one sessions say every few packs what they have
    /// stored, and some hosts are so slow that epochs are closed meanwhile; in a third of those one machine has several
    /// guests.
    package static func playSwept(
        seed: UInt64, template: RepositoryTemplate, mutant: Mutant = Mutant()
    ) async -> Report {
        await play(
            seed: seed, template: template, mutant: mutant, sweeps: true, sharesHost: seed % 9 == 0,
            checkpoints: seed % 3 == 0)
    }
}
