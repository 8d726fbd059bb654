"""Structure blobs and image maps (section 7): from an image root to the bytes of an image."""

import struct
from dataclasses import dataclass

from packs import CHUNK_LIMIT, DATA, IMAGE_ROOT, LEAF, NODE
from refusals import Refusal, Unsupported, require

HOLE = 0xFFFFFFFF
ABSENT = 0xFFFFFFFE
DEPTH_LIMIT = 8
PARTIAL, SLICES = 1, 2


def parse_structure(blob, kind, what):
    """(structure ids, content ids, payload) of a structure blob."""
    require(len(blob) >= 16, f"{what} is too short")
    found, version, structure_count, content_count, length = struct.unpack_from("<HHIII", blob)
    require(found == kind, f"{what} says kind {found}, not {kind}")
    if version != 1:
        raise Unsupported(f"{what} is of version {version}; this reader knows 1")
    payload_at = 16 + 32 * (structure_count + content_count)
    require(payload_at + length == len(blob), f"{what}: its parts do not fill it")
    ids = [blob[place:place + 32] for place in range(16, payload_at, 32)]
    require(len(set(ids[:structure_count])) == structure_count, f"{what} names a structure id twice")
    require(len(set(ids[structure_count:])) == content_count, f"{what} names a content id twice")
    return ids[:structure_count], ids[structure_count:], blob[payload_at:]


def check_first_use(references, count, what):
    """References must appear in the order of their first use, and each one must be used."""
    following = 0
    for reference in references:
        require(reference <= following, f"{what}: references are not in order of first use")
        following = max(following, reference + 1)
    require(following == count, f"{what}: {count} references, {following} used")


@dataclass
class ImageRoot:
    """What an image root says."""
    length: int
    leaf_size: int
    fan_out: int
    depth: int
    flags: int
    top: object  # an id, HOLE or ABSENT

    def span(self, level):
        """Bytes that a whole node of this level covers; level 0 is a leaf."""
        return self.leaf_size * self.fan_out ** level


def parse_root(blob, what):
    """Reads an image root."""
    structures, contents, payload = parse_structure(blob, IMAGE_ROOT, what)
    require(len(payload) == 56 and not contents, f"{what} is malformed")
    (length, leaf_size, region, fan_out, depth, flags, chunker, _origin, minimum, maximum, _zero_run, _threshold,
     _epoch, zero, top) = struct.unpack("<QIIHBBHHIIIQIII", payload)
    if flags & ~(PARTIAL | SLICES):
        raise Unsupported(f"{what} has unknown flags {flags:#x}")
    require(zero == 0 and leaf_size > 0 and fan_out >= 2 and region > 0, f"{what} is malformed")
    require(0 < minimum <= maximum <= CHUNK_LIMIT and chunker > 0, f"{what}: impossible chunking parameters")
    require(depth <= DEPTH_LIMIT, f"{what}: depth {depth}, at most {DEPTH_LIMIT} are allowed")
    root = ImageRoot(length, leaf_size, fan_out, depth, flags, None)
    smallest = root.span(depth) >= length and (depth == 0 or root.span(depth - 1) < length)
    require(smallest, f"{what}: depth {depth} is not the one that {length} bytes need")
    root.top = resolve([top], structures, root, what)[0]
    require(length > 0 or root.top == HOLE, f"{what}: an image without bytes has no map")
    return root


def resolve(children, structures, root, what):
    """Ids for the references of a root or node; HOLE and ABSENT stay what they are."""
    check_first_use([child for child in children if child < ABSENT], len(structures), what)
    require(ABSENT not in children or root.flags & PARTIAL, f"{what}: an absent child in an image that is not partial")
    return [child if child >= ABSENT else structures[child] for child in children]


def parse_node(blob, level, covered, root, what):
    """Children of a map node that covers `covered` bytes."""
    structures, contents, payload = parse_structure(blob, NODE, what)
    require(len(payload) >= 8 and not contents, f"{what} is malformed")
    found, zero, count = struct.unpack_from("<B3sI", payload)
    require(found == level and zero == bytes(3), f"{what} says level {found}, not {level}")
    needed = -(-covered // root.span(level - 1))
    require(count == needed and count <= root.fan_out, f"{what}: {count} children, {needed} are needed")
    require(len(payload) == 8 + 4 * count, f"{what} is malformed")
    children = struct.unpack_from(f"<{count}I", payload, 8)
    require(any(child != HOLE for child in children), f"{what}: a node of holes must not be stored")
    return resolve(children, structures, root, what)


def parse_leaf(blob, covered, what):
    """(chunk id or HOLE, skip, length, repeat) for all bytes that a map leaf covers."""
    structures, contents, payload = parse_structure(blob, LEAF, what)
    require(len(payload) >= 8 and not structures, f"{what} is malformed")
    found, count = struct.unpack_from("<II", payload)
    require(found == covered, f"{what} covers {found} bytes, not {covered}")
    require(len(payload) == 8 + 16 * count, f"{what} is malformed")
    entries = list(struct.iter_unpack("<4I", payload[8:]))
    check_first_use([entry[0] for entry in entries if entry[0] != HOLE], len(contents), what)
    place, last = 0, None
    for reference, skip, length, repeat in entries:
        require(length >= 1 and repeat >= 1, f"{what}: an entry without bytes")
        require(reference != HOLE or (skip, repeat) == (0, 1), f"{what}: a hole with skip or repeat")
        shape = HOLE if reference == HOLE else (reference, skip, length)
        require(shape != last, f"{what}: equal neighbours are not merged")
        place, last = place + length * repeat, shape
        fits = place <= covered and (reference == HOLE or skip + length <= CHUNK_LIMIT)
        require(fits, f"{what}: an entry is too long")
    require(place == covered, f"{what}: the entries do not cover it")
    require(contents, f"{what}: a leaf of holes must not be stored")
    return [(HOLE if reference == HOLE else contents[reference], *rest) for reference, *rest in entries]


class ImageReader:
    """Restores one image. `reader` is a `BlobReader`."""

    def __init__(self, reader, domain, root_id):
        self.reader, self.domain = reader, domain
        self.root = parse_root(reader.read(domain, root_id, IMAGE_ROOT), f"image root {root_id.hex()[:16]}")
        if self.root.flags & PARTIAL:
            raise Refusal("the image is partial: parts of it were never read, so it cannot be restored as a disk")
        self.straddling = None  # (chunk id, bytes already used) of a chunk cut by the last leaf's end

    def pieces(self):
        """(offset, bytes) of everything that is not a hole, ascending."""
        yield from self._map(self.root.top, self.root.depth, 0, self.root.length)
        require(self.straddling is None, "the image ends within a chunk")

    def _map(self, child, level, offset, covered):
        if child == HOLE:
            require(self.straddling is None, f"a hole at {offset} where a cut chunk must go on")
            return
        what = f"map {child.hex()[:16]} at {offset}"
        blob = self.reader.read(self.domain, child, LEAF if level == 0 else NODE)
        if level == 0:
            yield from self._leaf(parse_leaf(blob, covered, what), offset, what)
            return
        step = self.root.span(level - 1)
        for place, below in enumerate(parse_node(blob, level, covered, self.root, what)):
            start = place * step
            yield from self._map(below, level - 1, offset + start, min(step, covered - start))

    def _leaf(self, entries, offset, what):
        for place, (chunk_id, skip, length, repeat) in enumerate(entries):
            if chunk_id == HOLE:
                require(self.straddling is None, f"{what}: a hole where a cut chunk must go on")
                offset += length
                continue
            chunk = self.reader.read(self.domain, chunk_id, DATA)
            require(skip + length <= len(chunk), f"{what}: entry {place} reaches beyond its chunk")
            if not self.root.flags & SLICES:
                last = place == len(entries) - 1
                self._check_whole(chunk_id, skip, length, repeat, len(chunk), place == 0, last, what)
            slice_ = chunk[skip:skip + length]
            for _ in range(repeat):
                yield offset, slice_
                offset += length

    def _check_whole(self, chunk_id, skip, length, repeat, size, first, last, what):
        """Without slices a chunk is used whole; only one that a leaf boundary cuts appears as two slices."""
        if (skip, length) == (0, size):
            require(self.straddling is None, f"{what}: the chunk cut by the leaf before does not go on")
            return
        expected = self.straddling if first else None
        goes_on = expected == (chunk_id, skip) if skip else expected is None
        ends = skip + length == size
        require(repeat == 1 and goes_on and (ends or last), f"{what}: a slice in an image that says it has none")
        self.straddling = None if ends else (chunk_id, skip + length)
