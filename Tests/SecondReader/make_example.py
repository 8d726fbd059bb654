#!/usr/bin/python3
"""Writes a tiny repository, from the format page alone. For tests only: its keys come from a seed.

    make_example.py --to DIR [--seed TEXT] [--images DIR]

The passphrase is `correct horse`. With --images the disks are written there too, byte for byte as a restore must give.
"""

import argparse
import os
import struct
import sys

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import cbor
from crypto import ZERO_NONCE, crc32c, derive, exchange_public_key, hkdf_expand, hmac, hpke_key_and_nonce, \
    hpke_shared_secret, labeled_expand, labeled_extract, scrypt, sha256, signing_public_key, suite_1_info, \
    suite_1_psk_id
from example_images import DEFAULTS, ImageMapper, make_images
from objects import KEY_SLOT, LEDGER, LOG_SLOT, MAGIC, OWNER, PACK, RUN, SESSION_ENTRY, STORE

PASSPHRASE = b"correct horse"
KIB = 1 << 10
TIME = 1_700_000_000


class SeededRandom:
    """Stands in for the system's generator, so that one seed gives one repository."""

    def __init__(self, seed):
        self.seed, self.count = sha256(b"example" + seed.encode()), 0

    def octets(self, length):
        self.count += 1
        return hkdf_expand(self.seed, struct.pack("<Q", self.count), length)

    def long(self, length):
        """More than HKDF gives at once; not compressible."""
        return b"".join(self.octets(min(8000, length - place)) for place in range(0, length, 8000))


def hpke_key_pair(ikm):
    """DeriveKeyPair of RFC 9180, section 7.1.3: the private key."""
    suite = b"KEM\x00\x20"
    return labeled_expand(suite, labeled_extract(suite, b"", b"dkp_prk", ikm), b"sk", b"", 32)


def hpke_seal(public_key, ephemeral, plain, associated, info, psk, psk_id):
    """(enc, sealed) of a single-shot message in mode_psk."""
    exchanged = X25519PrivateKey.from_private_bytes(ephemeral).exchange(X25519PublicKey.from_public_bytes(public_key))
    enc = exchange_public_key(ephemeral)
    key, nonce = hpke_key_and_nonce(hpke_shared_secret(exchanged, enc, public_key), info, psk, psk_id)
    return enc, AESGCM(key).encrypt(nonce, plain, associated)


def fingerprint(seed):
    """The fingerprint of the signer with this seed."""
    return sha256(signing_public_key(seed))


def sign(seed, label, data):
    """Ed25519 over a label and the SHA-256 of `data`."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(label + sha256(data))


class Example:
    """A repository being written into a directory."""

    def __init__(self, directory, seed="example"):
        self.directory, self.random = directory, SeededRandom(seed)
        self.repository = self.random.octets(16)
        self.owner, self.writer, self.maintainer = (self.random.octets(32) for _ in range(3))
        self.keys = {name: self.random.octets(32) for name in
                     ("identity", "boundary", "index", "psk", "content_private", "structure_private")}
        self.keys["structure_identity"] = derive(self.keys["identity"], "dozo/1 structure id", b"", 32)
        self.chain = []  # hashes of owner statements
        self.passed_over = 0  # places of the owner chain that hold something else

    # Objects

    def put(self, name, data):
        """Stores an object; names are never taken twice."""
        path = os.path.join(self.directory, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)

    def header(self, kind, signer, body_length, object_class=0):
        """The header of an object; domain and key epoch are 0 throughout the example."""
        return MAGIC + struct.pack("<HHHBB", 1, 1, kind, object_class, 1) + self.repository + struct.pack("<II", 0, 0) \
            + fingerprint(signer) + struct.pack("<QQ", body_length, 0) + bytes(8)

    def small(self, name, kind, signer, body, sealed=b""):
        """Signs and stores a small object; returns its hash."""
        plain = cbor.encode(body)
        data = self.header(kind, signer, len(plain)) + plain
        data += sign(signer, b"dozo/1 object\0", data) + sealed
        self.put(name, data)
        if kind in (OWNER, KEY_SLOT, STORE):
            self.put(f"spare/{name}", data)
        return sha256(data)

    def statement(self, kind, **fields):
        """Adds a statement to the owner chain."""
        n = len(self.chain) + self.passed_over
        body = {"n": n, "type": kind, "created_at": TIME, **fields}
        if n:
            body["previous"] = self.chain[-1]
        self.chain.append(self.small(f"owner/{n:08d}", OWNER, self.owner, body))

    def begin(self, read_features=()):
        """Genesis, enrolments, the key slot and the store's identity."""
        public = {name: exchange_public_key(self.keys[f"{name}_private"]) for name in ("content", "structure")}
        self.statement("genesis", repository=self.repository, owner=signing_public_key(self.owner),
                       features={"read": list(read_features), "write": [], "sweep": []},
                       domains=[{"id": 0, "epoch": 0, "content_key": public["content"],
                                 "structure_key": public["structure"], "id_algorithm": 1, "dedup_trust": "own"}],
                       defaults=DEFAULTS)
        self.statement("enrol", key=signing_public_key(self.writer), role="writer", domain=0, label="host one")
        self.statement("enrol", key=signing_public_key(self.maintainer), role="maintainer", domain=0, label="sweeper")
        self.key_slot(PASSPHRASE)
        self.last_slot = self.small("store/00000000", STORE, self.owner, {
            "repository": self.repository, "store": self.random.octets(16), "incarnation": 0, "reason": "created",
            "heads": self.heads()})

    def key_slot(self, secret):
        """A passphrase slot that holds the owner's credential."""
        credential = cbor.encode({
            "role": "owner", "repository": self.repository, "owner": fingerprint(self.owner),
            "owner_head": [len(self.chain) - 1, self.chain[-1]], "signing_seed": self.owner,
            "domains": [{"id": 0, "epoch": 0, **self.keys}]})
        slot = self.random.octets(16)
        body = {"slot": slot, "kind": "passphrase", "label": "example", "n": 1 << 15, "r": 8, "p": 1,
                "salt": self.random.octets(32)}
        wrapping = scrypt(secret, body["salt"], body["n"], body["r"], body["p"])
        associated = self.header(KEY_SLOT, self.owner, 0)[:72] + cbor.encode(body)
        body["sealed"] = AESGCM(wrapping).encrypt(ZERO_NONCE, credential, associated)
        self.small(f"keys/{slot.hex()}", KEY_SLOT, self.owner, body)

    def heads(self, log=None, sessions=()):
        """What the writer of an object has seen."""
        heads = {"owner": [len(self.chain) + self.passed_over - 1, self.chain[-1]], "sessions": list(sessions)}
        return {**heads, "log": log} if log else heads

    def log_slot(self, signer, epoch, n, kind, log_head=None, **fields):
        """Claims a slot of the control log; returns its hash."""
        self.last_slot = self.small(f"log/00000000/{epoch:08d}/{n:08d}", LOG_SLOT, signer, {
            "incarnation": 0, "epoch": epoch, "n": n, "previous": self.last_slot, "type": kind, "ended": [],
            "heads": self.heads(log_head), **fields})
        return self.last_slot

    # Sealing

    def hedge(self, plain):
        """A salt as section 5 wants it."""
        return hmac(self.keys["index"], b"dozo/1 hedge", self.random.octets(32), sha256(plain))

    def hpke(self, name, object_class, plain, associated):
        """Seals to the content or structure key of the domain, with a hedged ephemeral key."""
        info, psk = suite_1_info(self.repository, 0, object_class, 0), self.keys["psk"]
        parts = b"".join(struct.pack("<Q", len(part)) + part for part in (info, associated, plain))
        ephemeral = hpke_key_pair(hmac(psk, b"dozo hedge", self.random.octets(32), sha256(parts)))
        public_key = exchange_public_key(self.keys[f"{name}_private"])
        return hpke_seal(public_key, ephemeral, plain, associated, info, psk, suite_1_psk_id(0))

    def blob_id(self, kind, plain):
        """The id of a chunk or structure blob."""
        key = self.keys["identity" if kind == 1 else "structure_identity"]
        return hmac(derive(key, "dozo/1 id", bytes([kind, 1]), 32), plain)

    # Packs and runs

    def pack(self, object_class, blobs, key_count):
        """Stores a pack of [(kind, id, plaintext)]; returns (hash, size, ids in order)."""
        pack_keys = [self.random.octets(32) for _ in range(key_count)]
        table = struct.pack("<I", key_count)
        for pack_key in pack_keys:
            enc, sealed = self.hpke("content" if object_class == 2 else "structure", object_class, pack_key, b"")
            table += struct.pack("<4HI", 1, len(enc), len(sealed), 0, 0) + enc + sealed
        area, entries = b"", b""
        for number, (kind, blob_id, plain) in enumerate(blobs):
            frame = zstandard.ZstdCompressor(level=3).compress(plain)
            codec, coded = (1, frame) if len(frame) < len(plain) else (0, plain)
            prefix, stored = bytes([kind, codec]), len(coded) + 16
            associated = b"dozo/1 blob" + self.repository + struct.pack("<I", 0) + prefix \
                + struct.pack("<HIII", 0, 0, len(plain), stored) + blob_id
            key = hkdf_expand(pack_keys[number % key_count], prefix + blob_id, 32)
            entries += blob_id + prefix + struct.pack("<HIIIII", number % key_count, number, 96 + len(area), stored,
                                                      len(plain), 0)
            area += AESGCM(key).encrypt(struct.pack("<Q", number) + bytes(4), coded, associated)
        plain = struct.pack("<II", len(blobs), 0) + entries
        salt = self.hedge(plain)
        keys_at = 96 + len(area)
        directory_at = keys_at + len(table)
        crc_at = directory_at + 32 + len(plain) + 16
        crc_length = 4 * -(-crc_at // (64 * KIB))
        header = self.header(PACK, self.writer, crc_at - 96 + crc_length + 64 + 64, object_class)
        directory = salt + AESGCM(derive(self.keys["index"], "dozo/1 directory", salt, 32)).encrypt(
            ZERO_NONCE, plain, header[:72])
        data = header + area + table + directory
        blocks = (data[place:place + 64 * KIB] for place in range(0, crc_at, 64 * KIB))
        data += b"".join([struct.pack("<I", crc32c(block)) for block in blocks])
        data += sign(self.writer, b"dozo/1 pack\0", data)
        data += struct.pack("<6QII", keys_at, len(table), directory_at, crc_at - directory_at, crc_at, crc_length,
                            64 * KIB, 0) + MAGIC
        pack_hash = sha256(data)
        self.put(f"packs/{pack_hash.hex()[:2]}/{pack_hash.hex()}.0", data)
        return pack_hash, len(data), [blob_id for _, blob_id, _ in blobs]

    def run(self, packs):
        """Stores an index run over [(hash, size, ids)]; returns (hash, size)."""
        entries = sorted((blob_id, number, ordinal) for number, (_, _, ids) in enumerate(packs)
                         for ordinal, blob_id in enumerate(ids))
        plain = b"".join(struct.pack("<32sII", *entry) for entry in entries)
        blocks = [plain[place:place + 4000] for place in range(0, len(plain), 4000)]
        fence = struct.pack("<4I", len(packs), 0, len(blocks), 0)
        fence += b"".join(pack_hash + struct.pack("<I", 0) for pack_hash, _, _ in packs)
        fence += b"".join(block[:8] for block in blocks)
        salt = self.hedge(plain + fence)
        key = derive(self.keys["index"], "dozo/1 run", salt, 32)
        sections = blocks + [fence]
        length = sum(len(section) + 16 for section in sections) + 64 + 64
        data = header = self.header(RUN, self.writer, length, 1)
        for number, section in enumerate(sections):
            numbered = struct.pack("<Q", number)
            data += AESGCM(key).encrypt(numbered + bytes(4), section, header[:72] + numbered)
        data += sign(self.writer, b"dozo/1 run\0", data)
        data += salt + struct.pack("<IIQQ", len(blocks), len(entries), len(fence) + 16, 0) + MAGIC
        run_hash = sha256(data)
        self.put(f"runs/{run_hash.hex()[:2]}/{run_hash.hex()}.0", data)
        return run_hash, len(data)

    # Sessions

    def session_entry(self, session, k, previous, slot, kind, inventory=None, points=()):
        """Stores an entry of the writer's session with restore points; returns its hash."""
        writer, records, sealed = fingerprint(self.writer)[:16], [], b""
        for position, point in enumerate(points):
            associated = b"dozo/1 record" + self.repository + writer + session + struct.pack("<III", k, position, 1)
            enc, ciphertext = self.hpke("structure", 1, cbor.encode(point), associated)
            body = struct.pack("<HH", 1, len(enc)) + enc + ciphertext
            records.append({"kind": 1, "critical": True, "body": sha256(body), "length": len(body), "domain": 0,
                            "epoch": 0})
            sealed += body
        return self.small(f"s/{writer.hex()}/{session.hex()}/{k:08d}", SESSION_ENTRY, self.writer, {
            "writer": writer, "session": session, "k": k, "previous": previous, "slot": slot, "type": kind,
            "heads": self.heads(slot + [self.last_slot]), "inventory": inventory or {"packs": [], "runs": []},
            "records": records}, sealed)


def make_example(directory, seed="example", close=False, forget=False, read_features=()):
    """Writes the repository; returns (images, point id). With `close` a maintainer closes epoch 0 behind the session,
    and with `forget` its ledger leaves the restore point out."""
    example = Example(directory, seed)
    example.begin(read_features)
    images = make_images(example.random)
    session, point_id, guest = (example.random.octets(16) for _ in range(3))
    slot = example.log_slot(example.writer, 0, 0, "open", session=session, bases=[])
    mapper = ImageMapper(example)
    roots = {name: mapper.add(image) for name, image in images.items()}
    packs = [example.pack(object_class, [(kind, blob_id, plain) for blob_id, (kind, plain) in blobs.items()], key_count)
             for object_class, blobs, key_count in ((2, mapper.content, 2), (1, mapper.structure, 1))]
    run_hash, run_size = example.run(packs)
    inventory = {"packs": [[pack_hash, 0, size, object_class, 0]
                           for (pack_hash, size, _), object_class in zip(packs, (2, 1))],
                 "runs": [[run_hash, 0, run_size]]}
    read, stored = sum(map(len, images.values())), sum(size for _, size, _ in packs)
    point = {"id": point_id, "guest": guest, "label": "example guest", "taken_at": TIME * 10**9,
             "clock": "host", "consistency": "crash", "trust": "scanned", "host": "host one", "tool": "example writer",
             "images": [{"name": name, "kind": "disk", "length": len(image), "format": "raw", "root": roots[name],
                         "domain": 0} for name, image in images.items()],
             "tags": ["audit", "before upgrade"],
             "policy": {"name": "nightly", "revision": "3", "started_by": "schedule"},
             "started_at": TIME * 10**9, "ended_at": (TIME + 1) * 10**9,
             "bytes": {"read": read, "changed": read, "new": sum(len(plain) for _, plain in mapper.content.values()),
                       "stored": stored}}
    entry = example.session_entry(session, 0, slot, [0, 0, 0], "commit", inventory, [point])
    if close:
        writer = fingerprint(example.writer)[:16]
        ledger_body = {"points": [] if forget else [[point_id, writer, session, 0]],
                       "horizon": [[writer, session, 0, entry]], "generation": [[run_hash, 0]],
                       "condemned_fresh": [], "condemned_carried": []}
        plain = cbor.encode(ledger_body)
        data = example.header(LEDGER, example.maintainer, len(plain)) + plain
        data += sign(example.maintainer, b"dozo/1 object\0", data)
        example.put(f"ledger/{sha256(data).hex()}", data)
        example.log_slot(example.maintainer, 0, 1, "close", [0, 0, 0, slot], ledger=sha256(data))
    return images, point_id


def main(arguments):
    """Runs the program; returns its exit status."""
    parser = argparse.ArgumentParser(description="Writes the example repository.")
    parser.add_argument("--to", required=True, metavar="DIR")
    parser.add_argument("--seed", default="example", metavar="TEXT")
    parser.add_argument("--images", metavar="DIR")
    parser.add_argument("--close", action="store_true", help="let a maintainer close the first epoch")
    options = parser.parse_args(arguments)
    os.makedirs(options.to)
    images, point_id = make_example(options.to, options.seed, options.close)
    print(point_id.hex())
    for name, image in images.items():
        print(name, len(image), sha256(image).hex())
        if options.images:
            os.makedirs(options.images, exist_ok=True)
            with open(os.path.join(options.images, f"{name}.raw"), "wb") as file:
                file.write(image)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
