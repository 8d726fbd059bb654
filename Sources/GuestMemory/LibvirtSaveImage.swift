/// The front of what `virsh save` writes, as far as somebody asks for the guest's description in it.
package enum LibvirtSaveImage {
    /// Bytes before the description.
    package static let headerByteCount = 92

    /// Bytes of the description, with what libvirt puts behind it.
    ///
    /// - Parameter header: the first ``headerByteCount`` bytes of the file.
    /// - Returns: `nil` when it is no such file, or when the description would be longer than is believed.
    package static func descriptionByteCount(header: [UInt8]) -> Int? {
        guard header.count >= headerByteCount, header.starts(with: LibvirtSaveParser.magic) else { return nil }
        func word(_ offset: Int) -> UInt32 {
            header[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        let (version, length) = (word(16), word(20))
        guard (1...2).contains(version), UInt64(length) <= MemoryLimits.descriptionByteCount else { return nil }
        return Int(length)
    }

    /// The guest's description: XML, up to the first zero byte. - Parameter bytes: what stands behind the header.
    /// - Returns: `nil` when it is empty or no text.
    package static func description(_ bytes: some Sequence<UInt8>) -> String? {
        let text = String(validating: bytes.prefix { $0 != 0 }, as: UTF8.self)
        return text.flatMap { $0.isEmpty ? nil : $0 }
    }
}
