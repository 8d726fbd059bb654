import GuestMemory
import Testing

@Suite("the description in front of libvirt's save image")
struct LibvirtSaveImageTests {
    private static func header(version: UInt8 = 2, length: [UInt8] = [5, 0, 0, 0]) -> [UInt8] {
        let front = Array("LibvirtQemudSave".utf8) + [version, 0, 0, 0] + length
        return front + [UInt8](repeating: 0, count: LibvirtSaveImage.headerByteCount - front.count)
    }

    @Test("its length stands in the header; other files, other versions and endless lengths have none")
    func length() {
        let header = Self.header()
        #expect(LibvirtSaveImage.descriptionByteCount(header: header) == 5)
        #expect(LibvirtSaveImage.descriptionByteCount(header: Self.header(version: 1)) == 5)
        for version: UInt8 in [0, 3, 255] {
            #expect(LibvirtSaveImage.descriptionByteCount(header: Self.header(version: version)) == nil)
        }
        #expect(LibvirtSaveImage.descriptionByteCount(header: Self.header(length: [255, 255, 255, 255])) == nil)
        for count in 0..<header.count {
            #expect(LibvirtSaveImage.descriptionByteCount(header: Array(header.prefix(count))) == nil)
        }
        for index in 0..<16 {
            var other = header
            other[index] ^= 1
            #expect(LibvirtSaveImage.descriptionByteCount(header: other) == nil)
        }
    }

    @Test("it ends at its first zero byte and is text")
    func text() {
        #expect(LibvirtSaveImage.description(Array("<a/>\u{0}cookie".utf8)) == "<a/>")
        #expect(LibvirtSaveImage.description(Array("<a/>".utf8)) == "<a/>")
        #expect(LibvirtSaveImage.description([0, 0x3C]) == nil)
        #expect(LibvirtSaveImage.description([0xFF, 0]) == nil)
    }
}
