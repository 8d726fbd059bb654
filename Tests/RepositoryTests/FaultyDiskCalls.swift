import Effects
import Glibc
import Synchronization

/// What goes wrong at one call to the files of a restore.
enum DiskFault: Hashable, CaseIterable {
    /// It fails and did nothing, this once.
    case input, full, interrupted
    /// It fails, and all behind it too.
    case inputFromThenOn
    /// It is carried out, and the answer is an error.
    case inputBehind
    /// A read or write does half of what was asked.
    case short
    /// A sync fails, and what was written since the last one never reaches the disk, though reads show it as long as
    /// the kernel remembers.
    case losesWrites

    var number: Int32 {
        switch self {
        case .full: ENOSPC
        case .interrupted: EINTR
        default: EIO
        }
    }
}

/// What a restore would do wrong that took this answer for a good one. Bad reads are not among them: what was read is
/// compared, and what does not fit is written.
enum DiskMutant: Hashable, CaseIterable {
    case swallowsWriteErrors, takesShortWritesForWhole, swallowsSyncErrors, swallowsResizeErrors, neverForgets
}

/// The host's calls, of which one goes wrong; between it and the restore there may be a mutant.
final class FaultyDiskCalls: DiskCalls {
    private struct State {
        var count = 0
        /// What the disk holds of places that were written and not made durable.
        var unsynced: [(descriptor: Int32, offset: UInt64, bytes: [UInt8])] = []
        var lost: [(descriptor: Int32, offset: UInt64, bytes: [UInt8])] = []
    }

    private let host = HostDiskCalls()
    private let number: Int
    private let fault: DiskFault
    private let mutant: DiskMutant?
    private let state = Mutex(State())

    /// - Parameter number: of the call, from 0; beyond the last one nothing goes wrong.
    init(at number: Int, _ fault: DiskFault, mutant: DiskMutant? = nil) {
        self.number = number
        self.fault = fault
        self.mutant = mutant
    }

    /// The same disk, on which nothing goes wrong any more.
    var afterwards: FaultyDiskCalls {
        let calls = FaultyDiskCalls(at: .max, fault, mutant: mutant)
        let lost = state.withLock { state in
            defer { state.lost = [] }
            return state.lost
        }
        calls.state.withLock { $0.lost = lost }
        return calls
    }

    var count: Int { state.withLock { $0.count } }

    /// Counts a call and makes it, or not. - Returns: its answer.
    private func call(_ body: () -> Int) -> Int {
        let number = state.withLock { state in
            defer { state.count += 1 }
            return state.count
        }
        if fault == .inputFromThenOn, number >= self.number { return -Int(fault.number) }
        guard number == self.number else { return body() }
        switch fault {
        case .input, .full, .interrupted: return -Int(fault.number)
        case .inputBehind:
            _ = body()
            return -Int(EIO)
        default: return body()
        }
    }

    /// Whether the next call does half of what is asked.
    private var isShort: Bool { fault == .short && count == number }

    func open(_ path: String, flags: Int32) -> Int { call { host.open(path, flags: flags) } }

    func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        let count = isShort ? max(1, buffer.count / 2) : buffer.count
        // Safety: a part of the caller's buffer.
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        return call { unsafe host.read(descriptor, into: part, at: offset) }
    }

    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        let count = isShort ? max(1, bytes.count / 2) : bytes.count
        // Safety: a part of the caller's buffer; the array has the count that is read into it.
        let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        var before = [UInt8](repeating: 0, count: count)
        _ = unsafe before.withUnsafeMutableBytes { unsafe host.read(descriptor, into: $0, at: offset) }
        state.withLock { $0.unsynced.append((descriptor, offset, before)) }
        let answer = call { unsafe host.write(descriptor, part, at: offset) }
        if mutant == .swallowsWriteErrors, answer < 0 { return bytes.count }
        return mutant == .takesShortWritesForWhole && answer > 0 ? bytes.count : answer
    }

    func resize(_ descriptor: Int32, to byteCount: UInt64) -> Int {
        let answer = call { host.resize(descriptor, to: byteCount) }
        return mutant == .swallowsResizeErrors ? max(0, answer) : answer
    }

    func punch(_ descriptor: Int32, at offset: UInt64, count: UInt64) -> Int {
        call { host.punch(descriptor, at: offset, count: count) }
    }

    func sync(_ descriptor: Int32) -> Int {
        let loses = fault == .losesWrites && count == number
        let answer = call { loses ? -Int(EIO) : host.sync(descriptor) }
        state.withLock { state in
            if loses { state.lost += state.unsynced }
            if answer >= 0 || loses { state.unsynced = [] }
        }
        return mutant == .swallowsSyncErrors ? max(0, answer) : answer
    }

    func forget(_ descriptor: Int32) -> Int {
        if mutant == .neverForgets { return 0 }
        return call {
            showDisk(descriptor)
            return host.forget(descriptor)
        }
    }

    func link(_ path: String, to new: String) -> Int { call { host.link(path, to: new) } }
    func rename(_ path: String, to new: String) -> Int { call { host.rename(path, to: new) } }
    func unlink(_ path: String) -> Int { call { host.unlink(path) } }

    /// Lets a file show what the disk holds of it. - Returns: whether that is something else.
    @discardableResult
    func showDisk(_ descriptor: Int32) -> Bool {
        let lost = state.withLock { state in
            defer { state.lost = [] }
            return state.lost
        }
        for (_, offset, bytes) in lost.reversed() {
            // Safety: the array lives through the call.
            _ = unsafe bytes.withUnsafeBytes { unsafe host.write(descriptor, $0, at: offset) }
        }
        return !lost.isEmpty
    }

    /// The same for a file by its name: what is found after a power loss.
    func showDisk(_ path: String) {
        let file = host.open(path, flags: O_RDWR)
        guard file >= 0 else { return }
        showDisk(Int32(file))
        close(Int32(file))
    }
}
