"""The four kinds of bad news a reader has to tell apart (format page, section 14), each with its exit status."""


class Refusal(Exception):
    """Something is not read. `status` is the exit status of a program that ends because of it."""
    status = 1


class WrongSecret(Refusal):
    """No key slot opens with the secret that was given."""
    status = 5


class Damaged(Refusal):
    """Bytes are not what the format says they must be: missing, changed, misplaced or malformed."""
    status = 6


class Void(Refusal):
    """Sound, but by somebody who may not say it: skipped and reported, never waited for."""
    status = 6
    is_stranger = False  # whether nobody knows the key: then it may as well be damage


class Unsupported(Refusal):
    """Another version, an unknown critical bit or word, or parameters outside the bounds."""
    status = 7


def require(condition, sentence):
    """Raises `Damaged` with `sentence` unless `condition` holds."""
    if not condition:
        raise Damaged(sentence)
