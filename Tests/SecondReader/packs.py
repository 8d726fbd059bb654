"""Packs (section 6), index runs (section 9), and the reading of one blob from whichever copy is sound."""

import struct
from collections import OrderedDict
from dataclasses import dataclass

try:
    import zstandard
except ModuleNotFoundError:
    raise SystemExit("the Python module 'zstandard' is missing: apt-get install python3-zstandard, "
                     "and run Debian's /usr/bin/python3") from None

from crypto import ZERO_NONCE, aead_open, crc32c, derive, hkdf_expand, hmac, hpke_open, sha256, suite_1_info, \
    suite_1_psk_id, verify
from objects import CONTENT, HEADER_LENGTH, MAGIC, OBJECT_LIMIT, PACK, RUN, SIGNATURE_LENGTH, STRUCTURE, parse_header
from owners import SIGNING_ROLES
from refusals import Damaged, Refusal, Unsupported, Void, require

FOOTER_LENGTH = 64
BLOCK_SIZE = 64 << 10
CHUNK_LIMIT = 4 << 20
ENTRY_LIMIT = 65536
KEY_LIMIT = 4096
WINDOW_LIMIT = 8 << 20  # memory that a zstd frame may ask for
TAG_LENGTH = 16
ENTRY_LENGTH = 56
RUN_ENTRY_LENGTH = 40
RUN_BLOCK_ENTRIES = 50
PADDING, DATA, LEAF, NODE, IMAGE_ROOT = range(5)


@dataclass
class Entry:
    """A line of a pack's directory."""
    id: bytes
    kind: int
    codec: int
    key: int
    counter: int
    offset: int
    stored: int
    plain: int
    dictionary: int


@dataclass
class Pack:
    """A pack that passed every check that needs no chunk."""
    name: str
    size: int
    domain: int
    object_class: int
    keys: list  # (key epoch, 32 bytes)
    entries: list


def pack_name(pack_hash, generation):
    """The name of a pack's copy."""
    return f"packs/{pack_hash.hex()[:2]}/{pack_hash.hex()}.{generation}"


def run_name(run_hash, generation):
    """The name of an index run's copy."""
    return f"runs/{run_hash.hex()[:2]}/{run_hash.hex()}.{generation}"


def fetch(store, name, object_hash):
    """All bytes of an object that is named by its hash."""
    data = store.get(name)
    require(data is not None, f"{name} is missing")
    require(sha256(data) == object_hash, f"{name} is not what its name says: it was changed")
    return data


def check_signer(chain, header, data, end, label, name):
    """The signature behind `end` must be that of an enrolled signer of this domain."""
    signer = chain.signer(name, header.signer, SIGNING_ROLES)
    if signer.domains is not None and header.domain not in signer.domains:
        raise Void(f"{name} is void: its signer is not enrolled for domain {header.domain}")
    verify(signer.key, data[end:end + SIGNATURE_LENGTH], label + sha256(data[:end]), name)


def read_pack(data, name, chain):
    """Checks everything of a pack but its blobs."""
    credential = chain.credential
    header = parse_header(data, name, PACK, credential.repository)
    require(header.object_class in (STRUCTURE, CONTENT), f"{name}: a pack has class 1 or 2")
    require(header.body_length == len(data) - HEADER_LENGTH, f"{name} is not as long as its header says")
    require(len(data) >= HEADER_LENGTH + SIGNATURE_LENGTH + FOOTER_LENGTH, f"{name} is too short")
    footer = data[-FOOTER_LENGTH:]
    keys_at, keys_length, directory_at, directory_length, crc_at, crc_length, block_size, zero = \
        struct.unpack_from("<6Q2I", footer)
    require(footer[56:] == MAGIC and zero == 0 and block_size == BLOCK_SIZE, f"{name}: the footer is malformed")
    end = len(data) - FOOTER_LENGTH - SIGNATURE_LENGTH
    tiled = HEADER_LENGTH <= keys_at and keys_at + keys_length == directory_at \
        and directory_at + directory_length == crc_at and crc_at + crc_length == end
    require(tiled, f"{name}: key table, directory and CRC list do not adjoin")
    _check_crc_list(data[:crc_at], data[crc_at:end], name)
    check_signer(chain, header, data, end, b"dozo/1 pack\0", name)
    entries = _read_directory(data[directory_at:crc_at], header, credential, name)
    _check_entries(entries, header, keys_at, name)
    keys = _read_keys(data[keys_at:directory_at], header, credential, name)
    used = {entry.key for entry in entries}
    require(used == set(range(len(keys))), f"{name}: its keys are not exactly the ones its entries use")
    return Pack(name, len(data), header.domain, header.object_class, keys, entries)


def _check_crc_list(before, crc_list, name):
    count = -(-len(before) // BLOCK_SIZE)
    require(len(crc_list) == 4 * count, f"{name}: the CRC list has a wrong length")
    view = memoryview(before)
    for place, expected in enumerate(struct.unpack(f"<{count}I", crc_list)):
        found = crc32c(view[place * BLOCK_SIZE:(place + 1) * BLOCK_SIZE])
        require(found == expected, f"{name}: block {place} of 64 KiB is damaged")


def _read_keys(table, header, credential, name):
    require(len(table) >= 4, f"{name}: the key table is too short")
    count, = struct.unpack_from("<I", table)
    require(count <= KEY_LIMIT, f"{name}: {count} keys, at most {KEY_LIMIT} are allowed")
    private_name = "content_private" if header.object_class == CONTENT else "structure_private"
    keys, place = [], 4
    for number in range(count):
        what = f"{name}, key {number}"
        require(place + 12 <= len(table), f"{what}: the key table ends too early")
        suite, enc_length, ct_length, zero, epoch = struct.unpack_from("<4HI", table, place)
        if suite != 1:
            raise Unsupported(f"{what}: suite {suite} is not known")
        require((enc_length, ct_length, zero) == (32, 32 + TAG_LENGTH, 0), f"{what}: malformed")
        end = place + 12 + enc_length + ct_length
        require(end <= len(table), f"{what}: the key table ends too early")
        enc, sealed = table[place + 12:place + 44], table[place + 44:end]
        key = hpke_open(credential.secret(header.domain, epoch, private_name), enc, sealed, b"",
                        suite_1_info(credential.repository, header.domain, header.object_class, epoch),
                        credential.secret(header.domain, epoch, "psk"), suite_1_psk_id(epoch), what)
        keys.append((epoch, key))
        place = end
    require(place == len(table), f"{name}: bytes behind the last key")
    return keys


def _read_directory(section, header, credential, name):
    require(32 + 8 + TAG_LENGTH <= len(section) <= 32 + 8 + ENTRY_LIMIT * ENTRY_LENGTH + TAG_LENGTH,
            f"{name}: the directory has an impossible length")
    index_key = credential.secret(header.domain, header.key_epoch, "index")
    key = derive(index_key, "dozo/1 directory", section[:32], 32)
    plain = aead_open(key, ZERO_NONCE, section[32:], header.associated, f"{name}, directory")
    count, zero = struct.unpack_from("<II", plain)
    require(zero == 0 and len(plain) == 8 + count * ENTRY_LENGTH, f"{name}: the directory is malformed")
    return [Entry(*fields) for fields in struct.iter_unpack("<32sBBH5I", plain[8:])]


def _check_entries(entries, header, end, name):
    place = HEADER_LENGTH
    for number, entry in enumerate(entries):
        what = f"{name}, entry {number}"
        require(entry.offset == place, f"{what}: entries do not tile the blobs")
        require(entry.stored >= TAG_LENGTH and entry.stored <= end - place, f"{what}: impossible stored length")
        require(entry.plain <= CHUNK_LIMIT, f"{what}: longer than {CHUNK_LIMIT} bytes")
        require(entry.codec in (0, 1), f"{what}: codec {entry.codec} is not known")
        require(entry.codec == 1 or entry.stored == entry.plain + TAG_LENGTH, f"{what}: the lengths do not fit")
        in_content = entry.kind in (PADDING, DATA)
        require(in_content == (header.object_class == CONTENT), f"{what}: kind {entry.kind} in a pack of another class")
        place += entry.stored
    require(place == end, f"{name}: entries do not tile the blobs")


def decompress(frame, plain_length, what):
    """One zstd frame that must give exactly `plain_length` bytes; never allocates much more than that."""
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT).stream_reader(frame)
        plain = reader.read(plain_length + 1)
        require(len(plain) == plain_length, f"{what} does not decompress to {plain_length} bytes")
        whole = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT).decompressobj()
        once = whole.decompress(frame) == plain and whole.eof and not whole.unused_data
        require(once, f"{what}: not one whole frame")
    except zstandard.ZstdError as error:
        raise Damaged(f"{what} does not decompress: {error}") from None
    return plain


def open_blob(data, entry, pack, credential, what):
    """The plaintext of a blob, proven by its id."""
    if entry.dictionary:
        raise Unsupported(f"{what} needs dictionary {entry.dictionary}; dictionaries are not known")
    epoch, pack_key = pack.keys[entry.key]
    coded = bytes([entry.kind, entry.codec])
    key = hkdf_expand(pack_key, coded + entry.id, 32)
    associated = b"dozo/1 blob" + credential.repository + struct.pack("<I", pack.domain) + coded \
        + struct.pack("<HIII", 0, entry.dictionary, entry.plain, entry.stored) + entry.id
    sealed = data[entry.offset:entry.offset + entry.stored]
    plain = aead_open(key, struct.pack("<Q", entry.counter) + bytes(4), sealed, associated, what)
    if entry.codec == 1:
        plain = decompress(plain, entry.plain, what)
    require(len(plain) == entry.plain, f"{what} is not as long as the directory says")
    identity = credential.secret(pack.domain, epoch, "identity" if entry.kind == DATA else "structure_identity")
    id_key = derive(identity, "dozo/1 id", bytes([entry.kind, 1]), 32)
    require(hmac(id_key, plain) == entry.id, f"{what} has another id than the directory says")
    return plain


class BlobReader:
    """Finds and reads blobs in the packs that were added. Holds all directories and the bytes of a few packs."""

    def __init__(self, store, chain, report, packs_held=4):
        self.store, self.chain, self.report, self.packs_held = store, chain, report, packs_held
        self.names = {}  # hash -> its generations
        self.packs = {}  # (hash, generation) -> Pack
        self.copies = {}  # (domain, id) -> [(hash, generation, entry)]
        self.bytes = OrderedDict()

    def name_pack(self, pack_hash, generation):
        """Says that a pack exists; it is read by `load`."""
        self.names.setdefault(pack_hash, set()).add(generation)

    def load(self):
        """Reads every named pack: of the copies of a hash, in ascending generation, the first that is sound."""
        for pack_hash, generations in self.names.items():
            for generation in sorted(generations):
                try:
                    self._load(pack_hash, generation)
                    break
                except Refusal as refusal:
                    self.report(refusal)

    def _load(self, pack_hash, generation):
        name = pack_name(pack_hash, generation)
        data = fetch(self.store, name, pack_hash)
        pack = self.packs[pack_hash, generation] = read_pack(data, name, self.chain)
        for entry in pack.entries:
            self.copies.setdefault((pack.domain, entry.id), []).append((pack_hash, generation, entry))
        self._keep((pack_hash, generation), data)

    def _keep(self, key, data):
        self.bytes[key] = data
        self.bytes.move_to_end(key)
        while len(self.bytes) > self.packs_held:
            self.bytes.popitem(last=False)

    def check_inventory(self, pack_hash, generation, size, object_class, domain, what):
        """Compares what an inventory says of a pack with the pack, when it could be read."""
        pack = self.packs.get((pack_hash, generation))
        if pack is not None:
            fits = (pack.size, pack.object_class, pack.domain) == (size, object_class, domain)
            require(fits, f"{what} says another size, class or domain of {pack.name}")

    def read(self, domain, blob_id, kind):
        """The plaintext of a blob. Tries every copy. Raises `Damaged` when none is sound."""
        last = None
        for pack_hash, generation, entry in self.copies.get((domain, blob_id), []):
            pack = self.packs[pack_hash, generation]
            what = f"blob {blob_id.hex()[:16]} in {pack.name}"
            try:
                require(entry.kind == kind, f"{what} is of kind {entry.kind}, not {kind}")
                data = self.bytes.get((pack_hash, generation))
                if data is None:
                    data = self.store.get(pack.name)
                    require(data is not None, f"{pack.name} vanished")
                self._keep((pack_hash, generation), data)
                return open_blob(data, entry, pack, self.chain.credential, what)
            except Refusal as refusal:
                self.report(refusal)
                last = refusal
        raise Damaged(f"blob {blob_id.hex()[:16]} of kind {kind} is in no sound pack") from last


@dataclass
class Run:
    """An index run: which ids lie in which packs."""
    name: str
    domain: int
    packs: list  # (hash, generation)
    merged: list  # hashes of runs
    parts: list  # hashes of the other parts
    entries: list  # (id, pack number, directory ordinal), sorted


def read_run(data, name, chain):
    """Checks and reads an index run."""
    credential = chain.credential
    header = parse_header(data, name, RUN, credential.repository)
    require(header.object_class == STRUCTURE, f"{name}: an index run has class 1")
    require(header.body_length == len(data) - HEADER_LENGTH, f"{name} is not as long as its header says")
    require(len(data) >= HEADER_LENGTH + SIGNATURE_LENGTH + FOOTER_LENGTH, f"{name} is too short")
    salt, block_count, entry_count, fence_length, zero = struct.unpack("<32sIIQ8s", data[-FOOTER_LENGTH:-8])
    require(data[-8:] == MAGIC and zero == bytes(8), f"{name}: the footer is malformed")
    end = len(data) - FOOTER_LENGTH - SIGNATURE_LENGTH
    require(block_count == -(-entry_count // RUN_BLOCK_ENTRIES), f"{name}: blocks and entries do not fit")
    blocks_length = entry_count * RUN_ENTRY_LENGTH + block_count * TAG_LENGTH
    require(HEADER_LENGTH + blocks_length + fence_length == end, f"{name}: the sections do not fill the run")
    check_signer(chain, header, data, end, b"dozo/1 run\0", name)
    key = derive(credential.secret(header.domain, header.key_epoch, "index"), "dozo/1 run", salt, 32)

    def section(number, start, length):
        numbered = struct.pack("<Q", number)
        return aead_open(key, numbered + bytes(4), data[start:start + length], header.associated + numbered,
                         f"{name}, section {number}")

    blocks, place = [], HEADER_LENGTH
    for number in range(block_count):
        left = entry_count - number * RUN_BLOCK_ENTRIES
        length = min(left, RUN_BLOCK_ENTRIES) * RUN_ENTRY_LENGTH + TAG_LENGTH
        blocks.append(list(struct.iter_unpack("<32sII", section(number, place, length))))
        place += length
    packs, merged, parts, prefixes = _read_fence(section(block_count, place, fence_length), block_count, name)
    require(prefixes == [block[0][0][:8] for block in blocks], f"{name}: the fence does not say how the blocks begin")
    entries = [entry for block in blocks for entry in block]
    require(all(left < right for left, right in zip(entries, entries[1:])), f"{name}: entries are not in order")
    require(packs or not (merged or parts), f"{name}: a part lists runs of its own")
    require(not packs or all(pack < len(packs) for _, pack, _ in entries), f"{name}: an entry points at no pack")
    return Run(name, header.domain, packs, merged, parts, entries)


def _read_fence(fence, block_count, name):
    require(len(fence) >= 16, f"{name}: the fence is too short")
    pack_count, merged_count, blocks, part_count = struct.unpack_from("<4I", fence)
    length = 16 + 36 * pack_count + 32 * (merged_count + part_count) + 8 * blocks
    require((blocks, length) == (block_count, len(fence)), f"{name}: the fence is malformed")
    merged_at = 16 + 36 * pack_count
    prefixes_at = merged_at + 32 * (merged_count + part_count)
    packs = list(struct.iter_unpack("<32sI", fence[16:merged_at]))
    hashes = [fence[place:place + 32] for place in range(merged_at, prefixes_at, 32)]
    prefixes = [fence[place:place + 8] for place in range(prefixes_at, len(fence), 8)]
    require(len(set(packs)) == len(packs), f"{name}: the fence names a pack twice")
    return packs, hashes[:merged_count], hashes[merged_count:], prefixes


def join_parts(head, runs):
    """A head with the entries of all its parts; `runs` are all that were read, by hash."""
    parts = [runs.get(part) for part in head.parts]
    require(all(part is not None and not part.packs for part in parts), f"{head.name}: a part of it is missing")
    entries = [entry for part in [*parts, head] for entry in part.entries]
    require(all(left < right for left, right in zip(entries, entries[1:])),
            f"{head.name}: its parts do not follow each other")
    require(all(pack < len(head.packs) for _, pack, _ in entries), f"{head.name}: an entry points at no pack")
    return Run(head.name, head.domain, head.packs, head.merged, head.parts, entries)


def check_run(run, reader):
    """Every entry of the run must point where the directory of its pack says; packs not read are left out."""
    for blob_id, number, ordinal in run.entries:
        pack = reader.packs.get(run.packs[number])
        if pack is None:
            continue
        require(pack.domain == run.domain, f"{run.name}: {pack.name} is of another domain")
        require(ordinal < len(pack.entries) and pack.entries[ordinal].id == blob_id,
                f"{run.name}: {blob_id.hex()[:16]} is not entry {ordinal} of {pack.name}")


assert struct.calcsize("<32sBBH5I") == ENTRY_LENGTH and OBJECT_LIMIT >= CHUNK_LIMIT
