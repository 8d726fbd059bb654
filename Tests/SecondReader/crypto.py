"""The format's cryptography, put together from plain primitives. HPKE and CRC32C are written out here."""

import hashlib
import hmac as _hmac
import struct

try:
    from cryptography.exceptions import InvalidSignature, InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ModuleNotFoundError:
    raise SystemExit("the Python module 'cryptography' is missing: apt-get install python3-cryptography, "
                     "and run Debian's /usr/bin/python3") from None

from refusals import Damaged, Unsupported

ZERO_NONCE = bytes(12)


def sha256(*parts):
    """SHA-256 of the parts, one behind the other."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()


def hmac(key, *parts):
    """HMAC-SHA-256 of the parts, one behind the other."""
    return _hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def hkdf_expand(key, info, length):
    """RFC 5869, second step, SHA-256."""
    output, block = b"", b""
    while len(output) < length:
        block = hmac(key, block, info, bytes([len(output) // 32 + 1]))
        output += block
    return output[:length]


def derive(key, label, context, length):
    """The page's `Derive`."""
    return hkdf_expand(key, label.encode() + b"\0" + context, length)


def aead_open(key, nonce, sealed, associated, what):
    """AES-GCM. Raises `Damaged`, naming `what`, when the tag is wrong."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except (InvalidTag, ValueError):
        raise Damaged(f"{what} does not open: wrong key or changed bytes") from None


def verify(public_key, signature, message, what):
    """Ed25519. Raises `Damaged`, naming `what`, when the signature is wrong."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Damaged(f"{what}: the signature is wrong") from None


def signing_public_key(seed):
    """The Ed25519 public key that belongs to a 32-byte seed."""
    return _raw(Ed25519PrivateKey.from_private_bytes(seed).public_key())


def exchange_public_key(private_key):
    """The X25519 public key that belongs to a private one."""
    return _raw(X25519PrivateKey.from_private_bytes(private_key).public_key())


def _raw(public_key):
    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def scrypt(secret, salt, n, r, p):
    """A 32-byte wrapping key. The page's bounds are checked before any work is done."""
    if not (1 << 15 <= n <= 1 << 17 and n & (n - 1) == 0 and r == 8 and 1 <= p <= 4):
        raise Unsupported(f"scrypt parameters n={n} r={r} p={p} are outside the bounds")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=(128 * n * r) + (1 << 22), dklen=32)


# HPKE, RFC 9180: mode_psk, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256; suite 1 of the format uses AES-256-GCM (AEAD 2).

_MODE_PSK = b"\x01"
_KEM = b"\x00\x20"
_KDF = b"\x00\x01"
AES_256_GCM = (b"\x00\x02", 32)
AES_128_GCM = (b"\x00\x01", 16)  # only for the published test vector


def labeled_extract(suite, salt, label, key):
    """RFC 9180, section 4."""
    return hmac(salt or bytes(32), b"HPKE-v1", suite, label, key)


def labeled_expand(suite, key, label, info, length):
    """RFC 9180, section 4."""
    return hkdf_expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def hpke_shared_secret(exchanged, enc, public_key):
    """ExtractAndExpand of RFC 9180, section 4.1, for both sides."""
    suite = b"KEM" + _KEM
    key = labeled_extract(suite, b"", b"eae_prk", exchanged)
    return labeled_expand(suite, key, b"shared_secret", enc + public_key, 32)


def hpke_key_and_nonce(shared_secret, info, psk, psk_id, aead=AES_256_GCM):
    """KeySchedule of RFC 9180, section 5.1; the nonce is that of the first and only message."""
    number, key_length = aead
    suite = b"HPKE" + _KEM + _KDF + number
    context = _MODE_PSK + labeled_extract(suite, b"", b"psk_id_hash", psk_id) \
        + labeled_extract(suite, b"", b"info_hash", info)
    secret = labeled_extract(suite, shared_secret, b"secret", psk)
    return (labeled_expand(suite, secret, b"key", context, key_length),
            labeled_expand(suite, secret, b"base_nonce", context, 12))


def hpke_open(private_key, enc, sealed, associated, info, psk, psk_id, what, aead=AES_256_GCM):
    """Opens a single-shot HPKE message. Raises `Damaged`, naming `what`."""
    private = X25519PrivateKey.from_private_bytes(private_key)
    try:
        exchanged = private.exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError:  # the all-zero secret of a low-order point, or a wrong length
        raise Damaged(f"{what}: the encapsulated key is not usable") from None
    shared_secret = hpke_shared_secret(exchanged, enc, _raw(private.public_key()))
    key, nonce = hpke_key_and_nonce(shared_secret, info, psk, psk_id, aead)
    return aead_open(key, nonce, sealed, associated, what)


def suite_1_info(repository, domain, object_class, key_epoch):
    """`info` of HPKE suite 1."""
    return b"dozo/1" + repository + struct.pack("<IBI", domain, object_class, key_epoch)


def suite_1_psk_id(key_epoch):
    """`psk_id` of HPKE suite 1."""
    return b"dozo/1 psk" + struct.pack("<I", key_epoch)


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def crc32c(data):
    """CRC32C (Castagnoli), a byte at a time: some seconds for a full pack."""
    table, state = _CRC_TABLE, 0xFFFFFFFF
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ 0xFFFFFFFF
