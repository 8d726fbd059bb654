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
KNOWN_RECORDS = range(1, 11)
EPOCH_PROBES = 16  # spoiled slots passed over when looking whether a close was lost


class NotFollowing(Void):
    """Signed for its place by a key that may, but it names something else before it than what stands there."""


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
        self.spoiled_slots = {}  # (incarnation, epoch, n) -> hash of the bytes there, None when they are missing
        self.lost_slots = set()  # those of them that no enrolled key has signed
        self.spoiled_entries = set()  # (writer, session, k)
        self.sessions = {}  # (writer, session) -> [Entry]
        self.places = {}  # (writer, session) -> place of its slot
        self.entry_hashes = {}  # (writer, session, k) -> hash, void ones too
        self.heads = []  # (who said so, Body)
        self.ledger = None
        self.identities = self._read_identities()
        for identity in self.identities:
            self._walk_log(identity)
        for slot in self.slots:
            if slot.body.text("type") == "open":
                self._read_session(slot.signer, slot.body.octets("session", 16), slot.place, slot.hash)
        self._find_sessions()
        self._read_ledger()
        self._compare_heads()

    # Store identity

    def _read_identities(self):
        identities, i = [], 0
        while True:
            copies = self._identity_copies(i)
            if not copies and not self._identity_copies(i + 1):
                require(identities, "store/00000000 is missing: this store has no identity")
                return identities
            small, refusal = None, None
            for _, data in copies:
                try:
                    small = self._read_identity(data, i, identities)
                    self.store.tell(small.name, copies, data, self.report)
                    break
                except Refusal as error:
                    refusal = refusal or error
            if small is not None:
                self._note_heads(small.name, small.body, small.header.signer)
                identities.append(small)
            elif i == 0:
                raise refusal or Damaged("store/00000000 is missing: this store has no identity")
            else:
                self.report(Damaged(f"store/{i:08d} is passed over: {refusal or 'nothing lies there'}"))
            i += 1

    def _identity_copies(self, i):
        return self.store.copies(f"store/{i:08d}")

    def _read_identity(self, data, i, earlier):
        name = f"store/{i:08d}"
        small = parse_small_object(data, name, STORE, self.repository)
        signer = self.chain.check(small, CLOSING_ROLES)
        body = small.body
        require(body.octets("repository", 16) == self.repository and body.number("incarnation") == i,
                f"{name} is misplaced")
        if signer.is_void:
            raise Void(f"{name} is void: its signer was revoked")
        body.octets("store", 16)
        body.text("reason")
        if i > 0:
            follows = earlier and body.octets("previous", 32) == earlier[-1].hash
            require(follows, f"{name} does not follow the one before it")
        return small

    # Control log

    def _walk_log(self, identity):
        incarnation = identity.body.number("incarnation")
        epoch, n, previous = 0, 0, identity.hash
        last_of_writer = {}
        end = self._end_of_incarnation(incarnation)
        while end is None or (epoch, n) <= end:
            place = (incarnation, epoch, n)
            data = self.store.get(slot_name(*place))
            if data is None:
                if not self._is_readable_slot((incarnation, epoch, n + 1)):
                    self._refuse_lost_close(place)
                    return
                self.report(Damaged(f"{slot_name(*place)} is missing, and another was claimed behind it"))
                self.spoiled_slots[place], previous, n = None, None, n + 1
                self.lost_slots.add(place)
                continue
            slot_hash = self.slot_hashes[place] = sha256(data)
            closes, spoiled = False, False
            try:
                slot = self._read_slot(slot_name(*place), data, place, previous, last_of_writer)
                self.slots.append(slot)
                closes = slot.body.text("type") == "close"
            except NotFollowing as refusal:
                self.report(refusal)
            except Refusal as refusal:
                self.report(refusal)
                self.spoiled_slots[place], spoiled = slot_hash, True
                if not isinstance(refusal, Void) or refusal.is_stranger:
                    self.lost_slots.add(place)
            # Behind a spoiled slot nothing is compared: what it names is the signed word about what stood there.
            previous = None if spoiled else slot_hash
            epoch, n = (epoch + 1, 0) if closes else (epoch, n + 1)

    def _is_readable_slot(self, place):
        data = self.store.get(slot_name(*place))
        if data is None:
            return False
        try:
            self._signed_slot(slot_name(*place), data, place)
            return True
        except Refusal:
            return False

    def _refuse_lost_close(self, place):
        """Raises `Damaged` when a slot of the next epoch is there, which only a close makes possible."""
        incarnation, epoch, n = place
        for number in range(EPOCH_PROBES):
            later = (incarnation, epoch + 1, number)
            if self.store.get(slot_name(*later)) is None:
                return
            if self._is_readable_slot(later):
                spoiled = [slot for slot in self.spoiled_slots if slot[:2] == (incarnation, epoch)]
                name = slot_name(*max(spoiled, default=place))
                raise Damaged(f"{name} must have closed epoch {epoch}, because {slot_name(*later)} stands behind it")

    def _end_of_incarnation(self, incarnation):
        """(epoch, n) of the last slot that the next incarnation knows of this one; None: no such bound."""
        later = [identity for identity in self.identities if identity.body.number("incarnation") > incarnation]
        if not later:
            return None
        heads = later[0].body.body("heads", optional=True)
        log = heads.tuple("log", "nnnh", optional=True) if heads else None
        return log[1:3] if log and log[0] == incarnation else None

    def _signed_slot(self, name, data, place):
        """A slot that an allowed key has signed for its place: (object, type). Everything else is spoiled."""
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
        body.octets("previous", 32)
        body.tuples("ended", "inh", optional=True)
        body.tuple("writer_previous", "nnh", optional=True)
        return small

    def _read_slot(self, name, data, place, previous, last_of_writer):
        """`previous`: the hash that it must name, None behind a spoiled slot."""
        small = self._signed_slot(name, data, place)
        body = small.body
        if previous is not None and body.octets("previous", 32) != previous:
            raise NotFollowing(f"{name} does not follow the slot before it, which was changed or put later")
        own = body.tuple("writer_previous", "nnh", optional=True)
        is_spoiled = own is not None and (place[0],) + own[:2] in self.spoiled_slots
        if own != last_of_writer.get(small.header.signer) and not is_spoiled:
            self.report(Damaged(f"{name}: its writer knows another slot as its last; the identity is used twice, or a "
                                "slot is gone"))
        last_of_writer[small.header.signer] = place[1:] + (small.hash,)
        self._note_heads(name, body, small.header.signer)
        return Slot(place, small.hash, small.header.signer, body)

    @staticmethod
    def _ids(body, name):
        ids = body.array(name, optional=True) or []
        require(all(isinstance(item, bytes) and len(item) == 16 for item in ids), f"{body.what}: {name} are not ids")

    # Sessions

    def _read_session(self, signer, session, place, slot_hash):
        """Reads the session that the slot at `place`, whose hash is `slot_hash`, opened."""
        writer = signer[:16]
        if (writer, session) in self.sessions:
            return  # a second slot of the same session adds nothing
        entries = self.sessions[writer, session] = []
        self.places[writer, session] = place
        k, previous = 0, slot_hash
        end, end_hash = self._stated_end(writer, session)
        while end is None or k <= end:
            name = entry_name(writer, session, k)
            data = self.store.get(name)
            if data is None:
                behind = self.store.get(entry_name(writer, session, k + 1))
                if k != end and (behind is None or not self._is_readable_entry(behind, signer, session, place,
                                                                               slot_hash, k + 1)):
                    return  # what was known to exist, the heads and ends tell
                if k != end:
                    self.report(Damaged(f"{name} is missing, and another stands behind it"))
                    self.spoiled_entries.add((writer, session, k))
                k, previous = k + 1, None
                continue
            entry_hash = self.entry_hashes[writer, session, k] = sha256(data)
            spoiled = False
            try:
                entry = self._read_entry(name, data, signer, session, place, slot_hash, k, previous)
                if k == end and entry_hash != end_hash:
                    return  # not the entry that its writer stated: the ends tell
                entries.append(entry)
                if entry.kind in ENDS:
                    return
            except NotFollowing as refusal:
                self.report(refusal)
            except Refusal as refusal:
                self.report(refusal)
                self.spoiled_entries.add((writer, session, k))
                spoiled = True
            k, previous = k + 1, None if spoiled else entry_hash

    def _stated_end(self, writer, session):
        """(number, hash) of the last entry, when the writer stated it; else (None, None)."""
        ends = [(k, entry_hash) for slot in self.slots if slot.signer[:16] == writer
                for ended, k, entry_hash in slot.body.tuples("ended", "inh", optional=True) if ended == session]
        return ends[-1] if ends else (None, None)

    def _is_readable_entry(self, data, signer, session, place, slot_hash, k):
        try:
            self._signed_entry(entry_name(signer[:16], session, k), data, signer, session, place, slot_hash, k)
            return True
        except Refusal:
            return False

    def _signed_entry(self, name, data, opener, session, place, slot_hash, k):
        """An entry that an allowed key has signed for its place: (object, signer). Everything else is spoiled."""
        small = parse_small_object(data, name, SESSION_ENTRY, self.repository)
        body, writer = small.body, opener[:16]
        kind = body.text("type")
        said = (body.octets("writer", 16), body.octets("session", 16), body.number("k"))
        require(said == (writer, session, k), f"{name} is misplaced")
        if kind not in OUTCOMES + ENDS:
            raise Unsupported(f"{name}: entries of type {kind!r} are not known")
        signer = self.chain.check(small, CLOSING_ROLES if kind == "fenced" else SIGNING_ROLES)
        if kind != "fenced":
            if small.header.signer != opener:
                raise Void(f"{name} is void: somebody else signed it")
            self.chain.accept_slot(signer, name, place, slot_hash)
            self.chain.accept_entry(signer, name, session, k, small.hash)
        elif signer.is_void:
            raise Void(f"{name} is void: its signer was revoked")
        for record, sealed in _sealed_records(small):
            require(sha256(sealed) == record.octets("body", 32), f"{name}: a sealed body was changed")
        body.octets("previous", 32)
        body.tuple("slot", "nnn")
        return small, signer

    def _read_entry(self, name, data, opener, session, place, slot_hash, k, previous):
        """`previous`: the hash that it must name, None behind a spoiled entry."""
        small, signer = self._signed_entry(name, data, opener, session, place, slot_hash, k)
        body = small.body
        if body.tuple("slot", "nnn") != place:
            raise NotFollowing(f"{name} names another slot than its session's")
        if previous is not None and body.octets("previous", 32) != previous:
            raise NotFollowing(f"{name} does not follow the entry before it, which was changed or put later")
        self._note_heads(name, body, small.header.signer)
        return Entry(name, opener[:16], session, k, small.hash, body.text("type"), signer, body,
                     _sealed_records(small))

    # Sessions whose slot is spoiled

    def _find_sessions(self):
        """Finds again what spoiled slots opened: named by others, or shown by a listing, and proven by entry 0."""
        if not self.spoiled_slots:
            return
        tried = set(self.sessions)
        named = {(slot.signer[:16], session) for slot in self.slots
                 for session, *_ in slot.body.tuples("ended", "inh", optional=True)}
        while True:
            named |= {head[:2] for _, heads in self.heads for head in heads.tuples("sessions", "iinh", optional=True)}
            candidates = sorted(named - tried)
            if not candidates:
                break
            tried.update(candidates)
            for writer, session in candidates:
                self._try_session(writer, session, is_named=True)
        for writer, session in sorted(self.store.session_names() if self.lost_slots else ()):
            if (writer, session) not in tried:
                self._try_session(writer, session, is_named=False)

    def _try_session(self, writer, session, is_named):
        openers = [key for key in self.chain.signers if key[:16] == writer]
        name = entry_name(writer, session, 0)
        data = self.store.get(name)
        if data is None or not openers:
            return
        try:
            body = parse_small_object(data, name, SESSION_ENTRY, self.repository).body
            place, slot_hash = body.tuple("slot", "nnn"), body.octets("previous", 32)
            small, signer = self._signed_entry(name, data, openers[0], session, place, slot_hash, 0)
        except Refusal:
            return
        if small.header.signer != openers[0] or place not in self.spoiled_slots or signer.revoked and not is_named:
            return
        if self._stated_hash(place) in (None, slot_hash):
            self._read_session(openers[0], session, place, slot_hash)

    def _stated_hash(self, place):
        """The hash that signed slots say a spoiled slot had."""
        incarnation, epoch, n = place
        for slot in self.slots:
            if slot.place == (incarnation, epoch, n + 1) and slot.body.octets("previous", 32) != \
                    self.spoiled_slots[place]:
                return slot.body.octets("previous", 32)
        for slot in self.slots:
            own = slot.body.tuple("writer_previous", "nnh", optional=True)
            if own is not None and (slot.place[0],) + own[:2] == place:
                return own[2]
        return None

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
        for name, entries in sorted(self.sessions.items(), key=lambda item: self.places[item[0]]):
            for entry in entries:
                if entry.kind in OUTCOMES and (name not in self.horizon or name + (entry.k,) in named):
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

    def _note_heads(self, name, body, signer):
        heads = body.body("heads", optional=True)
        # A thief may have named what never was before the owner noticed.
        if heads is not None and not self.chain.signers[signer].revoked:
            heads.tuple("owner", "nh", optional=True)
            heads.tuple("log", "nnnh", optional=True)
            heads.tuples("sessions", "iinh", optional=True, limit=HEADS_LIMIT)
            self.heads.append((name, heads))

    def _compare_heads(self):
        for name, heads in self.heads:
            owner, log = heads.tuple("owner", "nh", optional=True), heads.tuple("log", "nnnh", optional=True)
            if owner and self.chain.hashes.get(owner[0]) != owner[1]:
                self._missing(name, f"owner/{owner[0]:08d}")
            if log and log[:3] not in self.spoiled_slots and self.slot_hashes.get(log[:3]) != log[3]:
                self._missing(name, "log/" + "/".join(f"{number:08d}" for number in log[:3]))
            for writer, session, k, entry_hash in heads.tuples("sessions", "iinh", optional=True):
                self._compare_session(name, writer, session, k, entry_hash)
        for slot in self.slots:
            name = "log/" + "/".join(f"{number:08d}" for number in slot.place)
            for session, k, entry_hash in slot.body.tuples("ended", "inh", optional=True):
                self._compare_session(name, slot.signer[:16], session, k, entry_hash)

    def _compare_session(self, name, writer, session, k, entry_hash):
        if (writer, session) not in self.sessions and self._is_revoked(writer):
            return  # what a revocation does not accept is not read at all
        if (writer, session) not in self.horizon and (writer, session, k) not in self.spoiled_entries \
                and self.entry_hashes.get((writer, session, k)) != entry_hash:
            self._missing(name, f"s/{writer.hex()}/{session.hex()}/{k:08d}")

    def _is_revoked(self, writer):
        return any(key[:16] == writer and signer.revoked for key, signer in self.chain.signers.items())

    def _missing(self, name, missing):
        self.report(Damaged(f"known to exist, not shown: {missing}, which {name} has seen"))


def slot_name(incarnation, epoch, n):
    """Name of a slot of the control log."""
    return f"log/{incarnation:08d}/{epoch:08d}/{n:08d}"


def entry_name(writer, session, k):
    """Name of a session entry."""
    return f"s/{writer.hex()}/{session.hex()}/{k:08d}"


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
