"""How the built files of the UI are served: which file a path means, what is cached, what a page may do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from holdfast.admin.ui import Ui

PAGE = "<!doctype html><title>Holdfast</title>"
SCRIPT = "console.log('a script, long enough to be worth compressing');\n" * 40


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "theme.js").write_text("// early")
    (folder / "assets" / "index-Ab12.js").write_text(SCRIPT)
    return folder


def get(build: Path, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=[Mount("/ui", Ui(build))]))
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=named)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/ui/", "/ui/services", "/ui/invocations/inv_1abc", "/ui/invocations/a.b"])
def test_every_address_of_the_ui_is_its_page(build: Path, path: str) -> None:
    """An address somebody was sent opens where it was copied."""
    answer = get(build, path)
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


def test_hashed_files_may_be_kept_for_ever_and_are_sent_small(build: Path) -> None:
    answer = get(build, "/ui/assets/index-Ab12.js", accept_encoding="gzip")
    assert answer.text == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) < len(SCRIPT) / 4
    plain = get(build, "/ui/assets/index-Ab12.js", accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT


def test_what_is_known_already_is_not_sent_again(build: Path) -> None:
    tag = get(build, "/ui/theme.js").headers["etag"]
    assert get(build, "/ui/theme.js", if_none_match=tag).status_code == 304


@pytest.mark.parametrize("path", ["/ui/assets/index-Old.js", "/ui/favicon.ico", "/ui/assets/"])
def test_a_file_that_is_gone_is_not_answered_with_a_page(build: Path, path: str) -> None:
    assert get(build, path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/ui/../pyproject.toml", "/ui/%2e%2e/%2e%2e/etc/passwd", "/ui/assets/..%2f..%2fx"]
)
def test_nothing_outside_the_build_is_served(build: Path, path: str) -> None:
    (build.parent / "pyproject.toml").write_text("secret")
    answer = get(build, path)
    assert "secret" not in answer.text
    assert answer.status_code == 404 or answer.text == PAGE


@pytest.mark.parametrize("path", ["/ui/", "/ui/assets/index-Ab12.js", "/ui/assets/gone.js"])
def test_every_answer_keeps_a_page_from_running_or_framing_what_is_not_ours(build: Path, path: str) -> None:
    headers = get(build, path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_only_reading_is_possible(build: Path) -> None:
    assert get(build, "/ui/", "POST").status_code == 405
    head = get(build, "/ui/", "HEAD")
    assert (head.status_code, head.content) == (200, b"")


def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    answer = get(tmp_path / "nothing", "/ui/")
    assert answer.status_code == 200
    assert "make ui" in answer.text
    assert get(tmp_path / "nothing", "/ui/assets/index.js").status_code == 404
