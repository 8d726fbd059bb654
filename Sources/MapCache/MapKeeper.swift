package import BackupModel
package import Capture
package import RepositoryFormat

/// The maps of the disks of a guest: given to a run to build on, and kept anew behind it; behind one that was stopped
/// as far as it came.
package final class MapKeeper: MapRecorder {
    /// Leaves that are put into the cache at once.
    private static let batch = 64
    /// Nanoseconds between two times that the progress of a run is kept, should it be killed.
    package static let usualInterval: UInt64 = 300 * 1_000_000_000

    /// Why no list of changes is asked for.
    package enum Doubt: Hashable, Sendable {
        /// The last run caught it lying.
        case lied
        /// Everything is to be read again, as after every so many points.
        case due
        /// It is another image than at the last point.
        case otherImage
    }

    /// What a disk may be built on. Both may be there: the first whose list of changes is sound is taken.
    package struct Choice: Hashable, Sendable {
        /// A run that was stopped.
        package var unfinished: PointID?
        /// The last point.
        package var base: PointID?
        /// Why it is not the last point; `nil` also where there is none.
        package var doubt: Doubt?
    }

    /// A disk in this run.
    private struct Disk {
        let byteCount: UInt64
        /// What it is built on, and where that may be wrong; `nil` when it is read whole.
        var base: KeptMap?
        var changed: [Extent] = []
        /// What runs that were stopped had read.
        var read: [Extent] = []
        /// What this run has begun to read.
        var begun: [Extent] = []
        var isDoubted = false
        /// Complete from its beginning on.
        var reached: (root: [UInt8], leaves: [Hash256?])?
    }

    private let cache: KeptMaps
    private let guest: GuestID
    /// The point that is made, should the run be stopped: names the lists of changes that begin at its instant.
    private let point: PointID
    private let now: () -> UInt64
    private let interval: UInt64
    /// Whether maps are kept; else only what runs that were stopped had read is.
    package let keepsMaps: Bool
    /// What tells one image of a disk from another.
    private var identities: [String: String] = [:]
    private var earlier: [String: KeptMap] = [:]
    private var stopped: [String: UnfinishedMap] = [:]
    private var choices: [String: Choice] = [:]
    private var disks: [String: Disk] = [:]
    private var waiting: [(identifier: Hash256, bytes: [UInt8])] = []
    private var made: [String: KeptMap] = [:]
    private var lastKept: UInt64
    /// Whether the cache has the progress of this run: the lists of changes that began at its instant are to stay.
    package private(set) var hasKeptProgress = false
    /// Called when progress is kept for the first time.
    package var onFirstProgress: () -> Void = {}
    /// Why the cache is of no use any more; the next point then reads everything.
    package private(set) var failure: String?

    /// - Parameters:
    ///   - point: the id of the point that is made.
    ///   - now: nanoseconds of a clock that never goes back.
    ///   - keepsMaps: whether a later run may build on what this one finds; `false` for sources of which nobody can
    ///     say what changed since. Then only what was read is kept, so that a later run can say what it reads again.
    ///   - interval: nanoseconds between two times that progress is kept.
    package init(
        _ cache: KeptMaps, guest: GuestID, point: PointID, now: @escaping () -> UInt64,
        keepsMaps: Bool = true, interval: UInt64 = MapKeeper.usualInterval
    ) {
        self.cache = cache
        self.guest = guest
        self.point = point
        self.now = now
        self.interval = interval
        self.keepsMaps = keepsMaps
        lastKept = now()
    }

    // MARK: Before the instant

    /// What is kept of a disk at its last point.
    package func kept(disk: String) -> KeptMap? {
        if let map = earlier[disk] { return map }
        do throws(MapCacheError) {
            let map = try cache.map(guest, disk: disk)
            earlier[disk] = map
            return map
        } catch {
            failure = error.sentence
            return nil
        }
    }

    /// What is kept of a disk behind a run that was stopped since its last point.
    package func unfinished(disk: String) -> UnfinishedMap? {
        if let map = stopped[disk] { return map }
        do throws(MapCacheError) {
            guard let map = try cache.unfinished(guest, disk: disk), map.after == kept(disk: disk)?.point else {
                return nil
            }
            stopped[disk] = map
            return map
        } catch {
            failure = error.sentence
            return nil
        }
    }

    /// What a disk may be built on.
    ///
    /// - Parameters:
    ///   - identity: tells its image from others; empty when it is not known.
    ///   - fullReadEvery: points after which everything is read; 0 for never.
    package func choice(disk: String, identity: String, fullReadEvery: Int) -> Choice {
        identities[disk] = identity
        let (kept, part) = (kept(disk: disk), unfinished(disk: disk))
        var choice = Choice()
        defer { choices[disk] = choice }
        guard !(kept?.isDoubted ?? false), !(part?.map.isDoubted ?? false) else {
            choice.doubt = .lied
            return choice
        }
        func isDue(_ map: KeptMap) -> Bool {
            fullReadEvery > 0 && map.pointsSinceScan + 1 >= UInt64(fullReadEvery)
        }
        if let part, part.map.identity == identity, !isDue(part.map) { choice.unfinished = part.map.point }
        guard let kept else { return choice }
        if isDue(kept) {
            choice.doubt = .due
        } else if kept.identity != identity {
            choice.doubt = .otherImage
        } else {
            choice.base = kept.point
        }
        return choice
    }

    /// Whether a list of changes was asked for.
    package func hasChoice(of disk: String) -> Bool {
        choices[disk].map { $0.unfinished != nil || $0.base != nil } ?? false
    }

    // MARK: At the instant

    /// A disk is read whole.
    package func readsWhole(disk: String, byteCount: UInt64) {
        disks[disk] = Disk(byteCount: byteCount, read: unfinished(disk: disk)?.read ?? [])
    }

    /// A disk is read by what changed since the last point, or since a run that was stopped.
    ///
    /// - Parameters:
    ///   - base: the point, or the one that was not made.
    ///   - extents: what its list of changes says, in bytes.
    ///   - isShown: whether the repository shows a point, committed by an entry, now that the session has its slot.
    /// - Returns: `nil` when nothing is known of that point.
    /// - Throws: ``EarlierImageUnusable``; then the disk is read whole.
    package func earlier(
        disk: String, byteCount: UInt64, since base: PointID, extents: [Extent], sampling: ChangeSampling,
        isShown: (PointID, SessionHead) -> Bool
    ) throws -> EarlierImage? {
        readsWhole(disk: disk, byteCount: byteCount)
        let (kept, part) = (kept(disk: disk), unfinished(disk: disk))
        let shown = kept.flatMap { isShown($0.point, $0.commit) ? $0 : nil }
        let map: KeptMap
        var changed = extents
        var proven: [Hash256?]?
        if let part, part.map.point == base {
            map = part.map
            changed += part.stale
            proven = shown?.leaves ?? []
        } else if let kept, kept.point == base {
            guard shown != nil else {
                throw EarlierImageUnusable(
                    "because the last point that this host made is not in the repository any more", isLie: false)
            }
            map = kept
        } else {
            return nil
        }
        let image = try KeptImageMap(cache: cache, guest: guest, disk: disk, kept: map, proven: proven)
        guard image.root.byteCount == byteCount else {
            throw EarlierImageUnusable("because its size changed", isLie: false)
        }
        let earlier = EarlierImage(
            map: image, changed: changed, sampling: sampling, provenBy: shown.map { ($0.point, $0.commit) })
        disks[disk]?.base = map
        disks[disk]?.changed = Extent.joined(changed)
        return earlier
    }

    /// What runs that were stopped had read of the disks since their last point.
    package var readBefore: [String: [Extent]] { disks.mapValues(\.read) }

    // MARK: While it is read

    package func took(leaf identifier: Hash256, bytes: [UInt8], disk: String) {
        waiting.append((identifier, bytes))
        if waiting.count >= MapKeeper.batch { keepWaiting(disk) }
    }

    private func keepWaiting(_ disk: String) {
        defer { waiting = [] }
        guard failure == nil, !waiting.isEmpty else { return }
        do throws(MapCacheError) { try cache.add(waiting, guest: guest, disk: disk) } catch {
            failure = error.sentence
        }
    }

    package func begins(_ region: Extent, disk: String) {
        guard let last = disks[disk]?.begun.last, last.end == region.start else {
            disks[disk]?.begun.append(region)
            return
        }
        disks[disk]?.begun.removeLast()
        disks[disk]?.begun.append(Extent(start: last.start, length: region.end - last.start))
    }

    package func gaveUp(disk: String, isLie: Bool) {
        disks[disk]?.base = nil
        disks[disk]?.changed = []
        disks[disk]?.reached = nil
        if isLie { disks[disk]?.isDoubted = true }
    }

    package func reached(disk: String, root: [UInt8], leaves: [Hash256?]) {
        keepWaiting(disk)
        disks[disk]?.reached = (root, leaves)
    }

    package var isProgressDue: Bool { now() >= lastKept + interval }

    package func finished(disk: String, root: [UInt8], leaves: [Hash256?], isWholeRead: Bool, liedAbout: Bool) {
        keepWaiting(disk)
        guard keepsMaps else { return reached(disk: disk, root: root, leaves: []) }
        made[disk] = map(
            disk, root: root, leaves: leaves,
            pointsSinceScan: isWholeRead ? 0 : (disks[disk]?.base?.pointsSinceScan ?? 0) + 1, isDoubted: liedAbout)
    }

    /// A map that is of no point yet.
    private func map(
        _ disk: String, root: [UInt8], leaves: [Hash256?], pointsSinceScan: UInt64, isDoubted: Bool
    ) -> KeptMap {
        // The commit's names are filled in when it is known.
        let zeros = [UInt8](repeating: 0, count: 16)
        guard let nobody = WriterID(bytes: zeros), let nothing = SessionID(bytes: zeros),
            let zero = Hash256(bytes: [UInt8](repeating: 0, count: Hash256.byteCount))
        else { preconditionFailure("zeros make ids") }
        return KeptMap(
            point: point, commit: SessionHead(writer: nobody, session: nothing, number: 0, hash: zero), root: root,
            leaves: leaves, identity: identities[disk] ?? "", pointsSinceScan: pointsSinceScan, isDoubted: isDoubted)
    }

    // MARK: Behind it

    package func committed(_ point: PointID, by entry: SessionHead) {
        guard failure == nil else { return }
        guard keepsMaps else {
            do throws(MapCacheError) { try cache.keep(unfinished: [:], of: guest, tidies: false) } catch {
                failure = error.sentence
            }
            return
        }
        let maps = made.mapValues { map in
            var map = map
            (map.point, map.commit) = (point, entry)
            return map
        }
        do throws(MapCacheError) { try cache.replace(maps, of: guest) } catch { failure = error.sentence }
    }

    package func keepProgress() { keepProgress(isLast: false) }

    /// Keeps what the run has come to, in the place of what an earlier one had: from then on the lists of changes that
    /// began at its instant are to stay, and those of the earlier one are of no use.
    ///
    /// - Parameter isLast: whether the run ends with it.
    /// - Returns: whether the cache has the progress of this run; what was kept before may be older.
    @discardableResult
    package func keepProgress(isLast: Bool) -> Bool {
        lastKept = now()
        let rows = Dictionary(
            disks.compactMap { name, disk in row(name, disk).map { (name, $0) } }
        ) { first, _ in first }
        // A run that has read nothing knows less than the one before it.
        guard failure == nil, disks.values.contains(where: { $0.reached != nil || $0.isDoubted || !$0.begun.isEmpty })
        else { return hasKeptProgress }
        guard put(rows, tidies: isLast) else { return hasKeptProgress }
        hasKeptProgress = true
        return true
    }

    /// Keeps what was read, so that a later run can say what it reads again, and nothing to build on: nobody vouches
    /// for it. What an earlier run left stays as it is.
    package func keepReads() {
        let rows = Dictionary(
            disks.compactMap { name, disk -> (String, UnfinishedMap)? in
                let read = Extent.joined(disk.read + disk.begun)
                if var old = stopped[name] {
                    old.read = read
                    old.map.isDoubted = old.map.isDoubted || disk.isDoubted
                    return (name, old)
                }
                guard !read.isEmpty, let root = disk.reached?.root ?? earlier[name]?.root else { return nil }
                return (name, unknown(name, disk, root: root, read: read))
            }
        ) { first, _ in first }
        guard failure == nil, !hasKeptProgress, !rows.isEmpty else { return }
        _ = put(rows, tidies: false)
    }

    private func put(_ rows: [String: UnfinishedMap], tidies: Bool) -> Bool {
        do throws(MapCacheError) { try cache.keep(unfinished: rows, of: guest, tidies: tidies) } catch {
            failure = error.sentence
            return false
        }
        if !hasKeptProgress { onFirstProgress() }
        return true
    }

    /// A disk of which nothing is known but that it was read.
    private func unknown(_ name: String, _ disk: Disk, root: [UInt8], read: [Extent]) -> UnfinishedMap {
        let map = map(name, root: root, leaves: [], pointsSinceScan: 0, isDoubted: disk.isDoubted)
        return UnfinishedMap(
            map: map, stale: [Extent(start: 0, length: disk.byteCount)], read: read, after: earlier[name]?.point)
    }

    /// What is known of a disk at this run's instant; `nil` when nothing is.
    private func row(_ name: String, _ disk: Disk) -> UnfinishedMap? {
        let read = Extent.joined(disk.read + disk.begun)
        let after = earlier[name]?.point
        // Points since everything was read, when the next one is made of it.
        let count = disk.base?.pointsSinceScan ?? 0
        if var map = made[name] {
            map.pointsSinceScan = count
            map.isDoubted = disk.isDoubted
            return UnfinishedMap(map: map, stale: [], read: read, after: after)
        }
        guard let root = disk.reached?.root ?? disk.base?.root ?? stopped[name]?.map.root ?? earlier[name]?.root,
            let parameters = try? ImageRoot(parsing: root, name: "a root of the map cache").parameters,
            disk.reached != nil || disk.base != nil || disk.isDoubted || !read.isEmpty
        else { return nil }
        guard keepsMaps else { return unknown(name, disk, root: root, read: read) }
        let leafByteCount = UInt64(parameters.leafByteCount)
        let leafCount = Int((disk.byteCount + leafByteCount - 1) / leafByteCount)
        var leaves = disk.reached?.leaves ?? []
        let position = min(UInt64(leaves.count) * leafByteCount, disk.byteCount)
        let rest = Extent(start: position, length: disk.byteCount - position)
        var stale = [rest]
        if let base = disk.base, base.leaves.count == leafCount {
            stale = disk.changed.compactMap { $0.intersection(rest) }
            leaves += base.leaves.dropFirst(leaves.count)
        } else {
            leaves += [Hash256?](repeating: nil, count: leafCount - leaves.count)
        }
        let map = map(name, root: root, leaves: leaves, pointsSinceScan: count, isDoubted: disk.isDoubted)
        return UnfinishedMap(map: map, stale: Extent.joined(stale), read: read, after: after)
    }
}

/// A map from the cache.
private struct KeptImageMap: EarlierMap {
    let root: ImageRoot
    private let cache: KeptMaps
    private let guest: GuestID
    private let disk: String
    private let leaves: [Hash256?]
    /// Leaves of a point that counts, by number; `nil` when all are.
    private let proven: [Hash256?]?

    init(cache: KeptMaps, guest: GuestID, disk: String, kept: KeptMap, proven: [Hash256?]?) throws {
        root = try ImageRoot(parsing: kept.root, name: "the root of disk \(disk) in the map cache")
        self.cache = cache
        self.guest = guest
        self.disk = disk
        self.proven = proven
        leaves = kept.leaves
        let size = UInt64(root.parameters.leafByteCount)
        guard UInt64(leaves.count) == (root.byteCount + size - 1) / size else {
            throw EarlierImageUnusable("its map in this host's cache is incomplete", isLie: false)
        }
    }

    func identifier(ofLeaf number: UInt64) async throws -> Hash256? { leaves[Int(number)] }

    func isProven(leaf number: UInt64) -> Bool {
        guard let proven, let leaf = leaves[Int(number)] else { return true }
        return proven.indices.contains(Int(number)) && proven[Int(number)] == leaf
    }

    func leaf(_ number: UInt64) async throws -> MapLeaf? {
        guard let identifier = leaves[Int(number)] else { return nil }
        let offset = number * UInt64(root.parameters.leafByteCount)
        let byteCount = UInt32(min(UInt64(root.parameters.leafByteCount), root.byteCount - offset))
        do {
            guard let bytes = try cache.leaf(identifier, guest: guest, disk: disk) else {
                throw EarlierImageUnusable("its map in this host's cache is incomplete", isLie: false)
            }
            return try MapLeaf(parsing: bytes, byteCount: byteCount, name: "a leaf in the map cache")
        } catch let error as MapCacheError {
            throw EarlierImageUnusable(error.sentence, isLie: false)
        }
    }
}
