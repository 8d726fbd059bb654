package import BackupModel

/// What the record of a restore point says (format page §11).
package struct RestorePointRecord: Hashable, Sendable {
    /// One image of the point.
    package struct Image: Hashable, Sendable {
        /// What the operator calls the disk; a label, never a path.
        package var name: String
        /// `disk`, or what else belongs to the guest (format page §11).
        package var kind: String
        /// Size in bytes.
        package var byteCount: UInt64
        /// Format the image was read from, so that it is never probed again.
        package var format: String
        /// Id of the image root.
        package var root: Hash256
        /// Dedup domain.
        package var domain: UInt32
        /// How its changes were found; `nil` when the source was a file.
        package var trust: String?

        /// Kind of an image that is a disk of the guest.
        package static let diskKind = "disk"
        /// Kind of an image that holds the files that describe the guest.
        package static let definitionKind = "definition"
        /// Kind of a guest's memory by address; or of the stream that it came as, when the format is `stream`.
        package static let memoryKind = "memory"
        /// Kind of what puts a stream of memory together again (format page §15).
        package static let skeletonKind = "memory-skeleton"

        /// What messages call it.
        package var title: String {
            switch kind {
            case Image.memoryKind: "memory"
            case Image.skeletonKind: "the skeleton of memory"
            case Image.definitionKind: "the definition"
            default: "disk \(name)"
            }
        }

        /// An image from its fields.
        package init(
            name: String, kind: String, byteCount: UInt64, format: String, root: Hash256, domain: UInt32,
            trust: String? = nil
        ) {
            self.trust = trust
            self.name = name
            self.kind = kind
            self.byteCount = byteCount
            self.format = format
            self.root = root
            self.domain = domain
        }
    }

    /// How many bytes the run read, found changed, had to add, and stored.
    package struct Volume: Hashable, Sendable {
        /// Read from the source.
        package var read: UInt64 = 0
        /// Of these, not known to be the same as in the base.
        package var changed: UInt64 = 0
        /// Of these, in chunks that the repository did not have.
        package var new: UInt64 = 0
        /// Bytes of packs written for them.
        package var stored: UInt64 = 0

        /// Nothing yet.
        package init() {}
    }

    /// The images that are disks.
    package var disks: [Image] { images.filter { $0.kind == Image.diskKind } }
    /// The guest's memory, if the point has it.
    package var memory: Image? { images.first { $0.kind == Image.memoryKind } }
    /// The skeleton of the stream that the memory came as; `nil` also when the stream was stored as it is.
    package var skeleton: Image? { images.first { $0.kind == Image.skeletonKind } }

    /// Which point.
    package var identifier: PointID
    /// Which guest.
    package var guest: GuestID
    /// What the guest is called.
    package var label: String
    /// The instant of consistency: nanoseconds since 1970, UTC.
    package var takenAt: UInt64
    /// Where the time comes from: `host`.
    package var clock: String
    /// What was achieved: `crash`.
    package var consistency: String
    /// How changes were found: `scanned`.
    package var trust: String
    /// Name of the host that read the guest.
    package var host: String
    /// Program and version.
    package var tool: String
    /// Its images.
    package var images: [Image]
    /// The machine that it is a point of; `nil` when image files were read.
    package var machine: Machine?
    /// The point it builds on, if any.
    package var base: PointID?
    /// When the run began and ended: nanoseconds since 1970, UTC.
    package var startedAt: UInt64
    /// See ``startedAt``.
    package var endedAt: UInt64
    /// See ``Volume``.
    package var volume: Volume
    /// Words by which rules and people find it again: see ``tagLimit``; ascending, each once.
    package var tags: [String] = []
    /// When the session in which the point was committed was begun, by the host's clock, for a backup that had gone on
    /// from another: what that session shows of others was seen then, and not when the backup began. Nanoseconds since
    /// 1970, UTC; `nil` for a backup of one session.
    package var continuedAt: UInt64?
    /// What asked for the run; `nil` when nobody said.
    package var origin: Origin?

    /// A record from its fields.
    package init(
        identifier: PointID, guest: GuestID, label: String, takenAt: UInt64, clock: String = "host",
        consistency: String, trust: String, host: String, tool: String, images: [Image], machine: Machine? = nil,
        base: PointID?, startedAt: UInt64, endedAt: UInt64, volume: Volume
    ) {
        self.identifier = identifier
        self.guest = guest
        self.label = label
        self.takenAt = takenAt
        self.clock = clock
        self.consistency = consistency
        self.trust = trust
        self.host = host
        self.tool = tool
        self.images = images
        self.machine = machine
        self.base = base
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.volume = volume
    }

    /// As a record.
    package var record: Record {
        var members: [String: RecordValue] = [
            "id": .bytes(identifier.bytes), "guest": .bytes(guest.bytes), "label": .text(label),
            "taken_at": .unsigned(takenAt), "clock": .text(clock), "consistency": .text(consistency),
            "trust": .text(trust), "host": .text(host), "tool": .text(tool),
            "started_at": .unsigned(startedAt), "ended_at": .unsigned(endedAt),
            "bytes": .map([
                "read": .unsigned(volume.read), "changed": .unsigned(volume.changed), "new": .unsigned(volume.new),
                "stored": .unsigned(volume.stored),
            ]),
            "images": .array(images.map(\.value)),
        ]
        if let machine { members["machine"] = machine.value }
        if let base { members["base"] = .bytes(base.bytes) }
        if let continuedAt { members["continued_at"] = .unsigned(continuedAt) }
        if !tags.isEmpty { members["tags"] = .array(tags.map { .text($0) }) }
        if let origin { members["policy"] = origin.value }
        return Record(kind: Record.restorePointKind, isCritical: true, body: .map(members))
    }

    /// Reads the body of a record of kind 1.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the restore point in \(name)"
        guard record.kind == Record.restorePointKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) is no restore point")
        }
        let fields = try RecordFields(record.body, of: what)
        identifier = try fields.identifier("id")
        guest = try fields.identifier("guest")
        label = try fields.text("label")
        takenAt = try fields.unsigned("taken_at")
        clock = try fields.text("clock")
        consistency = try fields.text("consistency")
        trust = try fields.text("trust")
        host = try fields.text("host")
        tool = try fields.text("tool")
        startedAt = try fields.unsigned("started_at")
        endedAt = try fields.unsigned("ended_at")
        continuedAt = fields.optional("continued_at") == nil ? nil : try fields.unsigned("continued_at")
        base = fields.optional("base") == nil ? nil : try fields.identifier("base")
        let bytes = try fields.fields("bytes")
        volume = Volume()
        volume.read = try bytes.unsigned("read")
        volume.changed = try bytes.unsigned("changed")
        volume.new = try bytes.unsigned("new")
        volume.stored = try bytes.unsigned("stored")
        var images: [Image] = []
        for value in try fields.list("images") {
            let image = try RecordFields(value, of: "an image of \(what)")
            images.append(
                Image(
                    name: try image.text("name"), kind: try image.text("kind"), byteCount: try image.unsigned("length"),
                    format: try image.text("format"), root: try image.hash("root"), domain: try image.word("domain"),
                    trust: image.optional("trust") == nil ? nil : try image.text("trust")))
        }
        machine = try fields.optional("machine").map { value throws(FormatError) in
            try Machine(value, of: "the machine of \(what)")
        }
        self.images = images
        tags = try RestorePointRecord.tags(fields, of: what)
        origin = try fields.optional("policy").map { value throws(FormatError) in
            try Origin(value, of: "the policy of \(what)")
        }
    }
}

extension RestorePointRecord.Image {
    fileprivate var value: RecordValue {
        var members: [String: RecordValue] = [
            "name": .text(name), "kind": .text(kind), "length": .unsigned(byteCount), "format": .text(format),
            "root": .bytes(root.bytes), "domain": .unsigned(UInt64(domain)),
        ]
        if let trust { members["trust"] = .text(trust) }
        return .map(members)
    }
}
