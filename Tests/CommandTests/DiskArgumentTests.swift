import Commands
import Testing

@Suite("disks of the command line")
struct DiskArgumentTests {
    private static func members(_ path: String) -> [String]? {
        switch path {
        case "web.ova": ["disk1.vmdk", "more/disk2.img"]
        case "one.ova": ["only.vmdk"]
        case "odd.ova": ["a\u{1b}.raw"]
        case "long.ova": [String(repeating: "n", count: 256) + ".raw"]
        default: nil
        }
    }

    private static func parsed(_ images: [String], _ disks: [String] = []) throws -> [String] {
        try DiskArgument.parse(images: images, disks: disks, members: members).map { "\($0.name) \($0.path)" }
    }

    private static func refusal(_ images: [String], _ disks: [String] = []) -> String {
        do {
            _ = try parsed(images, disks)
            return "nothing was refused"
        } catch let failure as CommandFailure {
            return failure.status == .usage ? failure.sentence : "status \(failure.status)"
        } catch { return "\(error)" }
    }

    @Test("an appliance stands for all its disks, named after its members")
    func appliances() throws {
        #expect(
            try Self.parsed(["web.ova", "x/c.raw"]) == [
                "disk1 web.ova/disk1.vmdk", "disk2 web.ova/more/disk2.img", "c x/c.raw",
            ])
        #expect(
            try Self.parsed(["web.ova/disk1.vmdk"], ["a=one.ova", "b=web.ova/more/disk2.img"]) == [
                "a one.ova/only.vmdk", "b web.ova/more/disk2.img", "disk1 web.ova/disk1.vmdk",
            ])
        // Without anything to say about appliances they are files.
        #expect(try DiskArgument.parse(images: ["web.ova"], disks: []).map(\.name) == ["web"])
    }

    @Test("one name for several disks, a name twice and a name that is none are refused")
    func refused() {
        #expect(Self.refusal([], ["a=web.ova"]).contains("web.ova has 2 disks"))
        #expect(Self.refusal([], ["a=web.ova"]).contains("--disk NAME=web.ova/disk1.vmdk"))
        #expect(Self.refusal(["web.ova", "disk1.raw"]).contains("two disks are called disk1"))
        #expect(Self.refusal(["web.ova", "web.ova"]).contains("two disks are called disk1"))
        #expect(Self.refusal(["odd.ova"]).contains("control characters"))
        #expect(Self.refusal(["long.ova"]).contains("at most 255 bytes"))
        #expect(Self.refusal([]).contains("which image?"))
    }
}
