/// Tar archives written by hand, so that they can say what no program would write.
struct TarSample {
    private(set) var bytes: [UInt8] = []

    /// An archive with its end.
    var closed: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

    /// A header block with a right checksum. `size` is text, or eleven digits and a zero.
    static func header(
        _ name: String, size: [UInt8], type: Character = "0", prefix: String = "", magic: String = "ustar\0" + "00"
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: [UInt8], at place: Int, _ room: Int) {
            block.replaceSubrange(place..<(place + min(room, text.count)), with: text.prefix(room))
        }
        put(Array(name.utf8), at: 0, 100)
        put(Array("0000644\0".utf8), at: 100, 8)
        put(size, at: 124, 12)
        put(Array("00000000000\0".utf8), at: 136, 12)
        put(Array(String(type).utf8), at: 156, 1)
        put(Array(magic.utf8), at: 257, 8)
        put(Array(prefix.utf8), at: 345, 155)
        return sealed(block)
    }

    /// The block with the checksum that it should have.
    static func sealed(_ block: [UInt8]) -> [UInt8] {
        var block = block
        block.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
        let sum = octal(UInt64(block.reduce(0) { $0 + Int($1) }), digits: 6)
        block.replaceSubrange(148..<154, with: sum)
        block[154] = 0
        return block
    }

    static func octal(_ value: UInt64, digits: Int) -> [UInt8] {
        let text = Array(String(value, radix: 8).utf8)
        return [UInt8](repeating: UInt8(ascii: "0"), count: max(0, digits - text.count)) + text
    }

    /// A record of a pax header.
    static func record(_ key: String, _ value: String) -> [UInt8] {
        var length = key.utf8.count + value.utf8.count + 3
        while "\(length)".utf8.count + key.utf8.count + value.utf8.count + 3 != length {
            length = "\(length)".utf8.count + key.utf8.count + value.utf8.count + 3
        }
        return Array("\(length) \(key)=\(value)\n".utf8)
    }

    mutating func add(_ block: [UInt8], _ content: [UInt8] = []) {
        bytes += block + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func add(
        _ name: String, _ content: [UInt8], type: Character = "0", prefix: String = "",
        magic: String = "ustar\0" + "00"
    ) {
        let size = TarSample.octal(UInt64(content.count), digits: 11) + [0]
        add(TarSample.header(name, size: size, type: type, prefix: prefix, magic: magic), content)
    }

    /// What appliances may hold, in all the ways that are understood.
    static func rich() -> TarSample {
        var tar = TarSample()
        tar.add("./web.ovf", Array("<xml/>".utf8))
        tar.add("folder/", [], type: "5")
        tar.add("disk1.img", [UInt8](repeating: 1, count: 700), prefix: "deep/er")
        tar.add("././@LongLink", Array("folder/\(String(repeating: "n", count: 150)).raw\0".utf8), type: "L")
        tar.add("folder/nnn", [UInt8](repeating: 2, count: 512), magic: "ustar  \0")
        let large: [UInt8] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]
        tar.add(header("base256.raw", size: large, magic: "ustar  \0"), [UInt8](repeating: 3, count: 513))
        tar.add("pax", record("mtime", "1.5") + record("path", "業務.raw") + record("size", "5"), type: "x")
        tar.add(header("short", size: Array("00000000001\0".utf8)), [UInt8](repeating: 4, count: 5))
        tar.add("comment", record("comment", "made by hand"), type: "g")
        tar.add("link.iso", [], type: "2")
        tar.add("empty.raw", [], type: "7")
        return tar
    }
}
