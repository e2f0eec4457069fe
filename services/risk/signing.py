"""Ed25519 keys in files: one signs the journal's checkpoints, its public half proves them."""

import os
import stat
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

_RAW_BYTES = 32
# A file longer than this holds no Ed25519 key.
_MOST_BYTES = 10_000


class SigningKeyError(Exception):
    """A key file cannot be used, and why; its content is never shown."""


class PublicKey:
    """A public key; its id is the first 16 hex digits of the SHA-256 of its 32 bytes."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.key_id = sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature of a message was made with the private half."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> str:
        """Return the text of a public key file."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


class SigningKey:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())
        self.key_id = self.public.key_id

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self._key.sign(message)


def create_signing_key(path: Path) -> PublicKey:
    """Make a key in a new file of mode 0600; return its public half. Raises OSError, where the file exists too."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # Half a key would stand in the way of the next try.
        path.unlink(missing_ok=True)
        raise
    return PublicKey(key.public_key())


def load_signing_key(path: Path) -> SigningKey:
    """Read a private key, PEM or its 32 bytes. Raises SigningKeyError, where others than its owner may read it too."""
    content, mode = _content(path)
    if mode & 0o077:
        raise SigningKeyError(f"{path} has mode {mode:04o}: others may use the key; it must be 0600")
    try:
        key = (
            Ed25519PrivateKey.from_private_bytes(content)
            if len(content) == _RAW_BYTES
            else load_pem_private_key(content, password=None)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{path} holds no unencrypted Ed25519 private key")
    return SigningKey(key)


def load_public_key(path: Path) -> PublicKey:
    """Read a public key, PEM or its 32 bytes. Raises SigningKeyError."""
    content, _ = _content(path)
    try:
        key = (
            Ed25519PublicKey.from_public_bytes(content) if len(content) == _RAW_BYTES else load_pem_public_key(content)
        )
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyError(f"{path} holds no Ed25519 public key")
    return PublicKey(key)


def _content(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            # Of the open file, not of the name: another file could stand there a moment later.
            return file.read(_MOST_BYTES), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise SigningKeyError(f"{path} cannot be read ({error.strerror})") from None
