"""Request identity: the server signs what it sends, so that a deployment runs only what its own server asked
for.

Every request carries a fresh token, a compact JWT signed with Ed25519, that names the path and is good for a
minute (protocol, "Request identity"). The text is exactly `{"typ","alg","kid"}` and
`{"aud","exp","iat","nbf"}` with `"sub"` last for keyed targets, so tokens are the same bytes any other signer
of this protocol would make.

The audience is the path without the deployment's base path, because a deployment behind a proxy does not know
the prefix it is mounted under; both sides cut the path down to its known tail before comparing.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from holdfast.protocol.errors import IdentityError
from holdfast.protocol.manifest_json import is_object

SCHEME_HEADER = "x-restate-signature-scheme"
TOKEN_HEADER = "x-restate-jwt-v1"
SCHEME = "v1"
KEY_PREFIX = "publickeyv1_"

EXPIRES_AFTER_S = 60
VALID_BEFORE_S = 60
TOKEN_CHARS_MAX = 8192
TOKENS_CACHED_MAX = 1024

_PUBLIC_KEY_BYTES = 32
_PUBLIC_KEY_CHARS_MAX = 44
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class RequestSigner:
    """Signs requests with one Ed25519 key."""

    __slots__ = ("_header", "_key", "_tokens", "_tokens_s", "public_key_text")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key_text = KEY_PREFIX + base58_encode(key.public_key().public_bytes_raw())
        """What an SDK is configured with: `publickeyv1_...`."""
        self._header = _encoded({"typ": "JWT", "alg": "EdDSA", "kid": self.public_key_text})
        # Within one second, requests to one handler share a token; a signature costs more than all the rest.
        self._tokens: dict[tuple[str, str | None], str] = {}
        self._tokens_s = 0

    @classmethod
    def from_pem(cls, pem: bytes) -> "RequestSigner":
        """Reads an unencrypted PKCS#8 private key.

        Raises:
            ValueError: not such a key; says how to make one.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"request identity key is unreadable ({error}); {_HOW_TO_MAKE_A_KEY}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"request identity key is not Ed25519; {_HOW_TO_MAKE_A_KEY}")
        return cls(key)

    def headers(self, path: str, key: str | None, now_s: int) -> list[tuple[str, str]]:
        """The two headers that sign one request.

        Args:
            path: `/discover` or `/invoke/{service}/{handler}`, without the deployment's base path.
            key: the target's key as it is, not percent-encoded; None for plain services and discovery.
            now_s: seconds since the epoch.
        """
        if now_s != self._tokens_s or len(self._tokens) >= TOKENS_CACHED_MAX:
            self._tokens.clear()
            self._tokens_s = now_s
        token = self._tokens.get((path, key))
        if token is None:
            token = self._tokens[path, key] = self._sign(path, key, now_s)
        return [(SCHEME_HEADER, SCHEME), (TOKEN_HEADER, token)]

    def _sign(self, path: str, key: str | None, now_s: int) -> str:
        claims: dict[str, str | int] = {
            "aud": path,
            "exp": now_s + EXPIRES_AFTER_S,
            "iat": now_s,
            "nbf": now_s - VALID_BEFORE_S,
        }
        if key is not None:
            claims["sub"] = key
        signed = self._header + b"." + _encoded(claims)
        return (signed + b"." + _base64url(self._key.sign(signed))).decode("ascii")


class RequestVerifier:
    """Checks that requests were signed by one of the servers a deployment trusts.

    Args:
        public_key_texts: `publickeyv1_...`, one or more; several while a key is being replaced.
    Raises:
        ValueError: a text that is not such a key, or none at all (which would accept nothing).
    """

    __slots__ = ("_keys",)

    def __init__(self, public_key_texts: Iterable[str]) -> None:
        self._keys = [_public_key(text) for text in public_key_texts]
        if not self._keys:
            raise ValueError(f"request identity needs at least one public key ({KEY_PREFIX}...)")

    def verify(self, headers: Iterable[tuple[str, str]], path: str, now_s: int) -> None:
        """Accepts the request by returning.

        Args:
            headers: names in any case.
            path: as received, without the query.
            now_s: seconds since the epoch; no leeway is given.
        Raises:
            IdentityError: answer 401. The message is for the log, not for the caller.
        """
        scheme, token = _header_values(headers)
        if scheme != SCHEME:
            raise IdentityError(f"{SCHEME_HEADER} is {scheme!r}; expected {SCHEME!r}; has the server a key?")
        if token is None or len(token) > TOKEN_CHARS_MAX:
            raise IdentityError(f"{TOKEN_HEADER} is missing or longer than {TOKEN_CHARS_MAX} characters")
        parts = token.split(".")
        if len(parts) != 3:
            raise IdentityError("token has not three parts")
        header, claims, signature = map(_base64url_decoded, parts)
        if _json_object(header).get("alg") != "EdDSA":
            raise IdentityError("token is not signed with EdDSA")
        self._check_signature(signature, f"{parts[0]}.{parts[1]}".encode("ascii"))
        _check_claims(_json_object(claims), known_tail(path), now_s)

    def _check_signature(self, signature: bytes, signed: bytes) -> None:
        for key in self._keys:
            try:
                key.verify(signature, signed)
            except InvalidSignature:
                continue
            return
        raise IdentityError("token is signed with none of the configured keys; is this your server?")


def known_tail(path: str) -> str:
    """The part of a path that does not depend on where the deployment is mounted."""
    segments = path.split("/")
    if len(segments) >= 4 and segments[-3] == "invoke":
        return "/" + "/".join(segments[-3:])
    if len(segments) >= 2 and segments[-1] == "discover":
        return "/discover"
    return path


def base58_encode(raw: bytes) -> str:
    """Bytes in base 58, Bitcoin's alphabet; leading zero bytes are kept as ones."""
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def base58_decode(text: str) -> bytes:
    """The bytes of a base 58 text. Time grows with the square of the length; bound it first.

    Raises:
        ValueError: a character outside the alphabet.
    """
    number = 0
    for digit in text:
        number = number * 58 + _BASE58.index(digit)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


_HOW_TO_MAKE_A_KEY = "make one with: openssl genpkey -algorithm ed25519 -out identity.pem"


def _public_key(text: str) -> Ed25519PublicKey:
    body = text.removeprefix(KEY_PREFIX)
    if body != text and len(body) <= _PUBLIC_KEY_CHARS_MAX:
        try:
            raw = base58_decode(body)
        except ValueError:
            raw = b""
        if len(raw) == _PUBLIC_KEY_BYTES:
            return Ed25519PublicKey.from_public_bytes(raw)
    raise ValueError(f"{text[:80]!r} is not a public key; expected {KEY_PREFIX} and 32 bytes in base 58")


def _header_values(headers: Iterable[tuple[str, str]]) -> tuple[str | None, str | None]:
    """Scheme and token; a header that occurs twice counts as missing, since two readers may pick
    differently."""
    found: dict[str, str | None] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered in (SCHEME_HEADER, TOKEN_HEADER):
            found[lowered] = None if lowered in found else value
    return found.get(SCHEME_HEADER), found.get(TOKEN_HEADER)


def _check_claims(claims: dict[str, object], audience: str, now_s: int) -> None:
    if claims.get("aud") != audience:
        found = str(claims.get("aud"))[:200]
        raise IdentityError(f"token is for {found!r}, the request is for {audience[:200]!r}")
    expires, issued, not_before = (_number(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None or not_before is None:
        raise IdentityError("token lacks one of the times exp, iat, nbf")
    if not not_before <= now_s <= expires:
        raise IdentityError(f"token is valid from {not_before} to {expires}, now is {now_s}; check clocks")


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _json_object(content: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        raise IdentityError("token part is not JSON") from None
    if not is_object(value):
        raise IdentityError("token part is not a JSON object")
    return value


def _encoded(value: dict[str, str] | dict[str, str | int]) -> bytes:
    return _base64url(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


def _base64url_decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise IdentityError("token part is not base64url") from None
