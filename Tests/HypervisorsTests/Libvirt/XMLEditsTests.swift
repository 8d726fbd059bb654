import Hypervisors
import TestKit
import Testing

@Suite("changes to XML that leave the rest alone")
struct XMLEditsTests {
    private static let document = """
        <?xml version="1.0"?>
        <!-- kept -->
        <a x = "1"   y='2&amp;3'>
          <b>one &lt; two<!-- also --></b>
          <c z='&#233;'><d/></c>

          <e/> </a >
        <!-- end -->
        """

    @Test("values, texts and elements change where they stand, and nothing else does")
    func changes() throws {
        var edits = try XMLEdits(Self.document)
        let root = edits.root
        let (text, tag) = (try #require(root.child("b")), try #require(root.child("e")))
        let answers = [
            edits.set("y", of: root, to: "it's <new>"), edits.set("none", of: root, to: ""),
            edits.setText(of: text, to: "1 & 2"), edits.setText(of: tag, to: ""),
        ]
        #expect(answers == [true, false, true, false])
        edits.replace(try #require(root.child("c")), by: "<f g='h'/>")
        edits.remove(tag)
        #expect(
            edits.document == """
                <?xml version="1.0"?>
                <!-- kept -->
                <a x = "1"   y='it&apos;s &lt;new&gt;'>
                  <b>1 &amp; 2</b>
                  <f g='h'/> </a >
                <!-- end -->
                """)
    }

    @Test("without a change the document is what it was, and a change inside of what goes has no effect")
    func nothing() throws {
        for sample in DomainSample.all + [Self.document] { #expect(try XMLEdits(sample).document == sample) }
        var edits = try XMLEdits(Self.document)
        let child = try #require(edits.root.child("c"))
        edits.set("z", of: child, to: "lost")
        edits.replace(child, by: "")
        #expect(!edits.document.contains("lost") && edits.document.contains("<e/>"))
    }

    @Test("whatever is read: an attribute of any element gets the value it was given, and all else stays equal")
    func anyDocument() {
        let samples = (DomainSample.all + [Self.document]).map { Array($0.utf8) }
        Mutator.run("changes of XML", samples, refusedBy: XMLElement.Problem.self) { bytes in
            guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
            var edits = try XMLEdits(text)
            guard let path = Self.firstWithAttribute(edits.root) else { return nil }
            let element = path.element
            guard let name = element.attributes.keys.min() else { return nil }
            edits.set(name, of: element, to: "<'new'>")
            let after = try XMLElement(parsing: edits.document)
            guard Self.at(path.steps, in: after)?[name] == "<'new'>" else { return "\(name) did not change" }
            return try XMLEdits(text).root == edits.root ? nil : "what was read changed"
        }
    }

    private static func firstWithAttribute(
        _ element: XMLElement, steps: [Int] = []
    ) -> (element: XMLElement, steps: [Int])? {
        for (index, child) in element.children.enumerated() {
            if let found = firstWithAttribute(child, steps: steps + [index]) { return found }
        }
        return element.attributes.isEmpty ? nil : (element, steps)
    }

    private static func at(_ steps: [Int], in root: XMLElement) -> XMLElement? {
        var element = root
        for step in steps {
            guard element.children.indices.contains(step) else { return nil }
            element = element.children[step]
        }
        return element
    }
}
