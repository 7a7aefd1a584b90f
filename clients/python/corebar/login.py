"""What a client says and answers to be let in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import inspect
import secrets
import stringprep
import unicodedata
from typing import Any, Awaitable, Callable, Mapping, Optional, Sequence, Union

from .errors import LoginError

# A router must not make a client work for longer than this.
ROUNDS_MAX = 10_000_000
MEMORY_KIB_MAX = 1 << 20

Lazy = Union[str, bytes, Callable[[], Any]]
"""A value, or a function that gives it for each attempt to log in."""
Answer = Callable[[Mapping[str, Any]], Union[str, Awaitable[str]]]
"""Takes `CHALLENGE.Extra` and gives the signature."""


async def value_of(given: Any) -> Any:
    """A value that may be a function, also an asynchronous one."""
    value = given() if callable(given) else given
    return await value if inspect.isawaitable(value) else value


class Login:
    """One attempt to log in. Deriving a key takes long: `answer` is for a thread, unless `auth` has the method."""

    def __init__(
        self,
        authid: Optional[str],
        secrets_: Mapping[str, Any],
        auth: Mapping[str, Answer],
        authmethods: Optional[Sequence[str]],
        authextra: Mapping[str, Any],
    ) -> None:
        """`secrets_` has the methods and what each of them shows, the best first."""
        self.authid = authid
        self.known = {method: secret for method, secret in secrets_.items() if secret is not None}
        self.auth = auth
        self.offered = list(authmethods) if authmethods is not None else [*self.known, *(m for m in auth if m not in self.known)]
        self.extra = dict(authextra)
        # What the router has to show in WELCOME: the name, and the value.
        self.verifier: Optional[tuple[str, str]] = None
        if "cryptosign" in self.offered and "cryptosign" in self.known:
            self.extra.setdefault("pubkey", _pair(self.known["cryptosign"])[1].hex())
        if any("scram" in method for method in self.offered):
            self.extra.setdefault("nonce", base64.b64encode(secrets.token_bytes(16)).decode())

    def details(self) -> dict[str, Any]:
        """For HELLO."""
        said: dict[str, Any] = {}
        if self.authid is not None:
            said["authid"] = self.authid
        if self.offered:
            said["authmethods"] = self.offered
        if self.extra:
            said["authextra"] = self.extra
        return said

    def answer(self, method: str, challenge: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The signature and the extra of AUTHENTICATE."""
        if method not in self.offered or method not in self.known:
            raise LoginError(f"the router asks for {method!r}, which was not offered")
        secret = self.known[method]
        if method == "wampcra":
            return _cra(secret, challenge), {}
        if method == "cryptosign":
            return _sign(secret, challenge), {}
        if method in ("wamp-scram", "scram"):
            crossbar = method == "scram"
            signature, shown = _scram(secret, challenge, self.authid or "", self.extra["nonce"], crossbar)
            self.verifier = ("scram_server_signature", shown) if crossbar else ("verifier", f"v={shown}")
            return signature, {} if crossbar else {"nonce": challenge["nonce"], "channel_binding": None, "cbind_data": None}
        return str(secret), {}

    def confirm(self, details: Mapping[str, Any]) -> None:
        """Looks whether the router has shown that it knows the password, too."""
        shown = details.get("authextra")
        known = self.verifier is None or (isinstance(shown, dict) and shown.get(self.verifier[0]) == self.verifier[1])
        if not known:
            raise LoginError("the router has not shown that it knows the password")


def _octets(text: Union[str, bytes]) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _text(challenge: Mapping[str, Any], name: str) -> str:
    value = challenge.get(name)
    if not isinstance(value, str):
        raise LoginError(f"the challenge has no {name!r}")
    return value


def _number(challenge: Mapping[str, Any], name: str, most: int, default: Optional[int] = None) -> int:
    value = challenge.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise LoginError(f"the challenge has {name!r} that cannot be taken")
    return value


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def _cra(secret: Union[str, bytes], challenge: Mapping[str, Any]) -> str:
    key = _octets(secret)
    if challenge.get("salt"):
        rounds = _number(challenge, "iterations", ROUNDS_MAX, 1000)
        length = _number(challenge, "keylen", 64, 32)
        salt = _text(challenge, "salt").encode()
        key = base64.b64encode(hashlib.pbkdf2_hmac("sha256", key, salt, rounds, length))
    return base64.b64encode(_hmac(key, _text(challenge, "challenge").encode())).decode()


def _seed(given: Union[str, bytes]) -> bytes:
    try:
        seed = bytes.fromhex(given.strip()) if isinstance(given, str) else bytes(given)
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise LoginError("a private key of Ed25519 is 32 octets, or these as 64 hexadecimal digits")
    return seed


def _pair(given: Union[str, bytes]) -> tuple[Callable[[bytes], bytes], bytes]:
    """What signs with this key, and the public key."""
    seed = _seed(given)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    except ImportError as error:
        raise LoginError("cryptosign needs a package: pip install 'corebar[cryptosign]'") from error
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key.sign, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _sign(given: Union[str, bytes], challenge: Mapping[str, Any]) -> str:
    if challenge.get("channel_binding"):
        raise LoginError("the router asks for a channel binding that was not offered")
    try:
        message = bytes.fromhex(_text(challenge, "challenge"))
    except ValueError:
        message = b""
    if len(message) != 32:
        raise LoginError("the challenge is not 32 octets in hexadecimal digits")
    return _pair(given)[0](message).hex() + message.hex()


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _scram(
    password: Union[str, bytes], challenge: Mapping[str, Any], authid: str, own: str, crossbar: bool
) -> tuple[str, str]:
    """The proof of the client, and what the router has to show. Crossbar.io joins the nonces before it writes them in base64,
    and signs without a channel binding."""
    nonce, salt = _text(challenge, "nonce"), _text(challenge, "salt")
    both, mine = (_unbase64(nonce), _unbase64(own)) if crossbar else (nonce.encode(), own.encode())
    if not both.startswith(mine) or both == mine:
        raise LoginError("the nonce of the router does not begin with that of the client")
    try:
        raw_salt = base64.b64decode(salt)
    except binascii.Error as error:
        raise LoginError("the challenge has a salt that is not base64") from error
    rounds = _number(challenge, "iterations", ROUNDS_MAX)
    prepared = _saslprep(password.decode() if isinstance(password, bytes) else password).encode()
    kdf = challenge.get("kdf")
    if kdf == "pbkdf2":
        salted = hashlib.pbkdf2_hmac("sha256", prepared, raw_salt, rounds)
    elif kdf in ("argon2id13", "argon2id-13"):
        salted = _argon2(prepared, raw_salt, rounds, _number(challenge, "memory", MEMORY_KIB_MAX))
    else:
        raise LoginError(f"the router derives keys with {kdf!r}, which is not known here")
    name, binding = _saslprep(authid), ""
    if not crossbar:
        name, binding = name.replace("=", "=3D").replace(",", "=2C"), "biws"
    message = f"n={name},r={own},r={nonce},s={salt},i={rounds},c={binding},r={nonce}".encode()
    client = _hmac(salted, b"Client Key")
    signature = _hmac(hashlib.sha256(client).digest(), message)
    proof = bytes(one ^ other for one, other in zip(client, signature))
    server = _hmac(_hmac(salted, b"Server Key"), message)
    return base64.b64encode(proof).decode(), base64.b64encode(server).decode()


def _argon2(password: bytes, salt: bytes, rounds: int, memory: int) -> bytes:
    try:
        from argon2.low_level import Type, hash_secret_raw
    except ImportError as error:
        raise LoginError("the router derives keys with Argon2: pip install 'corebar[argon2]'") from error
    if rounds * memory > ROUNDS_MAX:
        raise LoginError("the challenge asks for more work than is reasonable")
    key = hash_secret_raw(password, salt, rounds, memory, parallelism=1, hash_len=32, type=Type.ID, version=0x13)
    # As autobahn has it, and so all others: the text, not the octets.
    return base64.b64encode(key).rstrip(b"=")


def _saslprep(text: str) -> str:
    """RFC 4013, without the rules about the direction of writing."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    mapped = unicodedata.normalize("NFKC", mapped)
    tables = (
        stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
        stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9,
    )  # fmt: skip
    if any(table(c) for c in mapped for table in tables):
        raise LoginError("authid or password have characters that SCRAM does not allow")
    return mapped
