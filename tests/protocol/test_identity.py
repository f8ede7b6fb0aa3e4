"""Signatures: the bytes other signers make, and every way a request can fail to be ours."""

import json
from base64 import urlsafe_b64encode
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.errors import IdentityError
from holdfast.protocol.identity import (
    RequestSigner,
    RequestVerifier,
    base58_decode,
    base58_encode,
    known_tail,
)
from protocol.vectors import load

IDENTITY = load("identity")
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(IDENTITY["private_seed_hex"]))
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SIGNER = RequestSigner.from_pem(PEM)
VERIFIER = RequestVerifier([IDENTITY["public_key"]])
NOW_S = 1_795_371_005


def test_the_public_key_is_written_as_sdks_expect() -> None:
    assert SIGNER.public_key_text == IDENTITY["public_key"]
    assert (
        base58_decode(IDENTITY["public_key"].removeprefix("publickeyv1_")).hex() == IDENTITY["public_key_hex"]
    )


@pytest.mark.parametrize("vector", IDENTITY["vectors"], ids=lambda vector: vector["path"])
def test_tokens_are_the_same_bytes(vector: dict[str, str]) -> None:
    key = vector["x-restate-service-key"]
    headers = SIGNER.headers(vector["path"], unquote(key) if key else None, vector["jwt_claims"]["iat"])
    assert headers == [
        ("x-restate-signature-scheme", "v1"),
        ("x-restate-jwt-v1", vector["x-restate-jwt-v1"]),
    ]
    VERIFIER.verify(headers, vector["path"], vector["jwt_claims"]["iat"])


def test_a_token_is_good_from_a_minute_before_to_a_minute_after() -> None:
    headers = SIGNER.headers("/discover", None, NOW_S)
    for now_s in (NOW_S - 60, NOW_S, NOW_S + 60):
        VERIFIER.verify(headers, "/discover", now_s)
    for now_s in (NOW_S - 61, NOW_S + 61):
        with pytest.raises(IdentityError, match="check clocks"):
            VERIFIER.verify(headers, "/discover", now_s)


def test_the_mount_point_does_not_matter_and_the_target_does() -> None:
    headers = SIGNER.headers("/invoke/Greeter/greet", None, NOW_S)
    for path in ("/invoke/Greeter/greet", "/api/v2/invoke/Greeter/greet"):
        VERIFIER.verify(headers, path, NOW_S)
    for path in ("/invoke/Greeter/other", "/invoke/Greeter/greet/", "/discover", "/", ""):
        with pytest.raises(IdentityError, match="token is for '/invoke/Greeter/greet'"):
            VERIFIER.verify(headers, path, NOW_S)
    assert known_tail("/x/discover") == "/discover"
    assert known_tail("discover") == "discover"
    assert known_tail("/invoke/a/b/c") == "/invoke/a/b/c"


def test_any_of_several_keys_will_do() -> None:
    other = RequestSigner(Ed25519PrivateKey.generate())
    headers = other.headers("/discover", None, NOW_S)
    RequestVerifier([SIGNER.public_key_text, other.public_key_text]).verify(headers, "/discover", NOW_S)
    with pytest.raises(IdentityError, match="none of the configured keys"):
        VERIFIER.verify(headers, "/discover", NOW_S)


def test_header_names_may_have_any_case_but_not_occur_twice() -> None:
    headers = [(name.title(), value) for name, value in SIGNER.headers("/discover", None, NOW_S)]
    VERIFIER.verify(headers, "/discover", NOW_S)
    with pytest.raises(IdentityError):
        VERIFIER.verify([*headers, headers[0]], "/discover", NOW_S)
    with pytest.raises(IdentityError):
        VERIFIER.verify([*headers, headers[1]], "/discover", NOW_S)


def token(header: object, claims: object, key: Ed25519PrivateKey = KEY) -> list[tuple[str, str]]:
    """A signed token with whatever inside."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signed = b".".join(parts)
    signature = urlsafe_b64encode(key.sign(signed)).rstrip(b"=")
    return [("x-restate-signature-scheme", "v1"), ("x-restate-jwt-v1", (signed + b"." + signature).decode())]


GOOD_CLAIMS = {"aud": "/discover", "exp": NOW_S + 60, "iat": NOW_S, "nbf": NOW_S - 60}


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([], "scheme is None"),
        ([("x-restate-signature-scheme", "unsigned")], "scheme is 'unsigned'"),
        ([("x-restate-signature-scheme", "v1")], "is missing"),
        ([("x-restate-signature-scheme", "v1"), ("x-restate-jwt-v1", "x" * 9000)], "longer than"),
        ([("x-restate-signature-scheme", "v1"), ("x-restate-jwt-v1", "a.b")], "three parts"),
        ([("x-restate-signature-scheme", "v1"), ("x-restate-jwt-v1", "a.b.c")], "not base64url"),
        ([("x-restate-signature-scheme", "v1"), ("x-restate-jwt-v1", "é.b.c")], "not base64url"),
        ([("x-restate-signature-scheme", "v1"), ("x-restate-jwt-v1", "AAAA.AAAA.AAAA")], "not JSON"),
        (token([], GOOD_CLAIMS), "not a JSON object"),
        (token({"alg": "none"}, GOOD_CLAIMS), "not signed with EdDSA"),
        (token({"alg": "EdDSA"}, GOOD_CLAIMS, Ed25519PrivateKey.generate()), "none of the configured keys"),
        (token({"alg": "EdDSA"}, []), "not a JSON object"),
        (token({"alg": "EdDSA"}, {**GOOD_CLAIMS, "aud": ["/discover"]}), "token is for"),
        (token({"alg": "EdDSA"}, {**GOOD_CLAIMS, "exp": None}), "lacks one of the times"),
        (token({"alg": "EdDSA"}, {**GOOD_CLAIMS, "iat": "now"}), "lacks one of the times"),
        (token({"alg": "EdDSA"}, {**GOOD_CLAIMS, "nbf": True}), "lacks one of the times"),
        (token({"alg": "EdDSA"}, {**GOOD_CLAIMS, "exp": float("nan")}), "token is valid from"),
    ],
)
def test_what_is_not_ours_is_refused(headers: list[tuple[str, str]], problem: str) -> None:
    with pytest.raises(IdentityError, match=problem) as refusal:
        VERIFIER.verify(headers, "/discover", NOW_S)
    assert refusal.value.code == "unauthorized"


def test_the_crafted_tokens_fail_for_their_reason_only() -> None:
    VERIFIER.verify(token({"alg": "EdDSA"}, GOOD_CLAIMS), "/discover", NOW_S)


@given(st.text(max_size=60), st.text(".aAbB_-=", max_size=60))
def test_any_headers_are_accepted_or_refused(scheme: str, jwt: str) -> None:
    for value in (scheme, "v1"):
        with pytest.raises(IdentityError):
            VERIFIER.verify(
                [("x-restate-signature-scheme", value), ("x-restate-jwt-v1", jwt)], "/discover", NOW_S
            )


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_key_can_be_a_subject(key: str) -> None:
    VERIFIER.verify(SIGNER.headers("/invoke/S/h", key, NOW_S), "/invoke/S/h", NOW_S)


def test_the_cache_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.protocol.identity.TOKENS_CACHED_MAX", 3)
    signer = RequestSigner.from_pem(PEM)
    first = signer.headers("/invoke/S/0", None, NOW_S)
    for number in range(10):
        headers = signer.headers(f"/invoke/S/{number}", None, NOW_S)
        VERIFIER.verify(headers, f"/invoke/S/{number}", NOW_S)
    assert signer.headers("/invoke/S/0", None, NOW_S) == first
    assert signer.headers("/invoke/S/0", None, NOW_S + 1) != first


def test_other_keys_are_refused_with_a_way_to_make_one() -> None:
    encrypted = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    elliptic = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for pem in (b"", b"not a key", encrypted, elliptic):
        with pytest.raises(ValueError, match="openssl genpkey -algorithm ed25519"):
            RequestSigner.from_pem(pem)


@pytest.mark.parametrize(
    "text", ["", "publickeyv1_", "publickeyv1_0OIl", "publickeyv1_" + "1" * 31, "z" * 500]
)
def test_a_wrong_public_key_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValueError, match="is not a public key"):
        RequestVerifier([text])


def test_a_verifier_without_keys_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one public key"):
        RequestVerifier([])


@given(st.binary(max_size=40))
def test_base58_round_trip(raw: bytes) -> None:
    assert base58_decode(base58_encode(raw)) == raw
