extension CallCounts {
    /// What each kind of work is held to. Raising one is a decision: say in docs/performance.md what it is spent on.
    ///
    /// A page costs nothing anywhere. What is left of a chunk: the maps that are written and the set of what this run
    /// has stored grow (their copies, shared out), a restore gets the bytes of each chunk in an array of their own, and
    /// asking for cancellation and for the index counts references.
    static let allowances = [
        Allowance(work: .cutting, allocations: 0.01, references: 0.05, inHashLibrary: 2.1),
        Allowance(work: .full, allocations: 2, references: 10, inHashLibrary: 4.5),
        Allowance(work: .night, allocations: 0.6, references: 8, inHashLibrary: 2.5),
        Allowance(work: .restore, allocations: 1.8, references: 24, inHashLibrary: 4.8),
        Allowance(work: .verify, allocations: 0.5, references: 32, inHashLibrary: 4.8),
    ]
}
