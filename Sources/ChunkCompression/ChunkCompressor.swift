// Compresses chunks with zstd and opens them again within a stated bound.
//
// One frame a chunk, no dictionary, no checksum inside (the chunk's authentication tag and identity stand behind it).
// The contexts are reused: creating one costs more than a small chunk. Each worker has its own; nothing here is shared.
import CZstd

/// Compresses one chunk after the other with a reused context. Belongs to one worker at a time.
// Safety: the context is private, made once and freed once.
@safe package final class ChunkCompressor {
    /// Levels this module offers. Higher ones cost more than they save on disk images; negative ones do not pay at all.
    package static let levels = 1...19

    private let context: OpaquePointer

    /// - Parameter level: one of ``levels``.
    /// - Precondition: the library can allocate a context (about 1 MiB at level 1).
    package init(level: Int = 1) {
        precondition(ChunkCompressor.levels.contains(level), "a zstd level is 1 to 19")
        // Safety: the fresh context is ours alone until the deinitialiser.
        guard let context = unsafe ZSTD_createCCtx() else { preconditionFailure("no memory for a zstd context") }
        let status = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
        precondition(ZSTD_isError(status) == 0, "zstd accepts the levels 1 to 19")
        unsafe self.context = context
    }

    deinit {
        // Safety: nobody uses the context after this.
        unsafe ZSTD_freeCCtx(context)
    }

    /// Compresses `input` to the front of `output`.
    ///
    /// - Parameter output: its size is the most the result may take; give one byte fewer than `input` to learn whether
    ///   compressing pays. Must not overlap `input`.
    /// - Returns: bytes written, or `nil` when the result does not fit: store the chunk as it is.
    package func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        // Safety: both buffers live through the call, and the library stays within the counts.
        let written = unsafe ZSTD_compress2(
            context, output.baseAddress, output.count, input.baseAddress, input.count)
        return ZSTD_isError(written) == 0 ? written : nil
    }
}
