/// What bounds the work on a memory image, however the stream was written. What a bound keeps from being placed is
/// stored as the bytes that it is.
package enum MemoryLimits {
    /// Bytes of a page, the only size that is placed.
    package static let pageByteCount: UInt64 = 4096
    /// Guest-physical addresses below which pages are placed: 16 TiB.
    package static let addressEnd: UInt64 = 1 << 44
    /// Stretches of pages and of literal bytes that are held at once, 32 bytes each: 128 MiB. A guest of 64 GiB whose
    /// pages come in stretches of four comes to that; beyond, the stream is stored as plain bytes.
    static let segments = 4 << 20
    /// Bytes of operations: a skeleton with more is neither written nor read.
    package static let operationByteCount = 64 << 20
    /// Blocks of 128 MiB in which pages were placed, 4 KiB each while a stream is read: 64 MiB.
    static let placedBlocks = 1 << 14
    /// Blocks of memory that a QEMU stream may name.
    static let memoryBlocks = 1024
    /// Bytes at the beginning of a QEMU stream in which its memory section must begin.
    static let preambleByteCount: UInt64 = 64 << 10
    /// Program headers of an ELF file, 24 bytes each while it is read.
    static let programHeaders: UInt64 = 1 << 20
    /// Section headers of an ELF file; Xen writes seven.
    static let sectionHeaders: UInt64 = 1024
    /// Pages in a record of Xen's, which writes 1,024.
    static let pagesPerRecord: UInt64 = 1 << 16
    /// Bytes of XML or configuration before the stream that a container holds.
    static let descriptionByteCount: UInt64 = 64 << 20
    /// Templates that a skeleton may define.
    static let templates = 64
    /// Bytes behind the number of a template.
    static let trailerByteCount = 64
}
