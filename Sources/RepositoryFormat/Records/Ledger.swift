package import BackupModel

/// What a `close` says at length (format page §10): what lives on, which runs are valid, what is condemned.
package struct Ledger: Hashable, Sendable {
    /// A restore point that lives on, and where its record stands.
    package struct LivePoint: Hashable, Sendable {
        /// Which point.
        package let point: PointID
        /// Whose session.
        package let writer: WriterID
        /// Which session.
        package let session: SessionID
        /// Which entry of it.
        package let number: UInt32

        /// A live point from its fields.
        package init(point: PointID, writer: WriterID, session: SessionID, number: UInt32) {
            self.point = point
            self.writer = writer
            self.session = session
            self.number = number
        }
    }

    /// A condemned key.
    package struct Condemned: Hashable, Sendable {
        /// Pack or index run.
        package let kind: ObjectKind
        /// Its key.
        package let key: ObjectKey

        /// A condemned key from its fields.
        package init(kind: ObjectKind, key: ObjectKey) {
            self.kind = kind
            self.key = key
        }
    }

    /// Points that live on.
    package var points: [LivePoint]
    /// Sessions that the ledger has taken over; what it does not name of them is void.
    package var horizon: [SessionHead]
    /// All valid runs.
    package var generation: [ObjectKey]
    /// Condemned by this close; may be pardoned.
    package var condemnedFresh: [Condemned]
    /// Condemned earlier and not known to be deleted.
    package var condemnedCarried: [Condemned]

    /// A ledger from its fields.
    package init(
        points: [LivePoint], horizon: [SessionHead], generation: [ObjectKey], condemnedFresh: [Condemned],
        condemnedCarried: [Condemned]
    ) {
        self.points = points
        self.horizon = horizon
        self.generation = generation
        self.condemnedFresh = condemnedFresh
        self.condemnedCarried = condemnedCarried
    }

    /// The body of the object.
    package var body: RecordValue {
        func keys(_ list: [Condemned]) -> RecordValue {
            .array(
                list.map {
                    .array([
                        .unsigned(UInt64($0.kind.rawValue)), .bytes($0.key.hash.bytes),
                        .unsigned(UInt64($0.key.generation)),
                    ])
                })
        }
        return .map([
            "points": .array(
                points.map {
                    .array([
                        .bytes($0.point.bytes), .bytes($0.writer.bytes), .bytes($0.session.bytes),
                        .unsigned(UInt64($0.number)),
                    ])
                }),
            "horizon": .array(horizon.map(\.value)),
            "generation": .array(
                generation.map { .array([.bytes($0.hash.bytes), .unsigned(UInt64($0.generation))]) }),
            "condemned_fresh": keys(condemnedFresh), "condemned_carried": keys(condemnedCarried),
        ])
    }

    /// Reads the body of `ledger/<hash>`.
    ///
    /// - Throws: ``FormatError``.
    package init(_ object: SignedObject, name: String) throws(FormatError) {
        let fields = try object.fields(name: name)
        func keys(_ field: String) throws(FormatError) -> [Condemned] {
            var keys: [Condemned] = []
            for value in try fields.list(field) {
                var tuple = try RecordTuple(value, count: 3, of: "\(field) of \(name)")
                let number = try tuple.unsigned(limit: UInt64(UInt16.max))
                guard let kind = ObjectKind(rawValue: UInt16(number)), kind == .pack || kind == .indexRun else {
                    throw .unsupported("\(name) condemns an object of kind \(number), which this program does not know")
                }
                keys.append(Condemned(kind: kind, key: try tuple.objectKey()))
            }
            return keys
        }
        var points: [LivePoint] = []
        for value in try fields.list("points") {
            var tuple = try RecordTuple(value, count: 4, of: "points of \(name)")
            points.append(
                LivePoint(
                    point: try tuple.identifier(), writer: try tuple.identifier(), session: try tuple.identifier(),
                    number: try tuple.number()))
        }
        var horizon: [SessionHead] = []
        for value in try fields.list("horizon") { horizon.append(try SessionHead(value, of: name)) }
        var generation: [ObjectKey] = []
        for value in try fields.list("generation") {
            var tuple = try RecordTuple(value, count: 2, of: "generation of \(name)")
            generation.append(try tuple.objectKey())
        }
        self.points = points
        self.horizon = horizon
        self.generation = generation
        condemnedFresh = try keys("condemned_fresh")
        condemnedCarried = try keys("condemned_carried")
    }
}
