import Hypervisors
import TestKit
import Testing

@Suite("XML as libvirt writes it")
struct XMLElementTests {
    @Test("elements, attributes, text, entities, comments and CDATA")
    func reads() throws {
        let root = try XMLElement(
            parsing: """
                <?xml version='1.0' encoding='UTF-8'?><!-- a --> <a x="1" y='&lt;&#233;&#x1F600;&quot;'>
                  one &amp; <b/><!-- <c/> --><q:c z = ">">&apos;</q:c><![CDATA[<two>]]> </a >
                <!-- end -->
                """)
        #expect(root.name == "a" && root["x"] == "1" && root["y"] == "<é😀\"")
        #expect(root.children.map(\.name) == ["b", "q:c"])
        #expect(root.text == "one & <two>")
        #expect(root.child("q:c")?.text == "'" && root.child("q:c")?["z"] == ">")
        #expect(root.at("b", "none") == nil)
    }

    @Test(
        "what is not well formed is refused",
        arguments: [
            "", "a", "<a>", "<a></b>", "<a", "<a x></a>", "<a x=1/>", "<a x='1/>", "<a x='1' x='2'/>", "<a>&</a>",
            "<a>&lt</a>", "<a>&none;</a>", "<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&#99999999999;</a>", "<a/><b/>",
            "</a>",
            "<a x='<'/>", "<a><!-- </a>", "<a><![CDATA[</a>", "< a/>", "<a/>x", "<!-- -->",
        ])
    func refuses(text: String) {
        #expect(throws: XMLElement.Problem.self) { try XMLElement(parsing: text) }
    }

    @Test("document types, and with them entities of anybody's making, are refused")
    func documentTypes() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"&c;&c;\"><!ENTITY c SYSTEM \"file:///etc/passwd\">]><a>&b;</a>"
        #expect { try XMLElement(parsing: bomb) } throws: { "\($0)".contains("document type") }
        #expect(throws: XMLElement.Problem.self) { try XMLElement(parsing: "<a><!ELEMENT b></a>") }
    }

    @Test("every bound holds, and what lies on it is read")
    func bounds() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
        }
        _ = try XMLElement(parsing: nested(XMLElement.deepest))
        #expect(throws: XMLElement.Problem.self) { try XMLElement(parsing: nested(XMLElement.deepest + 1)) }
        func attributes(_ count: Int) -> String { "<a " + (0..<count).map { "a\($0)='' " }.joined() + "/>" }
        _ = try XMLElement(parsing: attributes(XMLElement.mostAttributes))
        #expect(throws: XMLElement.Problem.self) { try XMLElement(parsing: attributes(XMLElement.mostAttributes + 1)) }
        func elements(_ count: Int) -> String { "<a>" + String(repeating: "<b/>", count: count - 1) + "</a>" }
        _ = try XMLElement(parsing: elements(XMLElement.mostElements))
        #expect(throws: XMLElement.Problem.self) { try XMLElement(parsing: elements(XMLElement.mostElements + 1)) }
        let start = Array("<a>".utf8)
        let end = Array("</a>".utf8)
        let text = [UInt8](repeating: 0x78, count: XMLElement.mostBytes - start.count - end.count)
        _ = try XMLElement(parsing: start + text + end)
        #expect(throws: XMLElement.Problem.self) { try XMLElement(parsing: start + text + [0x78] + end) }
    }

    @Test("no truncation and no single changed bit of a domain traps")
    func everyBit() {
        let bytes = Array(DomainSample.xen.utf8)
        for count in 0..<bytes.count { #expect((try? XMLElement(parsing: Array(bytes.prefix(count)))) == nil) }
        for place in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[place] ^= 1 << UInt8(bit)
                _ = try? XMLElement(parsing: changed)
            }
        }
    }

    @Test("what is written reads back, whatever stands in it")
    func escapes() throws {
        let hostile = "<a b='\"'>&\n\t]]>é"
        let root = try XMLElement(
            parsing: "<x y='\(XMLElement.escaped(hostile))'>\(XMLElement.escaped(hostile))</x>")
        #expect(root["y"] == hostile && root.text == hostile)
        #expect(try XMLElement(parsing: BackupDocuments.written(root)) == root)
        for sample in DomainSample.all {
            let domain = try XMLElement(parsing: sample)
            #expect(try XMLElement(parsing: BackupDocuments.written(domain)) == domain)
        }
    }
}
