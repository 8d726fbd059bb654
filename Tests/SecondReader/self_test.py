#!/usr/bin/python3
"""Tests of the second reader by itself: known answers and refusals here, whole repositories in repository_tests.py."""

import contextlib
import os
import random
import struct
import sys
import unittest

import cbor
import crypto
import maps
from chunking import PageHash, cut
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from make_example import hpke_key_pair, hpke_seal
from packs import decompress
from refusals import Damaged, Unsupported
from repository_tests import HistoryTests, RepositoryTests

REPOSITORY_TESTS = (HistoryTests, RepositoryTests)  # unittest finds them by their names here
SEED = int(os.environ.get("SECOND_READER_SEED", "1"))


class CBORTests(unittest.TestCase):
    # RFC 8949, appendix A, as far as the format allows it.
    EXAMPLES = [
        (0, "00"), (1, "01"), (10, "0a"), (23, "17"), (24, "1818"), (25, "1819"), (100, "1864"), (1000, "1903e8"),
        (1000000, "1a000f4240"), (1000000000000, "1b000000e8d4a51000"), (18446744073709551615, "1bffffffffffffffff"),
        (-18446744073709551616, "3bffffffffffffffff"), (-1, "20"), (-10, "29"), (-100, "3863"), (-1000, "3903e7"),
        (False, "f4"), (True, "f5"), (None, "f6"), (b"", "40"), (bytes([1, 2, 3, 4]), "4401020304"), ("", "60"),
        ("a", "6161"), ("IETF", "6449455446"), ('"\\', "62225c"), ("\u00fc", "62c3bc"), ("\u6c34", "63e6b0b4"),
        ("\U00010151", "64f0908591"), ([], "80"), ([1, 2, 3], "83010203"), ([1, [2, 3], [4, 5]], "8301820203820405"),
        (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"), ({}, "a0"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"), (["a", {"b": "c"}], "826161a161626163")]

    REFUSED = {
        "nothing": "", "a byte too many": "0000", "longer forms": "1817 190018 1a00000100 1b0000000000000001 5801ff "
        "780161 980100", "indefinite": "5f4100ff 7f6161ff 9f00ff bf616100ff", "reserved": "1c 3d 5e fc ff",
        "floats": "f90000 fa00000000 fb0000000000000000", "tags": "c000 d9d9f700", "other simple values":
        "f7 e0 f3 f8ff", "keys that are not text": "a10000 a1410000", "repeated keys": "a2616100616100",
        "unsorted keys": "a2616200616100 a26261610061620000", "not UTF-8": "61ff 62c080 63eda080 64f4908080",
        "too short": "41 6261 8200 a16161 19ff 18", "lengths beyond the end": "9bffffffffffffffff 5b7fffffffffffffff "
        "bbffffffffffffffff 9affffffff"}

    def test_examples_of_the_rfc_encode_and_decode(self):
        for value, encoded in self.EXAMPLES:
            self.assertEqual(cbor.encode(value).hex(), encoded)
            decoded = cbor.decode(bytes.fromhex(encoded))
            self.assertEqual((decoded, type(decoded)), (value, type(value)))

    def test_everything_else_is_refused(self):
        for what, encodings in self.REFUSED.items():
            for encoded in encodings.split() or [""]:
                with self.subTest(what, encoded=encoded), self.assertRaises(Damaged):
                    cbor.decode(bytes.fromhex(encoded))

    def test_depth_and_text_have_limits(self):
        for depth, fits in ((8, True), (9, False)):
            nested = bytes([0x81]) * depth + b"\0"
            if fits:
                cbor.decode(nested)
            else:
                self.assertRaises(Damaged, cbor.decode, nested)
        cbor.decode(cbor.encode("x" * 4096))
        self.assertRaises(Damaged, cbor.decode, cbor.encode("x" * 4097))

    def test_whatever_is_accepted_has_one_encoding(self):
        dice = random.Random(SEED)
        starts = [bytes.fromhex(encoded) for _, encoded in self.EXAMPLES]
        accepted = 0
        for _ in range(20000):
            data = bytearray(dice.choice(starts))
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            with contextlib.suppress(Damaged):
                self.assertEqual(cbor.encode(cbor.decode(bytes(data))), bytes(data))
                accepted += 1
        self.assertGreater(accepted, 1000, f"seed {SEED}")


class CryptoTests(unittest.TestCase):
    # RFC 9180, appendix A.1.2: mode_psk with X25519 and HKDF-SHA256. Its AEAD is AES-128-GCM; only that differs here.
    SHARED = bytes.fromhex("727699f009ffe3c076315019c69648366b69171439bd7dd0807743bde76986cd")
    EPHEMERAL_IKM = bytes.fromhex("78628c354e46f3e169bd231be7b2ff1c77aa302460a26dbfa15515684c00130b")
    ENC = bytes.fromhex("0ad0950d9fb9588e59690b74f1237ecdf1d775cd60be2eca57af5a4b0471c91b")
    PRIVATE = bytes.fromhex("c5eb01eb457fe6c6f57577c5413b931550a162c71a03ac8d196babbd4e5ce0fd")
    PUBLIC = bytes.fromhex("9fed7e8c17387560e92cc6462a68049657246a09bfa8ade7aefe589672016366")
    PSK = bytes.fromhex("0247fd33b913760fa1fa51e1892d9f307fbe65eb171e8132c2af18555a738b82")
    PSK_ID = b"Ennyn Durin aran Moria"
    INFO = b"Ode on a Grecian Urn"
    SEALED = bytes.fromhex("e52c6fed7f758d0cf7145689f21bc1be6ec9ea097fef4e959440012f4feb73fb"
                           "611b946199e681f4cfc34db8ea")

    def test_hpke_opens_the_vector_of_the_rfc(self):
        plain = crypto.hpke_open(self.PRIVATE, self.ENC, self.SEALED, b"Count-0", self.INFO, self.PSK, self.PSK_ID,
                                 "vector", crypto.AES_128_GCM)
        self.assertEqual(plain, b"Beauty is truth, truth beauty")

    def test_hpke_agrees_with_the_steps_of_the_rfc(self):
        ephemeral = hpke_key_pair(self.EPHEMERAL_IKM)
        self.assertEqual(crypto.exchange_public_key(ephemeral), self.ENC)
        exchanged = X25519PrivateKey.from_private_bytes(self.PRIVATE).exchange(
            X25519PrivateKey.from_private_bytes(ephemeral).public_key())
        self.assertEqual(crypto.hpke_shared_secret(exchanged, self.ENC, self.PUBLIC), self.SHARED)
        key, nonce = crypto.hpke_key_and_nonce(self.SHARED, self.INFO, self.PSK, self.PSK_ID, crypto.AES_128_GCM)
        self.assertEqual((key.hex(), nonce.hex()), ("15026dba546e3ae05836fc7de5a7bb26", "9518635eba129d5ce0914555"))

    def test_hpke_suite_1_opens_what_was_sealed_and_nothing_else(self):
        sealed = list(hpke_seal(self.PUBLIC, hpke_key_pair(b"x" * 32), b"plain", b"ad", b"info", self.PSK, b"id"))
        good = [self.PRIVATE, *sealed, b"ad", b"info", self.PSK, b"id", "test"]
        self.assertEqual(crypto.hpke_open(*good), b"plain")
        for place in range(len(good) - 1):
            bad = list(good)
            bad[place] = bad[place][:-2] + bytes([bad[place][-2] ^ 1, bad[place][-1]])
            with self.subTest(place), self.assertRaises(Damaged):
                crypto.hpke_open(*bad)
        good[1] = bytes(32)
        self.assertRaises(Damaged, crypto.hpke_open, *good)

    def test_crc32c_has_its_check_value(self):
        self.assertEqual(crypto.crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crypto.crc32c(bytes(32)), 0x8A9136AA)  # RFC 3720, B.4
        self.assertEqual(crypto.crc32c(b"\xff" * 32), 0x62A8AB43)

    def test_hkdf_expand_gives_the_vector_of_the_rfc(self):
        key = bytes.fromhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        okm = crypto.hkdf_expand(key, bytes(range(0xf0, 0xfa)), 42)
        self.assertEqual(okm.hex(), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                         "34007208d5b887185865")

    def test_scrypt_outside_the_bounds_is_refused(self):
        for n, r, p in ((1 << 14, 8, 1), (1 << 18, 8, 1), (40000, 8, 1), (1 << 15, 16, 1), (1 << 15, 8, 0),
                        (1 << 15, 8, 5)):
            with self.subTest((n, r, p)), self.assertRaises(Unsupported):
                crypto.scrypt(b"", bytes(32), n, r, p)

    def test_zstd_gives_exactly_the_stated_length(self):
        import zstandard
        frame = zstandard.ZstdCompressor().compress(bytes(10000))
        self.assertEqual(decompress(frame, 10000, "frame"), bytes(10000))
        for data, length in ((frame, 9999), (frame, 10001), (frame + b"x", 10000), (frame + frame, 10000), (b"", 0)):
            self.assertRaises(Damaged, decompress, data, length, "frame")


class ChunkingTests(unittest.TestCase):
    KIB = 1024

    def pieces(self, image, threshold):
        return cut(image, PageHash(bytes(32), 0), 1 << 24, 16 * self.KIB, 256 * self.KIB, 32 * self.KIB, threshold)

    def test_minimum_maximum_holes_and_regions(self):
        data = b"x" * (300 * self.KIB)
        self.assertEqual(self.pieces(data, 0), [(256 * self.KIB, False), (44 * self.KIB, False)])
        always = self.pieces(data, 1 << 64)
        self.assertEqual(always, [(16 * self.KIB, False)] * 18 + [(12 * self.KIB, False)])
        for length, holes in ((32 * self.KIB - 1, []), (32 * self.KIB, [32 * self.KIB])):
            self.assertEqual([size for size, hole in self.pieces(bytes(length), 0) if hole], holes)
        self.assertEqual(self.pieces(bytes((1 << 24) + 40000), 0), [(1 << 24, True), (40000, True)])
        self.assertEqual(self.pieces(b"", 0), [])

    def test_the_page_hash_is_the_sum_of_products_it_says(self):
        page_hash = PageHash(bytes(range(32)), 3)
        page = random.Random(SEED).randbytes(4096)
        total = 0
        for i in range(0, 512, 2):
            m = struct.unpack_from("<QQ", page, 8 * i)
            k = page_hash.words[i:i + 2]
            total += ((m[0] + k[0]) % 2**64) * ((m[1] + k[1]) % 2**64)
        sealed = page_hash.cipher.encryptor().update((total % 2**128).to_bytes(16, "little"))
        self.assertEqual(page_hash.value(page), struct.unpack("<Q", sealed[:8])[0])


def leaf(contents, *entries, covered=100):
    payload = struct.pack("<II", covered, len(entries)) + b"".join(struct.pack("<4I", *entry) for entry in entries)
    ids = b"".join(bytes([number]) * 32 for number in contents)
    return struct.pack("<HHIII", 2, 1, 0, len(contents), len(payload)) + ids + payload


class MapTests(unittest.TestCase):
    HOLE = maps.HOLE

    def test_canonical_leaves_are_read(self):
        for blob in (leaf([1], (0, 0, 100, 1)), leaf([1], (0, 0, 25, 4)),
                     leaf([1], (self.HOLE, 0, 40, 1), (0, 0, 60, 1)),
                     leaf([1, 2], (0, 0, 40, 1), (1, 0, 30, 1), (0, 0, 30, 1))):
            maps.parse_leaf(blob, 100, "leaf")

    def test_other_leaves_are_refused(self):
        cases = {
            "too long": leaf([1], (0, 0, 101, 1)), "too short": leaf([1], (0, 0, 99, 1)),
            "unused": leaf([1, 2], (0, 0, 100, 1)), "no such reference": leaf([1], (1, 0, 100, 1)),
            "order": leaf([1, 2], (1, 0, 50, 1), (0, 0, 50, 1)), "twice": leaf([1, 1], (0, 0, 50, 1), (1, 0, 50, 1)),
            "holes": leaf([1], (self.HOLE, 0, 20, 1), (self.HOLE, 0, 20, 1), (0, 0, 60, 1)),
            "repeats": leaf([1], (0, 0, 50, 1), (0, 0, 50, 1)), "all hole": leaf([], (self.HOLE, 0, 100, 1)),
            "hole with skip": leaf([1], (self.HOLE, 1, 40, 1), (0, 0, 60, 1)),
            "hole repeated": leaf([1], (self.HOLE, 0, 20, 2), (0, 0, 60, 1)),
            "empty entry": leaf([1], (0, 0, 0, 1), (0, 0, 100, 1)),
            "repeat of zero": leaf([1], (0, 0, 5, 0), (0, 0, 100, 1)),
            "other length": leaf([1], (0, 0, 99, 1), covered=99), "bytes behind": leaf([1], (0, 0, 100, 1)) + b"x",
            "huge": leaf([1], (0, 0, 0xFFFFFFFF, 0xFFFFFFFF))}
        for what, blob in cases.items():
            with self.subTest(what), self.assertRaises(Damaged):
                maps.parse_leaf(blob, 100, "leaf")


if __name__ == "__main__":
    sys.exit(unittest.main())
