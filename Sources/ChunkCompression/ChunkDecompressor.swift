import CZstd

/// A compressed chunk that is not what its entry says.
package struct CompressionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, for programs.
    package enum Code: Hashable, Sendable {
        /// Not one zstd frame, or a damaged one.
        case damaged
        /// A frame that holds more or fewer bytes than it should.
        case wrongLength
    }

    /// What a person can do about it.
    package enum Remedy: Hashable, Sendable {
        /// Another copy may be whole.
        case repair
    }

    /// See ``Code``.
    package let code: Code
    /// One sentence with the numbers.
    package let sentence: String
    /// See ``Remedy``.
    package let remedy = Remedy.repair

    package var description: String { sentence }
}

/// Opens compressed chunks with a reused context. Belongs to one worker at a time.
// Safety: the context is private, made once and freed once.
@safe package final class ChunkDecompressor {
    private let context: OpaquePointer

    /// - Precondition: the library can allocate a context (about 160 KiB).
    package init() {
        guard let context = unsafe ZSTD_createDCtx() else { preconditionFailure("no memory for a zstd context") }
        unsafe self.context = context
    }

    deinit {
        // Safety: nobody uses the context after this.
        unsafe ZSTD_freeDCtx(context)
    }

    /// Decompresses `input`, exactly one frame, to exactly fill `output`.
    ///
    /// Never writes past `output`, whatever the frame claims, and allocates nothing for it.
    /// - Throws: ``CompressionError``: `damaged` when it is not one whole frame, `wrongLength` when it does not fill
    ///   `output` exactly. What `output` holds is then undefined.
    package func decompress(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) {
        // Safety: both buffers live through the calls, and the library stays within the counts.
        let frame = unsafe ZSTD_findFrameCompressedSize(input.baseAddress, input.count)
        guard ZSTD_isError(frame) == 0, frame == input.count else {
            throw CompressionError(
                code: .damaged, sentence: "the \(input.count) compressed bytes of a chunk are not one whole zstd frame")
        }
        let claimed = unsafe ZSTD_getFrameContentSize(input.baseAddress, input.count)
        let unknown = UInt64.max
        guard claimed == unknown || claimed == UInt64(output.count) else {
            throw CompressionError(
                code: .wrongLength, sentence: "a compressed chunk says it holds \(claimed) bytes, not \(output.count)")
        }
        let written = unsafe ZSTD_decompressDCtx(
            context, output.baseAddress, output.count, input.baseAddress, input.count)
        guard ZSTD_isError(written) == 0 else {
            // Safety: the library's names of errors are constants.
            let words = unsafe String(cString: ZSTD_getErrorName(written))
            throw CompressionError(code: .damaged, sentence: "a compressed chunk does not open: \(words)")
        }
        guard written == output.count else {
            throw CompressionError(
                code: .wrongLength, sentence: "a compressed chunk holds \(written) bytes, not \(output.count)")
        }
    }
}
