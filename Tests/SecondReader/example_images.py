"""The disks of the example repository, and how an image becomes chunks, map blobs and a root (sections 7 and 8)."""

import struct

from chunking import PageHash, cut

KIB, MIB = 1 << 10, 1 << 20
DEFAULTS = {"minimum": 16 * KIB, "maximum": 256 * KIB, "threshold": (1 << 64) // 13, "zero_run": 32 * KIB,
            "region": 16 * MIB, "leaf": 4 * MIB, "fan_out": 4, "pack": 16 * MIB}
HOLE = 0xFFFFFFFF


class ImageMapper:
    """Turns images into chunks, maps and roots; equal blobs are kept once."""

    def __init__(self, example):
        self.example = example
        self.page_hash = PageHash(example.keys["boundary"], 0)
        self.content, self.structure = {}, {}  # id -> (kind, plaintext)

    def _blob(self, kind, structures, contents, payload):
        plain = struct.pack("<HHIII", kind, 1, len(structures), len(contents), len(payload)) \
            + b"".join(structures + contents) + payload
        blob_id = self.example.blob_id(kind, plain)
        self.structure[blob_id] = (kind, plain)
        return blob_id

    def add(self, image):
        """The structure id of the image's root."""
        parameters = [DEFAULTS[name] for name in ("region", "minimum", "maximum", "zero_run", "threshold")]
        level, place, pieces = [], 0, []
        for length, hole in cut(image, self.page_hash, *parameters):
            chunk_id = None
            if not hole:
                plain = image[place:place + length]
                chunk_id = self.example.blob_id(1, plain)
                self.content[chunk_id] = (1, plain)
            pieces.append((chunk_id, place, length))
            place += length
        leaf, fan_out = DEFAULTS["leaf"], DEFAULTS["fan_out"]
        for start in range(0, max(len(image), 1), leaf):
            level.append(self._leaf(pieces, start, min(leaf, len(image) - start)))
        depth = 0
        while len(level) > 1:
            depth += 1
            level = [self._node(depth, level[first:first + fan_out]) for first in range(0, len(level), fan_out)]
        top = [level[0]] if level[0] else []
        payload = struct.pack("<QIIHBBHHIIIQIII", len(image), leaf, DEFAULTS["region"], fan_out, depth, 0, 1, 0,
                              *(DEFAULTS[name] for name in ("minimum", "maximum", "zero_run", "threshold")), 0, 0,
                              0 if top else HOLE)
        return self._blob(4, top, [], payload)

    def _leaf(self, pieces, start, covered):
        references, entries = [], []
        for chunk_id, offset, length in pieces:
            begin, end = max(offset, start), min(offset + length, start + covered)
            if begin >= end:
                continue
            if chunk_id is None:
                if entries and entries[-1][0] == HOLE:
                    entries[-1][2] += end - begin
                else:
                    entries.append([HOLE, 0, end - begin, 1])
                continue
            if chunk_id not in references:
                references.append(chunk_id)
            shape = [references.index(chunk_id), begin - offset, end - begin]
            if entries and entries[-1][:3] == shape:
                entries[-1][3] += 1
            else:
                entries.append(shape + [1])
        if not references:
            return None
        return self._blob(2, [], references, struct.pack("<II", covered, len(entries))
                          + b"".join(struct.pack("<4I", *entry) for entry in entries))

    def _node(self, level, children):
        ids = []
        for child in children:
            if child and child not in ids:
                ids.append(child)
        if not ids:
            return None
        numbers = [ids.index(child) if child else HOLE for child in children]
        return self._blob(3, ids, [], struct.pack("<B3xI", level, len(numbers))
                          + struct.pack(f"<{len(numbers)}I", *numbers))


def make_images(random):
    """The disks of the example: {name: bytes}."""
    disk = bytearray(20 * MIB + 5330)  # the last page is short

    def place(offset, data):
        disk[offset:offset + len(data)] = data

    words = b"".join(b"line %d of a file that compresses well\n" % number for number in range(4000))
    place(0, words)  # compressible
    place(1 * MIB, b"\xab" * MIB)  # equal chunks one behind the other
    place(3 * MIB, random.long(200 * KIB))  # incompressible
    place(4 * MIB - 40 * KIB, random.long(60 * KIB) + bytes(12 * KIB) + words[:80 * KIB])  # over a leaf boundary
    place(6 * MIB, words)  # known chunks again; the leaf from 8 to 12 MiB is all hole
    place(16 * MIB - 8 * KIB, random.long(32 * KIB))  # over a region boundary
    place(len(disk) - 17618, random.long(17618))  # a short last page
    return {"main": bytes(disk), "empty": b"", "one": b"\x01", "blank": bytes(MIB)}
