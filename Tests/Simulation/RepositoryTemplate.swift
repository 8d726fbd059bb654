import ChunkEncryption
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

/// A new repository with tiny sizes, made once: the passphrase of its key slot costs more than a whole history.
package struct RepositoryTemplate: Sendable {
    /// Its objects.
    let content: [ObjectName: [UInt8]]
    let owner: Credential

    private static let making = Making()

    /// The repository, made at the first call in this process.
    package static func made() async throws -> RepositoryTemplate { try await making.template() }

    private actor Making {
        private var made: RepositoryTemplate?

        func template() async throws -> RepositoryTemplate {
            if let made { return made }
            // Two that come at once may both make it: the same one, from the same seeds.
            let template = try await RepositoryTemplate()
            made = template
            return template
        }
    }

    private init() async throws {
        let store = MemoryStore(randomness: .seeded(1))
        let defaults = RepositoryDefaults(
            minimum: 4 << 10, maximum: 16 << 10, threshold: .max / 3, zeroRun: 8 << 10, region: 64 << 10,
            leaf: 16 << 10, fanOut: 4, pack: 24 << 10)
        owner = try await RepositoryCreation.create(
            in: store, secret: .passphrase(SecretBytes(copying: Array("simulated".utf8))), label: "simulated",
            defaults: defaults, createdAt: 0, randomness: .seeded(2))
        var content: [ObjectName: [UInt8]] = [:]
        for name in try await store.list(prefix: "") { content[name] = try await store.get(name) }
        self.content = content
    }
}
