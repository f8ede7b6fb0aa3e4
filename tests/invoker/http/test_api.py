"""Deployment URIs: what they mean, and what is refused with a reason."""

from __future__ import annotations

import pytest

from holdfast.invoker.http import Endpoint


@pytest.mark.parametrize(
    ("uri", "host", "port", "base_path", "authority"),
    [
        ("http://localhost:9080", "localhost", 9080, "", "localhost:9080"),
        ("http://localhost:9080/", "localhost", 9080, "", "localhost:9080"),
        ("http://LOCALHOST", "localhost", 80, "", "localhost"),
        ("https://fn.example.com/restate/v1/", "fn.example.com", 443, "/restate/v1", "fn.example.com"),
        ("https://fn.example.com:8443", "fn.example.com", 8443, "", "fn.example.com:8443"),
        ("http://[::1]:9080/x", "::1", 9080, "/x", "[::1]:9080"),
    ],
)
def test_uris_are_taken_apart(uri: str, host: str, port: int, base_path: str, authority: str) -> None:
    endpoint = Endpoint.parse(uri, http11=False)
    assert (endpoint.host, endpoint.port, endpoint.base_path) == (host, port, base_path)
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("localhost:9080", "http://"),
        ("ftp://host", "http://"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://user:secret@host", "credentials"),
        ("http://host?x=1", "query"),
        ("http://host#x", "fragment"),
        ("http://host:99999", "port"),
        ("http://host:0", "port 0"),
        ("http://host:abc", "port"),
        ("http://ho st", "space"),
        ("http://host/\r\nx: y", "control"),
        ("http://hóst", "ASCII"),
        ("http://[::1", "bad host"),
        ("", "http://"),
    ],
)
def test_what_is_no_deployment_address_is_refused_with_a_reason(uri: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        Endpoint.parse(uri, http11=False)
    assert "secret" not in str(caught.value)


def test_equal_endpoints_are_one_key() -> None:
    one, other = (Endpoint.parse("http://h:1/x", http11=False) for _ in range(2))
    assert len({one, other}) == 1
    assert one != Endpoint.parse("http://h:1/x", http11=True)
