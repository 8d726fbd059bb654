/// FNV-1a of 64 bits (Fowler, Noll and Vo), by which names and small texts are told apart: fast and the same on every
/// host, and no proof of anything, for who may choose the text chooses the number.
package enum FowlerNollVo {
    private static let offset: UInt64 = 0xCBF2_9CE4_8422_2325
    private static let prime: UInt64 = 0x0000_0100_0000_01B3

    /// The number of some bytes.
    package static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(offset) { ($0 ^ UInt64($1)) &* prime }
    }
}
