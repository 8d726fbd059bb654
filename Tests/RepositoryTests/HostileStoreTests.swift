import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// A store that answers what it likes. Everything that it cannot sign is refused, and the refusal says what it is.
@Suite("a hostile store is refused")
struct HostileStoreTests {
    private func code(_ act: () async throws -> Void) async throws -> RepositoryError.Code? {
        do { try await act() } catch let error as RepositoryError {
            print("refused: \(error.sentence)")
            return error.code
        }
        return nil
    }

    private func chain(_ sample: SampleRepository) async throws -> OwnerChain {
        try await OpenRepository.open(store: SampleRepository.store(sample.objects), key: .credential(sample.owner))
            .chain
    }

    private func name(_ text: String) throws -> ObjectName { try #require(ObjectName(text)) }

    /// What the owner would have signed, signed by somebody else.
    private func forged(_ statement: SignedObject, by key: SigningKey) -> [UInt8] {
        SignedObject(
            kind: .ownerStatement, repository: statement.header.repository, body: statement.body, signedBy: key
        ).bytes
    }

    /// A domain whose secrets the store itself knows.
    private func ownDomain(epoch: UInt32) -> DomainKeys {
        DomainKeys(
            of: DomainSecrets.generate(id: 0, epoch: epoch, randomness: Randomness.seeded(7).bytes), dedupTrust: .all)
    }

    @Test("a key epoch with the store's own keys, signed by anybody but the owner, is passed over and reported")
    func forgedKeyEpoch() async throws {
        let sample = try await Samples.sample()
        let chain = try await chain(sample)
        let strangers = SigningKey(seed: SecretBytes(copying: Randomness.seeded(8).bytes(32)))
        let writer = try #require(sample.hosts[0].credential.signingKey)
        let owner = try #require(sample.owner.signingKey)
        for key in [strangers, writer, try #require(sample.maintainer.signingKey)] {
            let statement = try chain.beginningKeyEpoch([ownDomain(epoch: 1)], createdAt: 9, signedBy: owner)
            var objects = sample.objects
            objects[try name(chain.nextName)] = forged(statement, by: key)
            let store = try await SampleRepository.store(objects)
            for credential in [sample.owner, sample.reader, sample.hosts[0].credential, sample.verifier] {
                let repository = try await OpenRepository.open(store: store, key: .credential(credential))
                #expect(repository.chain.domains == chain.domains && repository.chain.head == chain.head)
                #expect(repository.findings.map(\.object) == [chain.nextName])
            }
        }
    }

    @Test("a genesis with the store's own domain keys is refused, whoever signed it")
    func forgedGenesis() async throws {
        let sample = try await Samples.sample()
        let chain = try await chain(sample)
        let store = SigningKey(seed: SecretBytes(copying: Randomness.seeded(8).bytes(32)))
        // Signed by the store's key and naming it as owner; and the true genesis with a public key exchanged in place.
        let genesis = OwnerChain.genesis(
            repository: chain.repository, domains: [ownDomain(epoch: 0)], defaults: chain.defaults, createdAt: 0,
            signedBy: store)
        let true0 = try #require(sample.objects[try name("owner/00000000")])
        let mine = chain.domains[0].contentKey.bytes
        let place = try #require(true0.indices.first { true0[$0...].starts(with: mine) })
        var patched = true0
        patched.replaceSubrange(place..<place + 32, with: ownDomain(epoch: 0).contentKey.bytes)
        for (bytes, expected) in [(genesis.bytes, RepositoryError.Code.refused), (patched, .damaged)] {
            var objects = sample.objects
            objects[try name("owner/00000000")] = bytes
            let half = try await OpenRepository.open(
                store: SampleRepository.store(objects), key: .credential(sample.reader))
            #expect(half.chain.domains == chain.domains && half.findings.map(\.object) == ["owner/00000000"])
            objects[try name("spare/owner/00000000")] = bytes
            let hostile = try await SampleRepository.store(objects)
            for credential in [sample.owner, sample.reader, sample.hosts[0].credential, sample.verifier] {
                let code = try await code {
                    _ = try await OpenRepository.open(store: hostile, key: .credential(credential))
                }
                #expect(code == expected)
            }
            let secret = SlotSecret.passphrase(SecretBytes(copying: Array(SampleRepository.passphrase.utf8)))
            let code = try await code { _ = try await OpenRepository.open(store: hostile, key: .secret(secret)) }
            #expect(code == expected)
        }
    }

    @Test("an enrolment that the owner did not sign enrols nobody")
    func forgedEnrolment() async throws {
        let sample = try await Samples.sample()
        let chain = try await chain(sample)
        let writer = try #require(sample.hosts[0].credential.signingKey)
        let stranger = SigningKey(seed: SecretBytes(copying: Randomness.seeded(8).bytes(32)))
        let statement = try chain.enrolling(
            Enrolment(key: stranger.publicKey, role: .writer, domain: 0, label: "host c"), createdAt: 9,
            signedBy: try #require(sample.owner.signingKey))
        var objects = sample.objects
        objects[try name(chain.nextName)] = forged(statement, by: writer)
        let store = try await SampleRepository.store(objects)
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        #expect(repository.chain.signer(stranger.publicKey.fingerprint) == nil)
        #expect(repository.findings.map(\.object) == [chain.nextName])
    }

    @Test("a store that serves a repository of its own is refused by every credential")
    func foreignRepository() async throws {
        let (sample, foreign) = (try await Samples.sample(), try await Samples.foreign())
        let store = try await SampleRepository.store(foreign.objects)
        for credential in [sample.owner, sample.reader, sample.maintainer, sample.hosts[1].credential, sample.verifier]
        {
            let code = try await code {
                _ = try await OpenRepository.open(store: store, key: .credential(credential))
            }
            #expect(code == .refused)
        }
        let secret = SlotSecret.recovery(sample.recovery)
        #expect(try await code { _ = try await OpenRepository.open(store: store, key: .secret(secret)) } == .wrongKey)
    }

    @Test("a host that saw the newest entries refuses a store that hides them or went back", arguments: [0, 1])
    func rollBack(host: Int) async throws {
        let sample = try await Samples.sample()
        let host = sample.hosts[host].copy()
        let state = try HostState(
            files: host.disk, repository: sample.owner.repository, randomness: Randomness.seeded(1))
        func look(_ objects: [ObjectName: [UInt8]]) async throws -> RepositoryError.Code? {
            let repository = try await OpenRepository.open(
                store: SampleRepository.store(objects), key: .credential(host.credential))
            let view = try await repository.view()
            return try await code { try state.check(view, chain: repository.chain, remembering: state.memory()) }
        }
        #expect(try await look(sample.objects) == nil)
        let seen = try #require(try state.memory())
        let last = try #require(seen.sessions.last)
        let entry = ObjectPaths.sessionEntry(writer: last.writer, session: last.session, number: last.number)
        let slot = ObjectPaths.slot(try #require(seen.log).slot)
        var hiding = sample.objects
        hiding[try name(entry)] = nil
        #expect(try await look(hiding) == .refused)
        hiding = sample.objects.filter { $0.key.text < slot || !$0.key.text.hasPrefix("log/") }
        #expect(try await look(hiding) == .refused)
        // Back to before the last backup of this host.
        let store = MemoryStore(randomness: .seeded(0))
        for (name, bytes) in sample.objects.sorted(by: { $0.key < $1.key }) {
            _ = try await store.putIfAbsent(name, bytes)
        }
        let before = store.snapshot()
        try await host.backUp([[1, 2, 3]], to: store, at: 10, randomness: Randomness.seeded(11))
        store.rollBack(to: before)
        let refusal = try await code {
            try await host.backUp([[1, 2, 3]], to: store, at: 11, randomness: Randomness.seeded(12))
        }
        #expect(refusal == .refused)
    }

    @Test("a shorter owner chain than a credential remembers is refused")
    func shorterChain() async throws {
        let sample = try await Samples.sample()
        var objects = sample.objects
        objects[try name("owner/00000003")] = nil
        objects[try name("spare/owner/00000003")] = nil
        let store = try await SampleRepository.store(objects)
        #expect(
            try await code {
                _ = try await OpenRepository.open(store: store, key: .credential(sample.hosts[1].credential))
            } == .refused)
    }

    @Test("a host does not write into a store that does not show what others have seen")
    func hiddenFromOthers() async throws {
        let sample = try await Samples.sample()
        // Host b's first commit, which host a's entries have seen; host b's own memory is not asked.
        let view = try await OpenRepository.open(
            store: SampleRepository.store(sample.objects), key: .credential(sample.owner)
        ).view()
        let point = try #require(view.points.first { $0.record.identifier == sample.points[1] })
        var objects = sample.objects
        let entry = ObjectPaths.sessionEntry(writer: point.writer, session: point.session, number: point.entry)
        objects[try name(entry)] = nil
        let store = try await SampleRepository.store(objects)
        let refusal = try await code {
            try await sample.hosts[0].copy().backUp([[1]], to: store, at: 10, randomness: Randomness.seeded(11))
        }
        #expect(refusal == .refused)
        // Lost for good: an empty object says so, and work goes on.
        _ = try await store.putIfAbsent(try name(entry), [])
        try await sample.hosts[0].copy().backUp([[1]], to: store, at: 10, randomness: Randomness.seeded(11))
    }
}
