"""Objects of a repository: their header, the small signed ones (kinds 1 to 6), the store they lie in."""

import os
import struct
from dataclasses import dataclass

import cbor
from crypto import sha256, verify
from refusals import Damaged, Refusal, Unsupported, require

MAGIC = bytes.fromhex("444f5a4f0d0a1a0a")
HEADER_LENGTH = 96
SIGNATURE_LENGTH = 64
OBJECT_LIMIT = 64 << 20
SLOT_LIMIT = 4096
HEADS_LIMIT = 1024

OWNER, KEY_SLOT, STORE, LOG_SLOT, LEDGER, SESSION_ENTRY, PACK, RUN = range(1, 9)
PUBLIC, STRUCTURE, CONTENT = range(3)


class Store:
    """Reads objects by name from a directory. Listed are the key slots, and only behind damage sessions and packs."""

    def __init__(self, directory):
        self.directory = directory

    def get(self, name, limit=OBJECT_LIMIT):
        """All bytes of the object, or None when it is not there. Raises `Damaged` when it is longer than `limit`."""
        path = os.path.join(self.directory, *name.split("/"))
        try:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Damaged(f"{name} cannot be read: {error.strerror}") from None
        require(len(data) <= limit, f"{name} is longer than {limit} bytes")
        return data

    def copies(self, name):
        """[(place, bytes)] of an object that stands twice: at its place and in its spare; equal bytes once."""
        found = []
        for place in (name, f"spare/{name}"):
            try:
                data = self.get(place)
            except Damaged:
                data = b""
            if data is not None and data not in [other for _, other in found]:
                found.append((place, data))
        return found

    def tell(self, name, copies, good, report):
        """Reports the copy that is damaged or lost while `good` is whole. A spare may be missing."""
        for place, data in copies:
            if data != good:
                report(Damaged(f"{place} is damaged; its other copy is used"))
        if name not in [place for place, _ in copies]:
            report(Damaged(f"{name} is missing; its spare is used"))

    def key_slot_names(self):
        """Names of the key slots, sorted; names that do not fit the pattern are ignored."""
        found = sorted(set(self._names("keys", 32)) | set(self._names("spare/keys", 32)))
        if not found:
            raise Refusal(f"{self.directory} is not a repository: no key slots")
        return [f"keys/{name}" for name in found]

    def owner_numbers(self):
        """Numbers of what lies under `owner/` and `spare/owner/`: says where to look, and nothing more."""
        found = set()
        for folder in ("owner", os.path.join("spare", "owner")):
            try:
                names = os.listdir(os.path.join(self.directory, folder))
            except OSError:
                continue
            found.update(int(name) for name in names if len(name) == 8 and not set(name) - set("0123456789"))
        return found

    def session_names(self):
        """(writer, session) of what lies under `s/`: says where to look, and nothing more."""
        names = set()
        for writer in self._names("s", 32):
            names.update((bytes.fromhex(writer), bytes.fromhex(name)) for name in self._names(f"s/{writer}", 32))
        return names

    def pack_keys(self):
        """(hash, generation) of what lies under `packs/`: says where to look, and nothing more."""
        keys = set()
        for folder in self._names("packs", 2):
            for name in os.listdir(os.path.join(self.directory, "packs", folder)):
                digits, _, generation = name.partition(".")
                if len(digits) == 64 and not set(digits) - set("0123456789abcdef") and generation.isdecimal():
                    keys.add((bytes.fromhex(digits), int(generation)))
        return keys

    def _names(self, folder, digits):
        try:
            found = sorted(os.listdir(os.path.join(self.directory, *folder.split("/"))))
        except OSError:
            return []
        return [name for name in found if len(name) == digits and not set(name) - set("0123456789abcdef")]


@dataclass
class Header:
    """The first 96 bytes of every object."""
    kind: int
    object_class: int
    repository: bytes
    domain: int
    key_epoch: int
    signer: bytes
    body_length: int
    associated: bytes  # bytes 0 to 71, which sealed parts are bound to


def parse_header(data, name, kind, repository=None):
    """Checks and reads the header. `repository` is compared unless it is None."""
    require(len(data) >= HEADER_LENGTH, f"{name} is shorter than a header")
    require(data[:8] == MAGIC, f"{name} does not begin with the magic")
    version, draft, found, object_class, suite = struct.unpack_from("<HHHBB", data, 8)
    if (version, draft) != (1, 1):
        raise Unsupported(f"{name} is of version {version}, draft {draft}; this reader knows version 1, draft 1")
    require(found == kind, f"{name} is of kind {found}, not {kind}")
    if suite != 1:
        raise Unsupported(f"{name} uses suite {suite}; this reader knows suite 1")
    domain, key_epoch = struct.unpack_from("<II", data, 32)
    body_length, flags = struct.unpack_from("<QQ", data, 72)
    if flags & 0xFFFFFFFF:
        raise Unsupported(f"{name} has unknown critical flags {flags & 0xFFFFFFFF:#x}")
    require(data[88:96] == bytes(8), f"{name}: the last eight bytes of the header are not zero")
    require(repository is None or data[16:32] == repository, f"{name} belongs to another repository")
    return Header(kind, object_class, data[16:32], domain, key_epoch, data[40:72], body_length, data[:72])


class Body:
    """A CBOR map whose fields are taken by name and type, so that a missing or odd one is refused with a sentence."""

    def __init__(self, fields, what):
        require(isinstance(fields, dict), f"{what} is not a map")
        for key in fields:
            if key.startswith("!"):
                raise Unsupported(f"{what} has the unknown critical field {key!r}")
        self.fields, self.what = fields, what

    def _typed(self, name, kind, optional):
        if optional and name not in self.fields:
            return None
        value = self.fields.get(name)
        fits = isinstance(value, kind) and not (kind is int and (isinstance(value, bool) or value < 0))
        require(fits, f"{self.what}: field {name!r} is missing or of the wrong type")
        return value

    def number(self, name, limit=(1 << 64) - 1, optional=False):
        value = self._typed(name, int, optional)
        require(value is None or value <= limit, f"{self.what}: field {name!r} is too large")
        return value

    def octets(self, name, length=None, optional=False):
        value = self._typed(name, bytes, optional)
        require(value is None or length is None or len(value) == length, f"{self.what}: field {name!r} is not "
                f"{length} bytes long")
        return value

    def text(self, name, optional=False):
        return self._typed(name, str, optional)

    def body(self, name, optional=False):
        value = self._typed(name, dict, optional)
        return None if value is None else Body(value, f"{self.what}, {name}")

    def array(self, name, optional=False):
        return self._typed(name, list, optional)

    def bodies(self, name):
        return [Body(item, f"{self.what}, {name}[{place}]") for place, item in enumerate(self.array(name))]

    def tuple(self, name, pattern, optional=False):
        """An array of fixed shape; see `shaped`."""
        value = self._typed(name, list, optional)
        return None if value is None else shaped(value, pattern, f"{self.what}, {name}")

    def tuples(self, name, pattern, optional=False, limit=None):
        """An array of arrays of one fixed shape; an absent optional field is empty."""
        value = self._typed(name, list, optional) or []
        require(limit is None or len(value) <= limit, f"{self.what}: more than {limit} {name}")
        return [shaped(item, pattern, f"{self.what}, {name}[{place}]") for place, item in enumerate(value)]


def shaped(value, pattern, what):
    """Checks an array against a pattern with one letter for each element.

    `n` is an unsigned number, `i` an identifier of 16 bytes, `h` a hash or key of 32 bytes. Returns a tuple.
    """
    require(isinstance(value, list) and len(value) == len(pattern), f"{what} is not an array of {len(pattern)}")
    for element, letter in zip(value, pattern):
        if letter == "n":
            fits = isinstance(element, int) and not isinstance(element, bool) and 0 <= element < 1 << 64
        else:
            fits = isinstance(element, bytes) and len(element) == {"i": 16, "h": 32}[letter]
        require(fits, f"{what} does not have the shape {pattern}")
    return tuple(value)


@dataclass
class SmallObject:
    """An object of kinds 1 to 6, taken apart but not yet believed: see `check_signature`."""
    name: str
    header: Header
    body: Body
    hash: bytes
    signed: bytes
    signature: bytes
    rest: bytes  # the sealed bodies of a session entry

    def check_signature(self, public_key):
        """Raises `Damaged` unless the key is the one that the header names and the signature is its own."""
        require(sha256(public_key) == self.header.signer, f"{self.name} names another signer")
        verify(public_key, self.signature, b"dozo/1 object\0" + sha256(self.signed), self.name)


def parse_small_object(data, name, kind, repository=None):
    """Takes apart an object of kinds 1 to 6."""
    if kind == LOG_SLOT:
        require(len(data) <= SLOT_LIMIT, f"{name} is longer than {SLOT_LIMIT} bytes")
    header = parse_header(data, name, kind, repository)
    plain = (header.object_class, header.domain, header.key_epoch) == (PUBLIC, 0, 0)
    require(plain, f"{name}: a small object has class, domain and key epoch 0")
    require(header.body_length <= cbor.BODY_LIMIT, f"{name}: the body is too long")
    end = HEADER_LENGTH + header.body_length
    require(end + SIGNATURE_LENGTH <= len(data), f"{name} ends too early")
    rest = data[end + SIGNATURE_LENGTH:]
    require(kind == SESSION_ENTRY or not rest, f"{name}: {len(rest)} bytes behind the signature")
    try:
        body = Body(cbor.decode(data[HEADER_LENGTH:end]), name)
    except Damaged as error:
        raise Damaged(f"{name}: {error}") from None
    return SmallObject(name, header, body, sha256(data), data[:end], data[end:end + SIGNATURE_LENGTH], rest)


def check_small_signature(data, name, kind, repository, key):
    """Raises a `Refusal` unless `key` signed header and body, whatever the body says."""
    header = parse_header(data, name, kind, repository)
    end = HEADER_LENGTH + header.body_length
    require(header.signer == sha256(key), f"{name} is signed by another key")
    require(end + SIGNATURE_LENGTH == len(data), f"{name} has another length than it says")
    verify(key, data[end:], b"dozo/1 object\0" + sha256(data[:end]), name)
