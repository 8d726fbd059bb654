/// The limits of format page §1. A reader checks them before it allocates; a writer never comes near.
package enum FormatLimits {
    /// Bytes of any object.
    package static let objectByteCount = 64 << 20
    /// Plain bytes of one chunk.
    package static let chunkByteCount = 4 << 20
    /// Entries of a pack's directory.
    package static let directoryEntryCount = 65_536
    /// Keys of a pack's key table.
    package static let packKeyCount = 4_096
    /// Levels of an image map above its leaves.
    package static let mapDepth = 8
    /// Nested arrays and maps of a record.
    package static let recordDepth = 8
    /// Bytes of a record's CBOR.
    package static let recordByteCount = 16 << 20
    /// Bytes of a control-log slot, header and signature included.
    package static let slotByteCount = 4_096
    /// Key slots that are tried with one secret; each costs a second of work.
    package static let keySlotCount = 64
    /// Heads of sessions that one object carries.
    package static let headCount = 1_024
    /// Largest number of a statement, slot or entry: its name has eight decimal digits for it.
    package static let number: UInt32 = 99_999_999
    /// UTF-8 bytes of one text.
    package static let textByteCount = 4_096
}
