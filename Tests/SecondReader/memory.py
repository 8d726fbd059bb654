"""Streams of memory (section 15): puts a stream together from its skeleton and the guest's pages."""

import struct

from refusals import Unsupported, require

MAGIC = b"MEMSKEL\n"
PAGE = 4096
OPERATIONS_LIMIT = 64 << 20
TEMPLATE_LIMIT, TRAILER_LIMIT = 64, 64
WORD = (1 << 64) - 1


class Operations:
    """The operations, read from front to back."""

    def __init__(self, octets):
        self.octets, self.place = octets, 0

    def byte(self):
        require(self.place < len(self.octets), "the skeleton's operations end within one")
        self.place += 1
        return self.octets[self.place - 1]

    def take(self, count):
        require(self.place + count <= len(self.octets), "the skeleton's operations end within one")
        self.place += count
        return self.octets[self.place - count:self.place]

    def number(self):
        value = 0
        for shift in range(0, 70, 7):
            part = self.byte()
            value |= (part & 0x7F) << shift
            if part < 0x80:
                require(value <= WORD and (part or not shift), "a number of the skeleton is not in its shortest form")
                return value
        require(False, "a number of the skeleton does not end")

    def difference(self):
        folded = self.number()
        return -(folded + 1) // 2 if folded & 1 else folded // 2


def stream(skeleton, memory):
    """Yields the bytes of the stream. Both are seekable files of whole images; `memory` may be sparse."""
    size = skeleton.seek(0, 2)
    skeleton.seek(0)
    header = skeleton.read(64)
    require(len(header) == 64 and header[:8] == MAGIC, "the skeleton does not begin like one")
    version, page, total, operation_count, literal_count = struct.unpack_from("<IIQQQ", header, 8)
    if (version, page) != (1, PAGE):
        raise Unsupported(f"the skeleton is of version {version}; this reader knows 1")
    name = header[40:].rstrip(b"\0")
    require(all(0x21 <= octet <= 0x7E for octet in name), "the skeleton's format has no name")
    fills = 64 + operation_count + literal_count == size
    require(operation_count <= OPERATIONS_LIMIT and fills, "the skeleton's parts do not fill it")
    operations = Operations(skeleton.read(operation_count))
    pages = memory.seek(0, 2) // PAGE
    templates, at, value, emitted, used = [], 0, 0, 0, 0

    def page_at(number):
        require(number < pages, "the skeleton names a page behind the memory's end")
        memory.seek(number * PAGE)
        return memory.read(PAGE)

    while operations.place < operation_count:
        kind = operations.byte()
        if kind == 2:
            number, flags, step, count = operations.byte(), operations.byte(), operations.number(), operations.byte()
            require(number == len(templates) < TEMPLATE_LIMIT and flags < 4 and count <= TRAILER_LIMIT,
                    "a template of the skeleton is malformed")
            templates.append((flags, step, operations.take(count)))
            continue
        count = operations.number()
        require(count > 0, "an operation of the skeleton emits nothing")
        if kind == 0:
            used += count
            require(used <= literal_count, "the skeleton lacks literals")
            while count:
                piece = skeleton.read(min(count, 1 << 20))
                require(piece, "the skeleton ends within its literals")
                count, emitted = count - len(piece), emitted + len(piece)
                require(emitted <= total, "the skeleton emits too much")
                yield piece
        elif kind == 1:
            at = (at + operations.difference()) & WORD
            for _ in range(count):
                emitted += PAGE
                require(emitted <= total, "the skeleton emits too much")
                yield page_at(at)
                at += 1
        else:
            require(64 <= kind < 64 + len(templates), f"the skeleton has an operation {kind}")
            flags, step, trailer = templates[kind - 64]
            value = (value + operations.difference()) & WORD
            if flags & 2:
                at = (at + operations.difference()) & WORD
            for _ in range(count):
                piece = struct.pack(">Q" if flags & 1 else "<Q", value) + trailer
                if flags & 2:
                    piece += page_at(at)
                    at += 1
                value, emitted = (value + step) & WORD, emitted + len(piece)
                require(emitted <= total, "the skeleton emits too much")
                yield piece
    require((emitted, used) == (total, literal_count), "the skeleton ends before the stream does")
