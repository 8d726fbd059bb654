"""Key slots and what they yield: the owner's credential with the secrets of every domain (format page, section 4)."""

from dataclasses import dataclass

import cbor
from crypto import ZERO_NONCE, aead_open, derive, exchange_public_key, scrypt, sha256, signing_public_key
from objects import KEY_SLOT, Body, parse_small_object
from refusals import Damaged, Refusal, Unsupported, WrongSecret, require

SECRET_NAMES = ("identity", "structure_identity", "boundary", "index", "psk", "content_private", "structure_private")


@dataclass
class Credential:
    """The owner's secrets."""
    repository: bytes
    owner: bytes  # fingerprint
    owner_key: bytes  # public key
    owner_head: tuple  # (n, hash): the chain must reach at least this statement
    domains: dict  # (domain, key epoch) -> {name of the secret: 32 bytes}

    def secret(self, domain, key_epoch, name):
        """One secret of a domain. Raises `Refusal` when the slot was made before there was such an epoch."""
        try:
            return self.domains[domain, key_epoch][name]
        except KeyError:
            raise Refusal(f"the key slot holds no {name} key of domain {domain}, key epoch {key_epoch}") from None


def parse_credential(data):
    """Reads the owner's credential. Raises `Damaged` when it is of another role or lacks a secret."""
    body = Body(cbor.decode(data), "credential")
    require(body.text("role") == "owner", "the credential in the key slot is not the owner's")
    owner_key = signing_public_key(body.octets("signing_seed", 32))
    owner = body.octets("owner", 32)
    require(sha256(owner_key) == owner, "credential: the signing seed is not that of the owner it names")
    domains = {}
    for entry in body.bodies("domains"):
        place = (entry.number("id", 0xFFFFFFFF), entry.number("epoch", 0xFFFFFFFF))
        require(place not in domains, f"credential: domain {place[0]}, key epoch {place[1]} twice")
        secrets = {name: entry.octets(name, 32) for name in SECRET_NAMES}
        derived = derive(secrets["identity"], "dozo/1 structure id", b"", 32)
        require(derived == secrets["structure_identity"], "credential: the structure identity key is another")
        domains[place] = secrets
    return Credential(body.octets("repository", 16), owner, owner_key, body.tuple("owner_head", "nh"), domains)


def parse_secret_file(data):
    """What a passphrase file may mean: {slot kind: secret}. One trailing newline is not part of a passphrase."""
    passphrase = data[:-1] if data.endswith(b"\n") else data
    secrets = {"passphrase": passphrase}
    groups = passphrase.split(b"-")
    digits = b"".join(groups[:8])
    if len(groups) == 9 and all(len(group) == 8 for group in groups) and not set(digits) - set(b"0123456789abcdef"):
        key = bytes.fromhex(digits.decode())
        if sha256(key).hex()[:8].encode() == groups[8]:
            secrets["recovery"] = key
    return secrets


def open_key_slots(store, secrets, report):
    """Tries every key slot; returns the first credential that opens and whose slot the owner signed."""
    refusals, tried = [], 0
    for name in store.key_slot_names():
        copies = store.copies(name)
        for _, data in copies:
            try:
                credential = _open_slot(data, name, secrets)
                if credential is not None:
                    store.tell(name, copies, data, report)
                    return credential
                tried += 1
            except Refusal as refusal:
                refusals.append(refusal)
                report(refusal)
    if refusals and not tried:
        raise refusals[0]
    raise WrongSecret("no key slot opens with this passphrase")


def _open_slot(data, name, secrets):
    slot = parse_small_object(data, name, KEY_SLOT)
    body = slot.body
    require(body.octets("slot", 16).hex() == name.split("/")[1], f"{name} is misplaced: it says another slot id")
    kind = body.text("kind")
    if kind not in ("passphrase", "recovery"):
        raise Unsupported(f"{name}: slots of kind {kind!r} are not known")
    body.text("label")
    sealed, salt = body.octets("sealed"), body.octets("salt", 32)
    if kind not in secrets:
        return None
    wrapping = scrypt(secrets[kind], salt, body.number("n"), body.number("r"), body.number("p"))
    open_part = cbor.encode({key: value for key, value in body.fields.items() if key != "sealed"})
    try:
        plain = aead_open(wrapping, ZERO_NONCE, sealed, slot.header.associated + open_part, name)
    except Damaged:
        return None  # another secret
    credential = parse_credential(plain)
    require(credential.repository == slot.header.repository, f"{name}: the credential is another repository's")
    slot.check_signature(credential.owner_key)
    return credential


def check_domain_keys(credential, domain, key_epoch, content_key, structure_key):
    """Compares the public keys of the owner chain with the private ones held; epochs not held are let through."""
    secrets = credential.domains.get((domain, key_epoch))
    if secrets is None:
        return
    for name, public_key in (("content_private", content_key), ("structure_private", structure_key)):
        fits = exchange_public_key(secrets[name]) == public_key
        require(fits, f"domain {domain}, key epoch {key_epoch}: {name} does not belong to the key of the owner chain")
