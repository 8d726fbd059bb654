import BackupModel
import Hypervisors
import Testing

@Suite("which list of changes is believed")
struct ChangeListPlanTests {
    private static let repository = "0123456789abcdef0123456789abcdef"
    private let request: CaptureRequest
    private let base: PointID
    private let other: PointID

    init() throws {
        base = try #require(PointID(hexadecimal: String(repeating: "b", count: 32)))
        other = try #require(PointID(hexadecimal: String(repeating: "c", count: 32)))
        request = CaptureRequest(
            point: try #require(PointID(hexadecimal: String(repeating: "a", count: 32))),
            repository: Self.repository, bases: [:], excluded: [], scratchFolder: "/scratch")
    }

    private func bitmap(_ name: String, _ change: (inout ChangeListPlan.Bitmap) -> Void = { _ in })
        -> ChangeListPlan.Bitmap
    {
        var bitmap = ChangeListPlan.Bitmap(name: name)
        change(&bitmap)
        return bitmap
    }

    @Test("the list that began at the base is believed, and others of this repository go")
    func baseList() {
        let plan = ChangeListPlan(
            [bitmap(request.listName(base, disk: "vda")), bitmap(request.listName(other, disk: "vda"))],
            request: request, disk: "vda", base: base)
        #expect(plan.base == request.listName(base, disk: "vda"))
        #expect(plan.reason == nil)
        #expect(plan.stale == [request.listName(other, disk: "vda")])
    }

    @Test("the list of the last point stays until the new one is committed, also when everything is read")
    func readWhole() {
        var request = request
        request.last["vda"] = base
        let last = request.listName(base, disk: "vda")
        let lists = [bitmap(last), bitmap(request.listName(other, disk: "vda"))]
        let plan = ChangeListPlan(lists, request: request, disk: "vda", base: nil)
        #expect(plan.base == nil && plan.superseded == [last])
        #expect(plan.stale == [request.listName(other, disk: "vda")])
        #expect(ChangeListPlan(lists, request: request, disk: "vda", base: base).superseded == [last])
        // Of another disk nothing is known, and so nothing of it is asked for.
        #expect(ChangeListPlan(lists, request: request, disk: "vdb", base: nil).stale.count == 2)
    }

    @Test("names that are not ours, or of another repository, are never touched")
    func foreign() {
        let foreign = ["backup", "dozo", "dozo-ffffffff-\(base.hexadecimal)", "libvirt-1", ""].map { bitmap($0) }
        for point in [nil, base] {
            let plan = ChangeListPlan(foreign, request: request, disk: "vda", base: point)
            #expect(plan.base == nil)
            #expect(plan.reason != nil)
            #expect(plan.stale == [])
        }
    }

    @Test("a list that is not sound is not believed, and goes when nobody uses it")
    func unsound() {
        let name = request.listName(base, disk: "vda")
        let broken = ChangeListPlan(
            [bitmap(name) { $0.isInconsistent = true }], request: request, disk: "vda", base: base)
        #expect(broken.base == nil && broken.stale == [name])
        let stopped = ChangeListPlan(
            [bitmap(name) { $0.isRecording = false }], request: request, disk: "vda", base: base)
        #expect(stopped.base == nil && stopped.stale == [name])
        let busy = ChangeListPlan([bitmap(name) { $0.isBusy = true }], request: request, disk: "vda", base: base)
        #expect(busy.base == nil && busy.stale == [])
    }

    @Test("an image that was another disk at the base says nothing of this one")
    func exchanged() {
        let name = request.listName(base, disk: "vdb")
        let plan = ChangeListPlan([bitmap(name)], request: request, disk: "vda", base: base)
        #expect(plan.base == nil && plan.reason != nil && plan.stale == [name])
    }

    @Test("the copy that a killed run left is stale")
    func copy() {
        let name = request.listName(base, disk: "vda")
        let plan = ChangeListPlan([bitmap(name), bitmap(name + "-read")], request: request, disk: "vda", base: base)
        #expect(plan.base == name)
        #expect(plan.stale == [name + "-read"])
    }

    @Test("the list of a run that was stopped is preferred to the last point's; both stay until a commit")
    func unfinished() {
        var request = request
        request.last["vda"] = base
        request.unfinished["vda"] = other
        let (last, stopped) = (request.listName(base, disk: "vda"), request.listName(other, disk: "vda"))
        let plan = ChangeListPlan(
            [bitmap(last), bitmap(stopped), bitmap(stopped + "-read")], request: request, disk: "vda", base: base)
        #expect(plan.base == stopped && plan.point == other && plan.reason == nil)
        #expect(plan.superseded == [last, stopped] && plan.outdone == stopped)
        #expect(plan.stale == [stopped + "-read"])
        // Also where there is no last point, or it is not built on.
        let alone = ChangeListPlan([bitmap(stopped)], request: request, disk: "vda", base: nil)
        #expect(alone.base == stopped && alone.point == other)
    }

    @Test("the list of a run that was stopped is no good: the last point's is taken")
    func unfinishedUnsound() {
        var request = request
        request.last["vda"] = base
        request.unfinished["vda"] = other
        let (last, stopped) = (request.listName(base, disk: "vda"), request.listName(other, disk: "vda"))
        let changes: [(inout ChangeListPlan.Bitmap) -> Void] = [
            { $0.isInconsistent = true }, { $0.isRecording = false }, { $0.isBusy = true }, { $0.name = "gone" },
        ]
        for (number, change) in changes.enumerated() {
            let plan = ChangeListPlan(
                [bitmap(last), bitmap(stopped, change)], request: request, disk: "vda", base: base)
            #expect(plan.base == last && plan.point == base && plan.reason == nil, "\(number)")
            #expect(plan.stale == (number < 2 ? [stopped] : []), "\(number)")
            #expect(plan.superseded == (number == 2 ? [last, stopped] : [last]), "\(number)")
            #expect(plan.outdone == (number == 2 ? stopped : nil), "\(number)")
            #expect(ChangeListPlan([bitmap(stopped, change)], request: request, disk: "vda", base: nil).base == nil)
        }
    }
}
