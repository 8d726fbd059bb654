package import BackupModel

/// The key of a pack or an index run: what inventories, condemned lists and deletes name (format page §1).
package struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// SHA-256 of the object's bytes.
    package let hash: Hash256
    /// Epoch of the control-log slot under which it was stored.
    package let generation: UInt32

    /// A key from its two parts.
    package init(hash: Hash256, generation: UInt32) {
        self.hash = hash
        self.generation = generation
    }

    /// `packs/<hh>/<hash>.<g>`.
    package var packName: String { name(folder: "packs") }
    /// `runs/<hh>/<hash>.<g>`.
    package var runName: String { name(folder: "runs") }

    private func name(folder: String) -> String {
        let digits = hash.hexadecimal
        // Piece by piece: a look-up that meets a pack for the first time spends more on its name than on the index.
        var name = folder
        name.reserveCapacity(folder.utf8.count + digits.utf8.count + 16)
        name += "/"
        name += digits.prefix(2)
        name += "/"
        name += digits
        name += "."
        name += String(generation)
        return name
    }

    /// Hash and generation, as in a pack's name.
    package var description: String { "\(hash.hexadecimal).\(generation)" }

    /// Parses the name of a pack or run; `nil` unless it is spelled exactly as it would be written.
    package init?(name: String, folder: String) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == folder else { return nil }
        let halves = parts[2].split(separator: ".", omittingEmptySubsequences: false)
        guard halves.count == 2, let hash = Hash256(hexadecimal: halves[0]), let generation = UInt32(halves[1]) else {
            return nil
        }
        self.init(hash: hash, generation: generation)
        guard self.name(folder: folder) == name else { return nil }
    }

    package static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        left.hash == right.hash ? left.generation < right.generation : left.hash < right.hash
    }
}
