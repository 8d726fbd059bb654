import BackupModel
import Hypervisors
import TestKit
import Testing

@Suite("which checkpoint of libvirt is believed")
struct CheckpointPlanTests {
    private let request: CaptureRequest
    private let base: PointID
    private let earlier: PointID
    private let foreign = CheckpointFacts(
        name: "dozo-99999999-\(String(repeating: "b", count: 32))", disks: ["vda": .init(bitmap: "x", changed: 0)])

    init() throws {
        func point(_ digit: String) throws -> PointID {
            try #require(PointID(hexadecimal: String(repeating: digit, count: 32)))
        }
        base = try point("b")
        earlier = try point("c")
        request = CaptureRequest(
            point: try point("a"), repository: "0123456789abcdef0123456789abcdef",
            bases: ["vda": base, "vdb": base, "raw": base], excluded: [], scratchFolder: "/scratch")
    }

    private func disk(_ name: String, format: String = "qcow2") -> GuestDisk {
        GuestDisk(name: name, location: "/\(name)", format: format, byteCount: 1, omission: nil)
    }

    /// The checkpoint of a point, with whole lists of these disks.
    private func checkpoint(_ point: PointID, _ disks: [String]) -> CheckpointFacts {
        let name = request.listName(point)
        return CheckpointFacts(
            name: name,
            disks: Dictionary(uniqueKeysWithValues: disks.map { ($0, .init(bitmap: name, changed: 65536)) }))
    }

    private func way(_ disk: GuestDisk, _ checkpoints: [CheckpointFacts]) -> CheckpointPlan.Way? {
        CheckpointPlan(disks: [disk], checkpoints: checkpoints, request: request).ways[disk.name]
    }

    private func isWhole(_ way: CheckpointPlan.Way?, because words: String) -> Bool {
        guard case .whole(let reason) = way else { return false }
        return reason.contains(words)
    }

    @Test("a whole list of the base is believed")
    func believed() {
        #expect(way(disk("vda"), [foreign, checkpoint(base, ["vda"])]) == .since(base))
    }

    @Test("the nearest to it is not: no base, no checkpoint, no list, another list, a broken one, another container")
    func refused() throws {
        let good = checkpoint(base, ["vda", "vdc", "raw"])
        #expect(isWhole(way(disk("vdc"), [good]), because: "no earlier point"))
        #expect(isWhole(way(disk("vda"), [foreign, checkpoint(earlier, ["vda"])]), because: "no checkpoint"))
        #expect(isWhole(way(disk("vdb"), [good]), because: "no list of this disk"))
        var other = good
        other.disks["vda"] = .init(bitmap: "theirs", changed: 0)
        #expect(isWhole(way(disk("vda"), [other]), because: "redefined"))
        var broken = good
        broken.disks["vda"] = .init(bitmap: good.name, changed: nil)
        #expect(isWhole(way(disk("vda"), [broken]), because: "not closed properly"))
        #expect(isWhole(way(disk("raw", format: "raw"), [good]), because: "qcow2 images only"))
    }

    @Test("an image without room for lists costs the other disks of the guest none of theirs")
    func oldImage() {
        let plan = CheckpointPlan(
            disks: [disk("vda"), disk("vdb")], checkpoints: [checkpoint(base, ["vda"])], request: request,
            listless: ["vdb"])
        #expect(plan.ways["vda"] == .since(base))
        #expect(isWhole(plan.ways["vdb"], because: "version 2"))
        #expect(plan.listed == ["vda"])
    }

    @Test("each disk is judged alone, and qcow2 disks get new lists")
    func mixed() {
        let plan = CheckpointPlan(
            disks: [disk("vda"), disk("vdb"), disk("raw", format: "raw")],
            checkpoints: [checkpoint(base, ["vda"])], request: request)
        #expect(plan.ways["vda"] == .since(base))
        #expect(isWhole(plan.ways["vdb"], because: "no list"))
        #expect(plan.listed == ["vda", "vdb"])
        #expect(plan.isIncremental)
        let whole = plan.whole(because: "told")
        #expect(whole.ways["vda"] == .whole("told") && whole.ways["vdb"] == plan.ways["vdb"])
        #expect(!whole.isIncremental && whole.listed == plan.listed && whole.unlisted().listed.isEmpty)
    }

    @Test("behind the commit all others of this repository go, and nobody else's")
    func stale() {
        let new = checkpoint(request.point, ["vda"])
        let plan = CheckpointPlan(
            disks: [disk("vda"), disk("vdb"), disk("raw", format: "raw")],
            checkpoints: [
                foreign, checkpoint(base, ["vda"]), checkpoint(earlier, ["vda"]), new,
                CheckpointFacts(name: "daily", disks: [:]),
            ], request: request)
        #expect(plan.stale == [request.listName(base), request.listName(earlier)])
    }

    @Test("a disk that is left out keeps the list that it will be read by")
    func leftOut() {
        var request = request
        request.bases = ["vda": base, "vdb": earlier]
        let plan = CheckpointPlan(
            disks: [disk("vda")], checkpoints: [checkpoint(base, ["vda"]), checkpoint(earlier, ["vdb"])],
            request: request)
        #expect(plan.stale == [request.listName(base)])
    }

    @Test("any history of runs that commit, fail, are killed and lose lists: what is read by a list is covered by it")
    func histories() throws {
        for seed in UInt64(1)...400 {
            var history = CheckpointHistory(seed: seed)
            for _ in 0..<40 {
                if let fault = try history.step() {
                    Issue.record("seed \(seed): \(fault)")
                    return
                }
            }
        }
    }

    @Test("a libvirt that forgets a write now and then is found out by these histories")
    func canary() throws {
        for seed in UInt64(1)...400 {
            var history = CheckpointHistory(seed: seed, forgets: true)
            for _ in 0..<40 where try history.step() != nil { return }
        }
        Issue.record("no history noticed a list that lies")
    }

    @Test("a checkpoint's XML is read, and what it does not say counts for nothing")
    func facts() {
        let xml = """
            <domaincheckpoint><name>dozo-1</name><parent><name>p</name></parent><disks>
            <disk name='vda' checkpoint='bitmap' bitmap='dozo-1' size='131072'/>
            <disk name='vdb' checkpoint='bitmap' bitmap='other'/><disk name='vdc' checkpoint='no'/>
            <disk checkpoint='bitmap'/></disks></domaincheckpoint>
            """
        #expect(
            CheckpointFacts(xml: xml)
                == CheckpointFacts(
                    name: "dozo-1",
                    disks: [
                        "vda": .init(bitmap: "dozo-1", changed: 131072), "vdb": .init(bitmap: "other", changed: nil),
                        "vdc": .init(bitmap: nil, changed: nil),
                    ]))
        #expect(CheckpointFacts(xml: "<domain/>") == nil)
        #expect(CheckpointFacts(xml: "<domaincheckpoint/>") == nil)
    }

    @Test("what is asked of libvirt says each disk's way and nothing that a name could smuggle in")
    func documents() throws {
        let plan = CheckpointPlan(
            disks: [disk("vda"), disk("v'<b")], checkpoints: [checkpoint(base, ["vda"])], request: request)
        let backup = try XMLElement(
            parsing: BackupDocuments.backup(
                ["vda", "v'<b"], plan: plan, request: request, socket: "/s & /nbd", scratch: { "/s/\($0)" }))
        #expect(backup["mode"] == "pull" && backup.child("server")?["socket"] == "/s & /nbd")
        let disks = backup.child("disks")?.children ?? []
        #expect(disks.map { $0["name"] } == ["vda", "v'<b"])
        #expect(disks.map { $0["backupmode"] } == ["incremental", "full"])
        #expect(disks[0]["incremental"] == request.listName(base) && disks[1]["incremental"] == nil)
        #expect(disks[1].child("scratch")?["file"] == "/s/v'<b")
        let text = try #require(
            BackupDocuments.checkpoint(["vda", "v'<b", "sda"], plan: plan, request: request))
        let lists = try XMLElement(parsing: text)
        #expect(lists.child("name")?.text == request.listName(request.point))
        #expect(lists.child("disks")?.children.map { $0["checkpoint"] } == ["bitmap", "bitmap", "no"])
        #expect(BackupDocuments.checkpoint(["vda"], plan: plan.unlisted(), request: request) == nil)
    }

    @Test("a snapshot of memory names every disk, to touch none of them")
    func memory() throws {
        let root = try XMLElement(parsing: BackupDocuments.memory(["vda", "v'<b", "sda"], file: "/s & /memory"))
        #expect(root.name == "domainsnapshot" && root.child("name") == nil)
        #expect(root.child("memory")?["snapshot"] == "external" && root.child("memory")?["file"] == "/s & /memory")
        let disks = root.child("disks")?.children ?? []
        #expect(disks.map { $0["name"] } == ["vda", "v'<b", "sda"])
        #expect(disks.allSatisfy { $0["snapshot"] == "no" })
    }

    @Test("memory needs more room than it is large, and no memory needs a number that wraps around")
    func room() {
        for memory in [0, 1, 160 << 20, 1 << 40] as [UInt64] {
            #expect(MemoryRoom.byteCount(memory: memory) >= memory + 256 << 20)
        }
        for memory in [.max, .max - 1, .max / 65 * 64 + 1 << 30] as [UInt64] {
            #expect(MemoryRoom.byteCount(memory: memory) == .max)
        }
    }

    @Test("a checkpoint is described anew without the disks whose lists are gone, and otherwise the same")
    func lost() throws {
        let xml = """
            <domaincheckpoint><name>c</name><disks><disk name='vda' checkpoint='bitmap' bitmap='c'/>
            <disk name='vdb' checkpoint='bitmap' bitmap='c'/></disks><domain type='kvm'><name>x</name></domain>
            </domaincheckpoint>
            """
        let text = try #require(BackupDocuments.withoutLost(xml, lost: ["vdb"]))
        var wanted = try XMLElement(parsing: xml)
        wanted.children[1].children[1] = XMLElement(name: "disk", attributes: ["name": "vdb", "checkpoint": "no"])
        #expect(try XMLElement(parsing: text) == wanted)
        #expect(BackupDocuments.withoutLost(xml, lost: []) == nil)
        #expect(BackupDocuments.withoutLost(xml, lost: ["vdz"]) == nil)
    }

    @Test("a running job tells its socket and scratch files")
    func running() {
        let backup = RunningBackup(
            xml: "<domainbackup mode='pull'><server transport='unix' socket='/a/nbd'/><disks><disk name='vda'>"
                + "<scratch file='/a/vda.scratch'/></disk><disk name='vdb' backup='no'/></disks></domainbackup>")
        #expect(backup.socket == "/a/nbd" && backup.scratch == ["/a/vda.scratch"])
        #expect(RunningBackup(xml: "no xml").socket == nil)
    }

    @Test("the list of a run that was stopped is preferred; when it is no good, that of the last point is taken")
    func unfinished() throws {
        var request = request
        request.last = request.bases
        request.unfinished = ["vda": earlier, "vdb": earlier, "new": earlier]
        let both = [checkpoint(base, ["vda", "vdb"]), checkpoint(earlier, ["vda", "new"]), foreign]
        let disks = [disk("vda"), disk("vdb"), disk("new")]
        request.bases["raw"] = nil
        let plan = CheckpointPlan(disks: disks, checkpoints: both, request: request)
        #expect(plan.ways["vda"] == .since(earlier) && plan.ways["vdb"] == .since(base))
        #expect(plan.ways["new"] == .since(earlier))
        // A commit takes both away; another stop that of the stopped run, and the last point's stays.
        #expect(Set(plan.stale) == [request.listName(base), request.listName(earlier)])
        #expect(plan.outdone == [request.listName(earlier)])
        var broken = both
        broken[1].disks["vda"]?.changed = nil
        #expect(CheckpointPlan(disks: disks, checkpoints: broken, request: request).ways["vda"] == .since(base))
        #expect(CheckpointPlan(disks: disks, checkpoints: [both[0]], request: request).outdone == [])
    }
}
