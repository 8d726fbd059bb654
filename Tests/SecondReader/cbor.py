"""Deterministic CBOR as the format page restricts it: every value has one encoding here.

Python types: int, bytes, str, list, dict (keys str), True, False, None. Nothing else is written or read.
"""

from refusals import Damaged, require

DEPTH_LIMIT = 8  # arrays and maps inside one another, the outermost included
BODY_LIMIT = 16 << 20
TEXT_LIMIT = 4096  # bytes of UTF-8


def encode(value):
    """The one encoding of `value`."""
    if value is None:
        return b"\xf6"
    if value is False:
        return b"\xf4"
    if value is True:
        return b"\xf5"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode("utf-8")
        return _head(3, len(text)) + text
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(encode(item) for item in value)
    if isinstance(value, dict):
        pairs = sorted((encode(key), encode(item)) for key, item in value.items())
        return _head(5, len(value)) + b"".join(key + item for key, item in pairs)
    raise TypeError(f"not in the format's CBOR: {type(value).__name__}")


def _head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for code, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * width):
            return bytes([major << 5 | code]) + number.to_bytes(width, "big")
    raise ValueError("no CBOR integer is that large")


def decode(data):
    """The value that all of `data` encodes. Raises `Damaged` for anything the format page does not allow."""
    require(len(data) <= BODY_LIMIT, f"CBOR of {len(data)} bytes, at most {BODY_LIMIT} are allowed")
    decoder = _Decoder(data)
    value = decoder.item(0)
    require(decoder.place == len(data), f"CBOR: {len(data) - decoder.place} bytes behind the end")
    return value


class _Decoder:
    def __init__(self, data):
        self.data = data
        self.place = 0

    def take(self, count):
        require(count <= len(self.data) - self.place, "CBOR ends too early")
        taken = self.data[self.place:self.place + count]
        self.place += count
        return taken

    def head(self):
        first = self.take(1)[0]
        major, code = first >> 5, first & 31
        if code < 24 or major == 7:
            return major, code
        require(code <= 27, "CBOR: indefinite length or reserved form")
        width = 1 << (code - 24)
        number = int.from_bytes(self.take(width), "big")
        require(number >= (24 if width == 1 else 1 << (4 * width)), "CBOR: integer in a longer form than needed")
        return major, number

    def item(self, depth):
        major, number = self.head()
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major == 2:
            return bytes(self.take(number))
        if major == 3:
            return self.text(number)
        if major in (4, 5):
            require(depth < DEPTH_LIMIT, f"CBOR: deeper than {DEPTH_LIMIT}")
            return self.array(number, depth) if major == 4 else self.map(number, depth)
        require(major == 7 and number in (20, 21, 22), "CBOR: tag, float or other simple value")
        return {20: False, 21: True, 22: None}[number]

    def text(self, length):
        require(length <= TEXT_LIMIT, f"CBOR: text of {length} bytes, at most {TEXT_LIMIT} are allowed")
        try:
            return bytes(self.take(length)).decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged("CBOR: text is not UTF-8") from None

    def array(self, count, depth):
        require(count <= len(self.data) - self.place, "CBOR: more items than bytes")
        return [self.item(depth + 1) for _ in range(count)]

    def map(self, count, depth):
        require(2 * count <= len(self.data) - self.place, "CBOR: more pairs than bytes")
        result, last = {}, None
        for _ in range(count):
            start = self.place
            require(start < len(self.data) and self.data[start] >> 5 == 3, "CBOR: a key that is not text")
            key = self.item(depth + 1)
            encoded = bytes(self.data[start:self.place])
            require(last is None or last < encoded, "CBOR: keys unsorted or repeated")
            last = encoded
            result[key] = self.item(depth + 1)
        return result
