import COpenSSL

/// Bytes that must not be printed, compared early-out, or left behind in memory.
///
/// A value is a reference to one immutable allocation; copies share it, and it is wiped when the last one goes. Arrays
/// a secret was copied from are the caller's to forget: prefer ``init(byteCount:initializingWith:)``, which fills in
/// place.
package struct SecretBytes: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let storage: Storage

    /// Copies `bytes`; any count, also none.
    package init(copying bytes: [UInt8]) {
        // Safety: the array lives through the call, which copies it.
        self = unsafe bytes.withUnsafeBytes { buffer in unsafe SecretBytes(copying: buffer) }
    }

    /// Copies the bytes of `buffer`, which is not kept.
    package init(copying buffer: UnsafeRawBufferPointer) {
        // Safety: both buffers have `buffer.count` bytes; the new one cannot overlap.
        unsafe self.init(byteCount: buffer.count) { unsafe $0.copyMemory(from: buffer) }
    }

    /// Allocates `byteCount` zero bytes and lets `body` fill them; they are wiped when `body` throws.
    package init<Failure: Error>(
        byteCount: Int, initializingWith body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(byteCount >= 0, "a secret has no negative size")
        let storage = Storage(byteCount: byteCount)
        // Safety: nobody else refers to the storage yet, and it outlives the call.
        try unsafe body(storage.buffer)
        self.storage = storage
    }

    /// Number of bytes.
    // Safety: the count is read, the bytes are not.
    package var count: Int { unsafe storage.buffer.count }

    /// Calls `body` with the bytes, which live for the call only and must not be copied out without need.
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // Safety: `self` keeps the storage alive until after the call.
        let result = try unsafe body(UnsafeRawBufferPointer(storage.buffer))
        extendLifetime(storage)
        return result
    }

    /// True when counts and bytes are equal; the time taken depends on the counts only.
    package static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        unsafe left.withUnsafeBytes { leftBytes in
            unsafe right.withUnsafeBytes { rightBytes in unsafe ConstantTime.areEqual(leftBytes, rightBytes) }
        }
    }

    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    // Safety: the bytes are written only inside SecretBytes' initialiser, before any second reference exists.
    @safe private final class Storage: @unchecked Sendable {
        let buffer: UnsafeMutableRawBufferPointer

        init(byteCount: Int) {
            unsafe buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
            // Safety: the whole allocation, which is ours.
            _ = unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
        }

        deinit {
            // Safety: the last reference is going; wipes in a way the optimiser must keep.
            unsafe ConstantTime.wipe(buffer)
            unsafe buffer.deallocate()
        }
    }
}
