"""Where chunks end (format page, section 8): the page hash and the cutting of regions, in plain and slow Python.

Only the writer of the example needs it; a reader takes chunks as it finds them.
"""

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from crypto import derive

PAGE = 4096
MASK_64 = (1 << 64) - 1
MASK_128 = (1 << 128) - 1


class PageHash:
    """value(p) of the format page: a universal hash of a whole page, then a pseudorandom function."""

    def __init__(self, boundary_key, epoch):
        context = struct.pack("<I", epoch)
        self.words = struct.unpack("<512Q", derive(boundary_key, "dozo/1 NH", context, 4096))
        self.cipher = Cipher(algorithms.AES(derive(boundary_key, "dozo/1 boundary", context, 32)), modes.ECB())

    def value(self, page):
        """The value of 4,096 bytes, below 2^64."""
        sums = [(m + k) & MASK_64 for m, k in zip(struct.unpack("<512Q", page), self.words)]
        total = sum(left * right for left, right in zip(sums[::2], sums[1::2])) & MASK_128
        sealed = self.cipher.encryptor().update(total.to_bytes(16, "little"))
        return int.from_bytes(sealed[:8], "little")


def cut(image, page_hash, region, minimum, maximum, zero_run, threshold):
    """[(length, is hole)] for the whole image, in order; every region is cut alone."""
    result = []
    for start in range(0, len(image), region):
        part = memoryview(image)[start:start + region]
        for begin, end, hole in _segments(part, zero_run):
            if hole:
                result.append((end - begin, True))
            else:
                lengths = _chunks(part[begin:end], page_hash, minimum, maximum, threshold)
                result += [(length, False) for length in lengths]
    return result


def _segments(part, zero_run):
    """(begin, end, is hole): long runs of zero pages and what lies between them."""
    holes, begin = [], None
    zero_page = bytes(PAGE)
    for place in range(0, len(part), PAGE):
        page = part[place:place + PAGE]
        if page == zero_page[:len(page)]:
            begin = place if begin is None else begin
        elif begin is not None:
            holes.append((begin, place))
            begin = None
    if begin is not None:
        holes.append((begin, len(part)))
    place = 0
    for begin, end in holes:
        if end - begin < zero_run:
            continue
        if begin > place:
            yield place, begin, False
        yield begin, end, True
        place = end
    if place < len(part):
        yield place, len(part), False


def _chunks(segment, page_hash, minimum, maximum, threshold):
    length = 0
    for place in range(0, len(segment), PAGE):
        page = segment[place:place + PAGE]
        length += len(page)
        chosen = len(page) == PAGE and length >= minimum and page_hash.value(bytes(page)) < threshold
        if chosen or length == maximum or place + PAGE >= len(segment):
            yield length
            length = 0
