extension RestorePointRecord {
    /// The machine a point was taken of, as its hypervisor showed it, and how the instant was taken (format page §11).
    package struct Machine: Hashable, Sendable {
        /// A disk that is not in the point.
        package struct LeftOut: Hashable, Sendable {
            /// What the operator calls it.
            package var name: String
            /// Why, in words.
            package var why: String

            /// A disk from its fields.
            package init(name: String, why: String) {
                self.name = name
                self.why = why
            }
        }

        /// What was called in the guest to bring an application to rest.
        package struct Hook: Hashable, Sendable {
            /// Its name there.
            package var name: String
            /// `ok`; `idle` when it had nothing to bring to rest.
            package var outcome: String
            /// Nanoseconds it took.
            package var took: UInt64

            /// A hook from its fields.
            package init(name: String, outcome: String, took: UInt64) {
                self.name = name
                self.outcome = outcome
                self.took = took
            }
        }

        /// `qemu`, `libvirt-qemu`, `libvirt-xen`, `xen`.
        package var hypervisor: String
        /// Name on the host.
        package var name: String
        /// The hypervisor's identity of the guest; empty when it has none.
        package var uuid: String
        /// Versions by program.
        package var versions: [String: String] = [:]
        /// Machine type; empty when not known.
        package var type = ""
        /// Processor model; empty when not known.
        package var cpu = ""
        /// What was in removable drives, by drive.
        package var media: [String: String] = [:]
        /// Disks that are not in the point.
        package var leftOut: [LeftOut] = []
        /// Nanoseconds the guest stood still for the instant.
        package var pause: UInt64 = 0
        /// Nanoseconds its file systems were at rest.
        package var frozen: UInt64 = 0
        /// Hooks in the guest that were called at the freeze, in their order.
        package var hooks: [Hook] = []
        /// Nanoseconds that the instant may lie off.
        package var uncertainty: UInt64 = 0
        /// Shared by points of one barrier, 16 bytes; `nil` without one.
        package var group: [UInt8]?
        /// Nanoseconds between the first and the last instant of the barrier.
        package var spread: UInt64 = 0

        /// A machine of which nothing else is known yet.
        package init(hypervisor: String, name: String, uuid: String) {
            self.hypervisor = hypervisor
            self.name = name
            self.uuid = uuid
        }

        var value: RecordValue {
            var members: [String: RecordValue] = [
                "hypervisor": .text(hypervisor), "name": .text(name), "uuid": .text(uuid),
                "versions": .map(versions.mapValues { .text($0) }), "type": .text(type), "cpu": .text(cpu),
                "media": .map(media.mapValues { .text($0) }),
                "left_out": .array(leftOut.map { .map(["name": .text($0.name), "why": .text($0.why)]) }),
                "pause": .unsigned(pause), "frozen": .unsigned(frozen), "uncertainty": .unsigned(uncertainty),
                "spread": .unsigned(spread),
            ]
            if let group { members["group"] = .bytes(group) }
            if !hooks.isEmpty {
                members["hooks"] = .array(
                    hooks.map {
                        .map(["name": .text($0.name), "outcome": .text($0.outcome), "took": .unsigned($0.took)])
                    })
            }
            return .map(members)
        }

        init(_ value: RecordValue, of what: String) throws(FormatError) {
            let fields = try RecordFields(value, of: what)
            hypervisor = try fields.text("hypervisor")
            name = try fields.text("name")
            uuid = try fields.text("uuid")
            versions = try Machine.texts(try fields.value("versions"), of: "\(what), versions")
            type = try fields.text("type")
            cpu = try fields.text("cpu")
            media = try Machine.texts(try fields.value("media"), of: "\(what), media")
            for value in try fields.list("left_out") {
                let disk = try RecordFields(value, of: "\(what), left_out")
                leftOut.append(LeftOut(name: try disk.text("name"), why: try disk.text("why")))
            }
            if fields.optional("hooks") != nil {
                for value in try fields.list("hooks") {
                    let hook = try RecordFields(value, of: "\(what), hooks")
                    hooks.append(
                        Hook(
                            name: try hook.text("name"), outcome: try hook.text("outcome"),
                            took: try hook.unsigned("took")))
                }
            }
            pause = try fields.unsigned("pause")
            frozen = try fields.unsigned("frozen")
            uncertainty = try fields.unsigned("uncertainty")
            group = fields.optional("group") == nil ? nil : try fields.bytes("group", count: 16)
            spread = try fields.unsigned("spread")
        }

        private static func texts(_ value: RecordValue, of what: String) throws(FormatError) -> [String: String] {
            guard case .map(let members) = value else { throw .notCanonical(what) }
            var texts: [String: String] = [:]
            for (name, value) in members {
                guard case .text(let text) = value else { throw .notCanonical(what) }
                texts[name] = text
            }
            return texts
        }
    }
}
