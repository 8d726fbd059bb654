"""The owner chain (format page, section 3): who may sign what, which features are in force, which keys a domain has."""

from dataclasses import dataclass, field

from crypto import sha256
from keys import check_domain_keys
from objects import OWNER, check_small_signature, parse_small_object
from refusals import Damaged, Refusal, Unsupported, Void, require

KNOWN_READ_FEATURES = frozenset()  # draft 1 defines no words
SIGNING_ROLES = ("writer", "maintainer", "owner")
CLOSING_ROLES = ("maintainer", "owner")
DEFAULTS = ("minimum", "maximum", "threshold", "zero_run", "region", "leaf", "fan_out", "pack")


@dataclass
class Signer:
    """A key that the chain enrols, and what was taken from it again."""
    key: bytes
    role: str
    domains: set = field(default_factory=set)  # None: all
    guests: set = None  # None: all
    # Each accepts less: ((incarnation, epoch, n, hash) or None, {session: (k, hash)})
    revocations: list = field(default_factory=list)

    @property
    def revoked(self):
        return bool(self.revocations)

    @property
    def is_void(self):
        """Whether nothing that it signed is accepted."""
        return any(last_slot is None for last_slot, _ in self.revocations)


class OwnerChain:
    """All statements of the owner, read and checked."""

    def __init__(self, store, credential, report):
        self.credential, self.report = credential, report
        self.hashes = {}  # n -> hash of the statement, places that are passed over left out
        self.previous = None
        self.signers = {credential.owner: Signer(credential.owner_key, "owner", None)}
        self.domains = {}  # id -> entry in force
        n = 0
        while True:
            copies = self._copies(store, n)
            if not copies and n > 0:
                # What was passed over may have been cleaned away since.
                later = [number for number in store.owner_numbers() if number > n]
                if not later:
                    break
                n = min(later)
                continue
            self._read_place(store, copies, n)
            n += 1
        last, last_hash = credential.owner_head
        if last > max(self.hashes):
            raise Damaged(f"the owner chain ends before statement {last}, which the key slot knows: it is cut short")
        require(self.hashes.get(last) == last_hash, f"owner/{last:08d} is not the statement that the key slot knows")

    def _copies(self, store, n):
        return store.copies(f"owner/{n:08d}")

    def _read_place(self, store, copies, n):
        name, refusal = f"owner/{n:08d}", None
        for _, data in copies:
            try:
                check_small_signature(data, name, OWNER, self.credential.repository, self.credential.owner_key)
            except Refusal as error:
                refusal = refusal or error
                continue
            # The owner signed it: what is wrong with it is wrong with the chain.
            statement = parse_small_object(data, name, OWNER, self.credential.repository)
            if statement.body.fields.get("n", n) != n:
                refusal = refusal or Damaged(f"{name} is misplaced: it says another number")
                continue
            self._read(statement, n)
            store.tell(name, copies, data, self.report)
            return
        if n == 0:
            raise refusal or Damaged("owner/00000000 is missing: there is nothing to believe")
        # Whoever may create objects can put anything there.
        self.report(Damaged(f"{name} is passed over: {refusal or 'nothing lies there'}"))

    def _read(self, statement, n):
        body = statement.body
        require(body.number("n") == n, f"{statement.name} is misplaced: it says n = {body.number('n')}")
        body.number("created_at")
        if n > 0:
            follows = body.octets("previous", 32) == self.previous
            require(follows, f"{statement.name} does not follow the last statement: one between was lost")
        self.hashes[n] = self.previous = statement.hash
        kind = body.text("type")
        require((kind == "genesis") == (n == 0), f"{statement.name}: {kind!r} cannot stand here")
        readers = {"genesis": self._genesis, "enrol": self._enrol, "revoke": self._revoke,
                   "key_epoch": self._key_epoch, "features": self._features}
        if kind not in readers:
            raise Unsupported(f"{statement.name}: statements of type {kind!r} are not known")
        readers[kind](body)

    def _genesis(self, body):
        require(body.octets("repository", 16) == self.credential.repository, "genesis names another repository")
        if sha256(body.octets("owner", 32)) != self.credential.owner:
            raise Unsupported("the owner key of genesis is not the credential's: another repository")
        defaults = body.body("defaults")
        for name in DEFAULTS:
            defaults.number(name)
        self._features(body)
        self._key_epoch(body)

    def _features(self, body):
        features = body.body("features")
        for act in ("read", "write", "sweep"):
            words = features.array(act)
            require(all(isinstance(word, str) for word in words), f"{body.what}: features are not text")
        unknown = [word for word in features.array("read") if word not in KNOWN_READ_FEATURES]
        self.unknown_read_features = unknown

    def _key_epoch(self, body):
        for entry in body.bodies("domains"):
            domain, epoch = entry.number("id", 0xFFFFFFFF), entry.number("epoch", 0xFFFFFFFF)
            keys = entry.octets("content_key", 32), entry.octets("structure_key", 32)
            if entry.number("id_algorithm") != 1:
                raise Unsupported(f"domain {domain} uses id algorithm {entry.number('id_algorithm')}; 1 is known")
            require(entry.text("dedup_trust") in ("own", "attested", "all"), f"{entry.what}: dedup_trust")
            check_domain_keys(self.credential, domain, epoch, *keys)
            self.domains[domain] = epoch

    def _enrol(self, body):
        key, role = body.octets("key", 32), body.text("role")
        require(role in ("writer", "maintainer"), f"{body.what}: no such role: {role!r}")
        domain, guests = body.number("domain", 0xFFFFFFFF), body.array("guests", optional=True)
        body.text("label")
        signer = self.signers.setdefault(sha256(key), Signer(key, role))
        require(signer.role == role and not signer.revoked, f"{body.what}: the key has another role or is revoked")
        signer.domains.add(domain)
        signer.guests = None if guests is None else set(guests) | (signer.guests or set())

    def _revoke(self, body):
        signer = self.signers.get(body.octets("key", 32))
        last_slot = body.tuple("slot", "nnnh", optional=True)
        sessions = body.tuples("sessions", "inh", optional=True)
        require(signer is not None and signer.role != "owner", f"{body.what}: revokes a key that is not enrolled")
        signer.revocations.append((last_slot, {session: (k, entry_hash) for session, k, entry_hash in sessions}))

    def refuse_unknown_features(self):
        """Raises `Unsupported` when a feature in force forbids reading."""
        if self.unknown_read_features:
            words = ", ".join(repr(word) for word in self.unknown_read_features)
            raise Unsupported(f"reading needs features that this reader does not know: {words}")

    def check(self, small, roles):
        """Checks who signed a small object. Raises `Void` for strangers, `Damaged` for a wrong signature."""
        signer = self.signer(small.name, small.header.signer, roles)
        small.check_signature(signer.key)
        return signer

    def signer(self, name, fingerprint, roles):
        """The enrolled signer with this fingerprint. Raises `Void` when there is none, or of another role."""
        signer = self.signers.get(fingerprint)
        if signer is None:
            stranger = Void(f"{name} is void: its signer {fingerprint.hex()[:16]} is not enrolled")
            stranger.is_stranger = True
            raise stranger
        if signer.role not in roles:
            raise Void(f"{name} is void: a {signer.role} may not sign it")
        return signer

    @staticmethod
    def accept_slot(signer, name, place, slot_hash):
        """Raises `Void` when the slot is behind the last one that a revocation accepts. `place`: three numbers."""
        for last_slot, _ in signer.revocations:
            if last_slot is None or not (place < last_slot[:3] or place + (slot_hash,) == last_slot):
                raise Void(f"{name} is void: its signer was revoked")

    @staticmethod
    def accept_entry(signer, name, session, k, entry_hash):
        """Raises `Void` when the entry is behind the last one that a revocation accepts of its session."""
        for last_slot, last_entries in signer.revocations:
            if last_slot is None:
                raise Void(f"{name} is void: its signer was revoked and nothing of it is accepted")
            last = last_entries.get(session)
            if last is not None and not (k < last[0] or (k, entry_hash) == last):
                raise Void(f"{name} is void: its signer was revoked")
