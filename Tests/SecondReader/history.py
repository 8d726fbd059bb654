"""What happened: store identity, control log, sessions, the last ledger; so which outcomes count (sections 10, 11)."""

import struct
from dataclasses import dataclass, field

import cbor
from crypto import hpke_open, sha256, suite_1_info, suite_1_psk_id
from objects import HEADS_LIMIT, LEDGER, LOG_SLOT, SESSION_ENTRY, STORE, STRUCTURE, Body, parse_small_object
from owners import CLOSING_ROLES, SIGNING_ROLES
from refusals import Damaged, Refusal, Unsupported, Void, require

OUTCOMES = ("checkpoint", "commit")
ENDS = ("abandon", "fenced")
RESTORE_POINT = 1
KNOWN_RECORDS = range(1, 9)


@dataclass
class Slot:
    """A slot of the control log that counts."""
    place: tuple  # (incarnation, epoch, n)
    hash: bytes
    signer: bytes
    body: Body


@dataclass
class Entry:
    """A session entry that counts as such; whether it is an outcome that counts, the ledger says."""
    name: str
    writer: bytes
    session: bytes
    k: int
    hash: bytes
    kind: str
    signer: object
    body: Body
    sealed: list = field(default_factory=list)  # (record as Body, sealed bytes), in order


class History:
    """Reads everything that a repository says happened, following names only."""

    def __init__(self, store, chain, report):
        self.store, self.chain, self.report = store, chain, report
        self.repository = chain.credential.repository
        self.slots, self.slot_hashes = [], {}
        self.sessions = {}  # (writer, session) -> [Entry]
        self.entry_hashes = {}  # (writer, session, k) -> hash, void ones too
        self.heads = []  # (who said so, Body)
        self.ledger = None
        self.identities = self._read_identities()
        for incarnation in range(len(self.identities)):
            self._walk_log(incarnation)
        for slot in self.slots:
            if slot.body.text("type") == "open":
                self._read_session(slot)
        self._read_ledger()
        self._compare_heads()

    # Store identity

    def _read_identities(self):
        identities = []
        while True:
            i = len(identities)
            name = f"store/{i:08d}"
            data = self.store.get(name)
            if data is None:
                require(identities, "store/00000000 is missing: this store has no identity")
                return identities
            small = parse_small_object(data, name, STORE, self.repository)
            signer = self.chain.check(small, CLOSING_ROLES)
            body = small.body
            require(body.octets("repository", 16) == self.repository and body.number("incarnation") == i,
                    f"{name} is misplaced")
            if signer.revoked and (signer.last_slot is None or i > signer.last_slot[0]):
                raise Void(f"{name} is void: its signer was revoked")
            body.octets("store", 16)
            body.text("reason")
            if i > 0:
                require(body.octets("previous", 32) == identities[-1].hash, f"{name} does not follow the one before it")
            self._note_heads(name, body)
            identities.append(small)

    # Control log

    def _walk_log(self, incarnation):
        epoch, n, previous = 0, 0, self.identities[incarnation].hash
        last_of_writer = {}
        end = self._end_of_incarnation(incarnation)
        while end is None or (epoch, n) <= end:
            name = f"log/{incarnation:08d}/{epoch:08d}/{n:08d}"
            data = self.store.get(name)
            if data is None:
                return
            slot_hash = sha256(data)
            self.slot_hashes[incarnation, epoch, n] = slot_hash
            closes = False
            try:
                slot = self._read_slot(name, data, (incarnation, epoch, n), previous, last_of_writer)
                self.slots.append(slot)
                closes = slot.body.text("type") == "close"
            except Refusal as refusal:
                self.report(refusal)
            previous = slot_hash
            epoch, n = (epoch + 1, 0) if closes else (epoch, n + 1)

    def _end_of_incarnation(self, incarnation):
        """(epoch, n) of the last slot that the next incarnation knows of this one; None: no such bound."""
        if incarnation + 1 == len(self.identities):
            return None
        heads = self.identities[incarnation + 1].body.body("heads", optional=True)
        log = heads.tuple("log", "nnnh", optional=True) if heads else None
        return log[1:3] if log and log[0] == incarnation else None

    def _read_slot(self, name, data, place, previous, last_of_writer):
        small = parse_small_object(data, name, LOG_SLOT, self.repository)
        body = small.body
        said = (body.number("incarnation"), body.number("epoch"), body.number("n"))
        require(said == place, f"{name} is misplaced: it says {said}")
        signer = self.chain.check(small, SIGNING_ROLES)
        self.chain.accept_slot(signer, name, place, small.hash)
        kind = body.text("type")
        if kind == "close" and signer.role not in CLOSING_ROLES:
            raise Void(f"{name} is void: a {signer.role} may not close")
        shapes = {"open": lambda: (body.octets("session", 16), self._ids(body, "bases")),
                  "pin": lambda: self._ids(body, "points"), "hold": lambda: self._ids(body, "points"),
                  "undo": lambda: self._ids(body, "points"), "close": lambda: body.octets("ledger", 32)}
        if kind not in shapes:
            raise Unsupported(f"{name}: slots of type {kind!r} are not known")
        shapes[kind]()
        body.tuples("ended", "inh", optional=True)
        if body.octets("previous", 32) != previous:
            self.report(Damaged(f"{name} does not follow the slot before it, which was changed or put later"))
        own = body.tuple("writer_previous", "nnh", optional=True)
        if own != last_of_writer.get(small.header.signer):
            self.report(Damaged(f"{name}: its writer knows another slot as its last; the identity is used twice, or a "
                                "slot is gone"))
        last_of_writer[small.header.signer] = place[1:] + (small.hash,)
        self._note_heads(name, body)
        return Slot(place, small.hash, small.header.signer, body)

    @staticmethod
    def _ids(body, name):
        ids = body.array(name, optional=True) or []
        require(all(isinstance(item, bytes) and len(item) == 16 for item in ids), f"{body.what}: {name} are not ids")

    # Sessions

    def _read_session(self, slot):
        writer, session = slot.signer[:16], slot.body.octets("session", 16)
        if (writer, session) in self.sessions:
            return  # a second slot of the same session adds nothing
        entries = self.sessions[writer, session] = []
        k, previous = 0, slot.hash
        while True:
            name = f"s/{writer.hex()}/{session.hex()}/{k:08d}"
            data = self.store.get(name)
            if data is None:
                return
            entry_hash = self.entry_hashes[writer, session, k] = sha256(data)
            try:
                entry = self._read_entry(name, data, slot, k, previous)
                entries.append(entry)
                if entry.kind in ENDS:
                    return
            except Refusal as refusal:
                self.report(refusal)
            k, previous = k + 1, entry_hash

    def _read_entry(self, name, data, slot, k, previous):
        small = parse_small_object(data, name, SESSION_ENTRY, self.repository)
        body, writer = small.body, slot.signer[:16]
        session, kind = slot.body.octets("session", 16), body.text("type")
        said = (body.octets("writer", 16), body.octets("session", 16), body.number("k"))
        require(said == (writer, session, k), f"{name} is misplaced")
        if kind not in OUTCOMES + ENDS:
            raise Unsupported(f"{name}: entries of type {kind!r} are not known")
        signer = self.chain.check(small, CLOSING_ROLES if kind == "fenced" else SIGNING_ROLES)
        if kind != "fenced":
            if small.header.signer != slot.signer:
                raise Void(f"{name} is void: somebody else signed it")
            self.chain.accept_entry(signer, name, session, k, small.hash)
        elif signer.revoked and signer.last_slot is None:
            raise Void(f"{name} is void: its signer was revoked")
        require(body.tuple("slot", "nnn") == slot.place, f"{name} names another slot than its session's")
        if body.octets("previous", 32) != previous:
            self.report(Damaged(f"{name} does not follow the entry before it, which was changed or put later"))
        self._note_heads(name, body)
        return Entry(name, writer, session, k, small.hash, kind, signer, body, _sealed_records(small))

    # Ledger

    def _read_ledger(self):
        closes = [slot for slot in self.slots if slot.body.text("type") == "close"]
        self.points_of_ledger, self.horizon, self.generation = set(), {}, []
        if not closes:
            return
        ledger_hash = closes[-1].body.octets("ledger", 32)
        name = f"ledger/{ledger_hash.hex()}"
        data = self.store.get(name)
        require(data is not None, f"{name} is missing, and with it what counts")
        require(sha256(data) == ledger_hash, f"{name} is not what its name says")
        small = parse_small_object(data, name, LEDGER, self.repository)
        self.chain.check(small, CLOSING_ROLES)
        body = small.body
        self.points_of_ledger = set(body.tuples("points", "iiin"))
        for writer, session, k, entry_hash in body.tuples("horizon", "iinh"):
            self.horizon[writer, session] = (k, entry_hash)
        self.generation = body.tuples("generation", "hn")
        for condemned in ("condemned_fresh", "condemned_carried"):
            body.tuples(condemned, "nhn")
        for (writer, session), (k, entry_hash) in self.horizon.items():
            found = self.entry_hashes.get((writer, session, k))
            if found is not None and found != entry_hash:
                name = f"s/{writer.hex()}/{session.hex()}/{k:08d}"
                self.report(Damaged(f"{name} is not the entry that the ledger took over"))

    # What counts

    def outcomes(self):
        """The outcomes that count, in the order of their slots."""
        named = {(writer, session, k) for _, writer, session, k in self.points_of_ledger}
        for place, entries in self.sessions.items():
            for entry in entries:
                if entry.kind in OUTCOMES and (place not in self.horizon or place + (entry.k,) in named):
                    yield entry

    def point_is_live(self, entry, point):
        """Whether a restore point in an outcome that counts is shown: a ledger that took the session over names it."""
        if (entry.writer, entry.session) not in self.horizon:
            return True
        return (point, entry.writer, entry.session, entry.k) in self.points_of_ledger

    def restore_points(self):
        """(entry, body of the restore point) of all outcomes that count; what does not open is reported."""
        for entry in self.outcomes():
            for position, (record, sealed) in enumerate(entry.sealed):
                kind = record.number("kind", 0xFFFFFFFF)
                if kind not in KNOWN_RECORDS and record.fields.get("critical") is True:
                    self.report(Unsupported(f"{entry.name}: unknown critical record of kind {kind}; stops sweeps only"))
                if kind != RESTORE_POINT:
                    continue
                try:
                    point = self.open_record(entry, position, record, sealed)
                    guest, guests = point.octets("guest", 16), entry.signer.guests
                    if guests is not None and guest not in guests:
                        raise Void(f"{point.what} is void: its writer is not enrolled for guest {guest.hex()}")
                    if self.point_is_live(entry, point.octets("id", 16)):
                        yield entry, point
                except Refusal as refusal:
                    self.report(refusal)

    def open_record(self, entry, position, record, sealed):
        """The body of a sealed record."""
        what = f"{entry.name}, record {position}"
        require(sha256(sealed) == record.octets("body", 32), f"{what}: the sealed body was changed or erased")
        domain, epoch = record.number("domain", 0xFFFFFFFF), record.number("epoch", 0xFFFFFFFF)
        require(len(sealed) >= 4, f"{what}: too short")
        suite, enc_length = struct.unpack_from("<HH", sealed)
        if suite != 1:
            raise Unsupported(f"{what}: suite {suite} is not known")
        require(enc_length == 32 and len(sealed) >= 36 + 16, f"{what}: malformed")
        associated = b"dozo/1 record" + self.repository + entry.writer + entry.session \
            + struct.pack("<III", entry.k, position, record.number("kind", 0xFFFFFFFF))
        credential = self.chain.credential
        plain = hpke_open(credential.secret(domain, epoch, "structure_private"), sealed[4:36], sealed[36:], associated,
                          suite_1_info(self.repository, domain, STRUCTURE, epoch),
                          credential.secret(domain, epoch, "psk"), suite_1_psk_id(epoch), what)
        return Body(cbor.decode(plain), what)

    # Heads: what somebody saw must still be there

    def _note_heads(self, name, body):
        heads = body.body("heads", optional=True)
        if heads is not None:
            heads.tuple("owner", "nh", optional=True)
            heads.tuple("log", "nnnh", optional=True)
            heads.tuples("sessions", "iinh", optional=True, limit=HEADS_LIMIT)
            self.heads.append((name, heads))

    def _compare_heads(self):
        for name, heads in self.heads:
            owner, log = heads.tuple("owner", "nh", optional=True), heads.tuple("log", "nnnh", optional=True)
            if owner and (owner[0] >= len(self.chain.hashes) or self.chain.hashes[owner[0]] != owner[1]):
                self._missing(name, f"owner/{owner[0]:08d}")
            if log and self.slot_hashes.get(log[:3]) != log[3]:
                self._missing(name, "log/" + "/".join(f"{number:08d}" for number in log[:3]))
            for writer, session, k, entry_hash in heads.tuples("sessions", "iinh", optional=True):
                self._compare_session(name, writer, session, k, entry_hash)
        for slot in self.slots:
            name = "log/" + "/".join(f"{number:08d}" for number in slot.place)
            for session, k, entry_hash in slot.body.tuples("ended", "inh", optional=True):
                self._compare_session(name, slot.signer[:16], session, k, entry_hash)

    def _compare_session(self, name, writer, session, k, entry_hash):
        if (writer, session) not in self.horizon and self.entry_hashes.get((writer, session, k)) != entry_hash:
            self._missing(name, f"s/{writer.hex()}/{session.hex()}/{k:08d}")

    def _missing(self, name, missing):
        self.report(Damaged(f"known to exist, not shown: {missing}, which {name} has seen"))


def _sealed_records(small):
    """Cuts what stands behind the signature of a session entry into the sealed bodies of its records."""
    records = small.body.bodies("records") if "records" in small.body.fields else []
    result, place = [], 0
    for record in records:
        length = record.number("length")
        require(length <= len(small.rest) - place, f"{small.name}: the sealed bodies end too early")
        result.append((record, small.rest[place:place + length]))
        place += length
    require(place == len(small.rest), f"{small.name}: {len(small.rest) - place} bytes behind the last sealed body")
    return result
