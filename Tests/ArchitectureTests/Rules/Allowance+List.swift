extension Allowance {
    /// Every exception there is.
    static let all: [Allowance] = [
        Allowance(
            .leftoverWord, "Tests/ArchitectureTests/", because: "the rule itself and its proof have to name the words"),
        Allowance(
            .doorToTheWorld, "Sources/GuestSource/HostFile.swift", containing: "clock_gettime",
            because: "compares the host's own file times with the coarse clock that stamps them; no decision about data"
        ),
        Allowance(
            .deletion, "Sources/Repository/Opening/KeySlots.swift", containing: "delete(",
            because: "a key slot that a person removes by name; nothing that holds data"),
        Allowance(
            .deletion, "Sources/Repository/Verification/SpareRepair.swift", containing: "delete(",
            because: "damaged bytes make room for the whole ones that stand elsewhere; nothing that holds data"),
        Allowance(
            .machinePath, "scripts/make-guest-image", because: "a path inside of the guest, not of this machine"),
        Allowance(
            .unstructuredTask, "Sources/Effects/PeriodicWatch.swift", containing: "pthread_create",
            because: "looks after what must be looked after while every task waits; joined when the watch ends"),
        Allowance(
            .unstructuredTask, "Sources/Commands/DozoProcess.swift", containing: "pthread_create",
            because: "sigwait needs a thread of its own; it carries nothing but the wish to stop"),
        Allowance(
            .unstructuredTask, "Sources/Commands/DozoProcess.swift", containing: "Task",
            because: "the whole command, which that thread must be able to cancel when no thread of the pool is free"),
    ]
}
