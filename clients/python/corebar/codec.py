"""Messages as they are sent."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Callable, NamedTuple, Sequence, Union

Data = Union[str, bytes]


class Codec(NamedTuple):
    subprotocol: str
    encode: Callable[[Any], Data]
    decode: Callable[[Data], Any]


def _said(value: Any) -> Any:
    """Octets are text of U+0000 and base64 in JSON."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\0" + base64.b64encode(value).decode()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"JSON cannot say a value of the type {type(value).__name__}")


def _heard(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("\0"):
        try:
            return base64.b64decode(value[1:], validate=True)
        except binascii.Error:
            return value
    if isinstance(value, list):
        return [_heard(item) for item in value]
    if isinstance(value, dict):
        return {key: _heard(item) for key, item in value.items()}
    return value


def _decode_json(data: Data) -> Any:
    value = json.loads(data)
    # Few have octets.
    return _heard(value) if ("\\u0000" if isinstance(data, str) else b"\\u0000") in data else value  # type: ignore[operator]


def _json() -> Codec:
    def encode(message: Any) -> str:
        text = json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_said)
        if not text.isascii():
            # Half a surrogate pair is no text: who says it has to be told, not the connection.
            text.encode()
        return text

    return Codec("wamp.2.json", encode, _decode_json)


def _msgpack() -> Codec:
    import msgpack

    def decode(data: Data) -> Any:
        return msgpack.unpackb(data, raw=False, strict_map_key=False)

    return Codec("wamp.2.msgpack", lambda message: bytes(msgpack.packb(message, use_bin_type=True)), decode)


def _cbor() -> Codec:
    import cbor2

    def decode(data: Data) -> Any:
        return cbor2.loads(data if isinstance(data, bytes) else data.encode())

    return Codec("wamp.2.cbor", lambda message: bytes(cbor2.dumps(message)), decode)


_KNOWN = {"json": _json, "msgpack": _msgpack, "cbor": _cbor}


def codecs(names: Sequence[str]) -> dict[str, Codec]:
    """The codecs of these names, by subprotocol, the best first."""
    found: dict[str, Codec] = {}
    for name in names:
        maker = _KNOWN.get(name)
        if maker is None:
            raise ValueError(f"there is no serializer {name!r}: known are {', '.join(_KNOWN)}")
        try:
            codec = maker()
        except ImportError as error:
            raise ValueError(f"the serializer {name!r} needs a package: pip install 'corebar[{name}]'") from error
        found[codec.subprotocol] = codec
    if not found:
        raise ValueError("there has to be a serializer")
    return found
