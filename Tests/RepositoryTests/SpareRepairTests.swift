import ChunkEncryption
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// `dozo verify --repair`: what stands twice is whole again afterwards.
@Suite("a lost or damaged copy of what stands twice is put back")
struct SpareRepairTests {
    @Test("each of them, lost, empty or with a flipped bit: put back, byte for byte, and nothing else is touched")
    func each() async throws {
        let sample = try await Samples.sample()
        let doubled = sample.objects.filter { name, _ in
            ["owner", "store", "keys", "spare"].contains(Damage.kind(name))
        }
        #expect(doubled.count == 14)
        for (name, bytes) in doubled {
            let damages = [
                Damage(what: "\(name) is removed", changes: [name: nil]),
                Damage(what: "\(name) is empty", changes: [name: []]),
                .flip(name, bytes, bit: 8 * (bytes.count / 2)),
            ]
            for damage in damages {
                let store = try await damage.store(sample)
                let repair = try await SpareRepair(
                    OpenRepository.open(store: store, key: .credential(sample.verifier)), in: store)
                #expect(repair.mended == [name.text], "\(damage.what)")
                #expect(try await SampleRepository.objects(store) == sample.objects, "\(damage.what)")
            }
        }
        let store = try await SampleRepository.store(sample.objects)
        let whole = try await OpenRepository.open(store: store, key: .credential(sample.verifier))
        #expect(try await SpareRepair(whole, in: store).mended.isEmpty)
    }

    @Test("a key slot that was removed stays removed")
    func removedSlot() async throws {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let slot = try #require(sample.objects.keys.first { Damage.kind($0) == "keys" })
        let owner = try #require(sample.owner.signingKey).publicKey
        #expect(try await KeySlots.remove(slot.text, from: store, owner: owner) == slot.text)
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        #expect(try await SpareRepair(repository, in: store).mended.isEmpty)
        #expect(try await store.list(prefix: "keys/").count == 1)
        #expect(try await store.list(prefix: "spare/keys/").count == 1)
    }
}
