package import BackupModel

/// What to do with the dirty bitmaps of one block node: which one says what changed, which ones go.
///
/// The bitmap that carries a point's id began at that point's instant and records until a later point is committed. So
/// a run that fails, or is killed, leaves the list of the last committed point as it was; and one that was killed
/// behind its commit leaves two lists, of which the next run takes that of the point it builds on.
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

    /// The bitmap that says what changed since the base.
    package var base: String?
    /// Why there is none, for the operator.
    package var reason: String?
    /// Bitmaps of this repository that nobody will ask for: removed before the capture.
    package var stale: [String] = []
    /// The bitmap of the last committed point, also when it is not read from: removed behind the commit.
    package var superseded: String?

    /// Decides.
    ///
    /// - Parameters:
    ///   - bitmaps: all of the node.
    ///   - request: whose names count.
    ///   - disk: name of the disk.
    ///   - base: the point that the disk's map is at hand for; `nil` for none.
    package init(_ bitmaps: [Bitmap], request: CaptureRequest, disk: String, base point: PointID?) {
        let own = bitmaps.filter { $0.name.hasPrefix(request.listPrefix) }
        let last = (point ?? request.last[disk]).map { request.listName($0, disk: disk) }
        stale = own.filter { $0.name != last && !$0.isBusy }.map(\.name)
        superseded = own.contains { $0.name == last } ? last : nil
        guard let point else {
            reason = "there is no earlier point of it to build on"
            return
        }
        let name = request.listName(point, disk: disk)
        guard let found = own.first(where: { $0.name == name }) else {
            reason =
                "QEMU keeps no list of what changed since the last point: the guest was started anew, migrated or "
                + "reverted, or its disk exchanged"
            return
        }
        if found.isInconsistent {
            reason = "QEMU's list of changes was not closed properly and says nothing any more"
            stale.append(name)
            superseded = nil
        } else if found.isBusy {
            reason = "QEMU's list of changes is in use by another program"
        } else if !found.isRecording {
            reason = "somebody stopped QEMU's list of changes"
            stale.append(name)
            superseded = nil
        } else {
            base = name
        }
    }
}
