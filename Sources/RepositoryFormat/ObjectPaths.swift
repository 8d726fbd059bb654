package import BackupModel

/// How objects that are found by their number are named (format page §1).
package enum ObjectPaths {
    /// A number as eight decimal digits.
    package static func digits(_ number: UInt32) -> String {
        precondition(number <= FormatLimits.number, "a number in a name has eight digits")
        let text = String(number)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    /// `owner/<n>`.
    package static func ownerStatement(_ number: UInt32) -> String { "owner/\(digits(number))" }
    /// `store/<i>`.
    package static func storeIdentity(_ incarnation: UInt32) -> String { "store/\(digits(incarnation))" }
    /// `log/<i>/<epoch>/<n>`.
    package static func slot(_ slot: SlotNumber) -> String {
        "log/\(digits(slot.incarnation))/\(digits(slot.epoch))/\(digits(slot.number))"
    }
    /// `ledger/<hash>`.
    package static func ledger(_ hash: Hash256) -> String { "ledger/\(hash.hexadecimal)" }
    /// `s/<writer>/<session>/<k>`.
    package static func sessionEntry(writer: WriterID, session: SessionID, number: UInt32) -> String {
        "s/\(writer)/\(session)/\(digits(number))"
    }
    /// Whether a name stands in the table of format page §1, spelled exactly so.
    package static func isName(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        func isNumber(_ part: Substring) -> Bool {
            part.utf8.count == 8 && part.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        }
        switch (parts[0], parts.count) {
        case ("owner", 2), ("store", 2): return isNumber(parts[1])
        case ("keys", 2): return parts[1].utf8.count == 32 && [UInt8](hexadecimal: parts[1]) != nil
        case ("log", 4): return parts[1...].allSatisfy(isNumber)
        case ("ledger", 2), ("bundles", 2): return Hash256(hexadecimal: parts[1]) != nil
        case ("s", 4):
            return WriterID(hexadecimal: parts[1]) != nil && SessionID(hexadecimal: parts[2]) != nil
                && isNumber(parts[3])
        case ("packs", 3), ("runs", 3): return ObjectKey(name: name, folder: String(parts[0])) != nil
        case ("parity", 2...), ("proofs", 2...): return true
        case ("spare", 3):
            return ["owner", "store", "keys"].contains(parts[1]) && isName(String(name.dropFirst("spare/".count)))
        default: return false
        }
    }

    /// `spare/<name>`: where an owner statement, a key slot or a store's identity stands once more.
    package static func spare(_ name: String) -> String { "spare/\(name)" }

    /// `keys/<slot id>`, 32 digits.
    package static func keySlot(_ identifier: String) -> String { "keys/\(identifier)" }
}

/// Where a slot stands in the control log of a store.
package struct SlotNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Incarnation of the store.
    package let incarnation: UInt32
    /// Epoch; ends with a `close`.
    package let epoch: UInt32
    /// Number in the epoch.
    package let number: UInt32

    /// A place from its three numbers.
    package init(incarnation: UInt32, epoch: UInt32, number: UInt32) {
        self.incarnation = incarnation
        self.epoch = epoch
        self.number = number
    }

    /// The slot behind this one in the same epoch.
    package var next: SlotNumber { SlotNumber(incarnation: incarnation, epoch: epoch, number: number + 1) }
    /// The first slot of the following epoch.
    package var nextEpoch: SlotNumber { SlotNumber(incarnation: incarnation, epoch: epoch + 1, number: 0) }

    package var description: String { "slot \(incarnation)/\(epoch)/\(number)" }

    package static func < (left: SlotNumber, right: SlotNumber) -> Bool {
        (left.incarnation, left.epoch, left.number) < (right.incarnation, right.epoch, right.number)
    }
}
