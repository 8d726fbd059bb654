import RepositoryFormat
import TestKit

extension Mutator {
    /// As ``run(_:_:refusedBy:check:)``, for the parsers of this module.
    static func run(_ name: String, _ originals: [[UInt8]], check: ([UInt8]) throws -> String?) {
        run(name, originals, refusedBy: FormatError.self, check: check)
    }
}
