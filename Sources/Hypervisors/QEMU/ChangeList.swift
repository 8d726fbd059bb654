package import BackupModel

/// What to do with the dirty bitmaps of one block node: which one says what changed, which ones go.
///
/// The bitmap that carries a point's id began at that point's instant and records until a later point is committed. So
/// a run that fails, or is killed, leaves the list of the last committed point as it was; and one that was killed
/// behind its commit leaves two lists, of which the next run takes that of the point it builds on. A run that was
/// stopped and whose progress is kept leaves its own list as a second one, until another is stopped or commits.
package struct ChangeListPlan: Hashable, Sendable {
    /// A dirty bitmap as QEMU describes it.
    package struct Bitmap: Hashable, Sendable {
        /// Its name.
        package var name: String
        /// Whether writes are still noted.
        package var isRecording = true
        /// Whether QEMU found it not closed properly.
        package var isInconsistent = false
        /// Whether somebody uses it.
        package var isBusy = false

        /// A sound one.
        package init(name: String) { self.name = name }

        /// Reads one of `query-named-block-nodes`.
        init?(_ value: JSONValue) {
            guard let name = value["name"]?.text else { return nil }
            self.name = name
            isRecording = value["recording"]?.bool ?? false
            isInconsistent = value["inconsistent"]?.bool ?? false
            isBusy = value["busy"]?.bool ?? false
        }
    }

    /// The bitmap that says what changed since ``point``.
    package var base: String?
    /// The point that it began at: the last one, or that of a run that was stopped.
    package var point: PointID?
    /// Why there is none, for the operator.
    package var reason: String?
    /// Bitmaps of this repository that nobody will ask for: removed before the capture.
    package var stale: [String] = []
    /// The bitmaps of the last committed point and of a run that was stopped, also when they are not read from: removed
    /// behind the commit.
    package var superseded: [String] = []
    /// That of a run that was stopped: removed also when this run is, and its progress is kept.
    package var outdone: String?

    /// Decides.
    ///
    /// - Parameters:
    ///   - bitmaps: all of the node.
    ///   - request: whose names count.
    ///   - disk: name of the disk.
    ///   - base: the point that the disk's map is at hand for; `nil` for none.
    package init(_ bitmaps: [Bitmap], request: CaptureRequest, disk: String, base: PointID?) {
        let own = bitmaps.filter { $0.name.hasPrefix(request.listPrefix) }
        let last = (base ?? request.last[disk]).map { request.listName($0, disk: disk) }
        let unfinished = request.unfinished[disk].map { request.listName($0, disk: disk) }
        let kept = [last, unfinished].compactMap(\.self)
        stale = own.filter { !kept.contains($0.name) && !$0.isBusy }.map(\.name)
        superseded = kept.filter { name in own.contains { $0.name == name } }
        outdone = unfinished.flatMap { superseded.contains($0) ? $0 : nil }
        reason = "there is no earlier point of it to build on"
        for candidate in [request.unfinished[disk], base].compactMap(\.self) {
            let name = request.listName(candidate, disk: disk)
            reason = take(own.first { $0.name == name }, of: candidate)
            if reason == nil { return }
        }
    }

    /// Takes a point's bitmap, if it is any good. - Returns: why it is not.
    private mutating func take(_ found: Bitmap?, of candidate: PointID) -> String? {
        guard let found else {
            return "QEMU keeps no list of what changed since the last point: the guest was started anew, migrated or "
                + "reverted, or its disk exchanged"
        }
        guard !found.isBusy || found.isInconsistent else {
            return "QEMU's list of changes is in use by another program"
        }
        if !found.isInconsistent, found.isRecording {
            (base, point) = (found.name, candidate)
            return nil
        }
        stale.append(found.name)
        superseded.removeAll { $0 == found.name }
        if outdone == found.name { outdone = nil }
        return found.isInconsistent
            ? "QEMU's list of changes was not closed properly and says nothing any more"
            : "somebody stopped QEMU's list of changes"
    }
}
