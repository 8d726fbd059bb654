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
            [bitmap(request.listName(base)), bitmap(request.listName(other))], request: request, base: base)
        #expect(plan.base == request.listName(base))
        #expect(plan.reason == nil)
        #expect(plan.stale == [request.listName(other)])
    }

    @Test("names that are not ours, or of another repository, are never touched")
    func foreign() {
        let foreign = ["backup", "dozo", "dozo-ffffffff-\(base.hexadecimal)", "libvirt-1", ""].map { bitmap($0) }
        for point in [nil, base] {
            let plan = ChangeListPlan(foreign, request: request, base: point)
            #expect(plan.base == nil)
            #expect(plan.reason != nil)
            #expect(plan.stale == [])
        }
    }

    @Test("a list that is not sound is not believed, and goes when nobody uses it")
    func unsound() {
        let name = request.listName(base)
        let broken = ChangeListPlan([bitmap(name) { $0.isInconsistent = true }], request: request, base: base)
        #expect(broken.base == nil && broken.stale == [name])
        let stopped = ChangeListPlan([bitmap(name) { $0.isRecording = false }], request: request, base: base)
        #expect(stopped.base == nil && stopped.stale == [name])
        let busy = ChangeListPlan([bitmap(name) { $0.isBusy = true }], request: request, base: base)
        #expect(busy.base == nil && busy.stale == [])
    }

    @Test("the copy that a killed run left is stale")
    func copy() {
        let name = request.listName(base)
        let plan = ChangeListPlan([bitmap(name), bitmap(name + "-read")], request: request, base: base)
        #expect(plan.base == name)
        #expect(plan.stale == [name + "-read"])
    }
}
