"""Stories of registrations: what callers get, what stays for invocations in flight, what a restart keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.catalog.catalog import Catalog, Registration
from holdfast.catalog.contents import Change, Contents, Discovered
from holdfast.catalog.contents import register as register_rule
from holdfast.catalog.contents import remove as remove_rule
from holdfast.catalog.errors import RegistrationRefused
from holdfast.catalog.model import Mode
from holdfast.catalog.settings import Patch
from holdfast.core.model import TargetKind
from holdfast.invoker.http.api import Endpoint
from holdfast.protocol.manifest import ServiceType

from .support import discovered, handler, service

OLD, NEW = "http://old:9080", "http://new:9080"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta.sqlite"


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(path, 1)
    yield opened
    opened.close()


def register(
    catalog: Catalog, found: Discovered, *, force: bool = False, breaking: bool = False, dry_run: bool = False
) -> Registration:
    return catalog.register(found, force=force, breaking=breaking, dry_run=dry_run, now_ms=1000)


def test_a_registered_handler_can_be_called(catalog: Catalog) -> None:
    registration = register(catalog, discovered(service("Greeter", handler("greet"))))
    assert registration.change is Change.CREATED
    found = catalog.handler("Greeter", "greet")
    assert found is not None
    assert (found.kind, found.deployment) == (TargetKind.SERVICE, registration.deployment.id)
    assert catalog.handler("Greeter", "other") is None
    assert catalog.handler("Other", "greet") is None
    assert catalog.service_type("Greeter") is ServiceType.SERVICE
    assert catalog.service_names() == ["Greeter"]


def test_a_new_deployment_gets_new_invocations_and_the_old_one_keeps_its_own(catalog: Catalog) -> None:
    old = register(catalog, discovered(service("S", handler("a", inactivityTimeout=1)), uri=OLD)).deployment
    new = register(catalog, discovered(service("S", handler("a", inactivityTimeout=2)), uri=NEW)).deployment
    current, pinned = catalog.handler("S", "a"), catalog.pinned_handler(old.id, "S", "a")
    assert current is not None
    assert pinned is not None
    assert (current.deployment, current.inactivity_timeout_ms) == (new.id, 2)
    assert (pinned.deployment, pinned.inactivity_timeout_ms) == (old.id, 1)
    assert catalog.latest_deployment("S") == new
    assert [s.revision for s in catalog.services_of(old.id)] == [1]
    assert [s.revision for s in catalog.services()] == [2]


def test_registering_the_same_again_changes_nothing(catalog: Catalog) -> None:
    first = register(catalog, discovered(service("S", handler("a"), handler("b")), uri=OLD))
    register(catalog, discovered(service("S"), uri=NEW))
    again = register(catalog, discovered(service("S", handler("b"), handler("a")), uri=OLD))
    assert (again.change, again.deployment) == (Change.UNCHANGED, first.deployment)
    latest = catalog.latest_deployment("S")
    assert latest is not None
    assert latest.uri == f"{NEW}/", "registering an old deployment again does not roll back"


def test_a_known_address_is_left_alone_without_force(catalog: Catalog) -> None:
    first = register(catalog, discovered(service("S"), service("Gone"), uri=OLD))
    changed = discovered(service("S", handler("other")), uri=OLD)
    again = register(catalog, changed, breaking=True)
    assert (again.change, again.deployment, again.services) == (
        Change.UNCHANGED,
        first.deployment,
        first.services,
    )
    assert catalog.at(changed.endpoint) == again
    assert catalog.at(Endpoint.parse(NEW, http11=False)) is None
    overwritten = register(catalog, changed, force=True)
    assert (overwritten.change, overwritten.deployment.id) == (Change.OVERWRITTEN, first.deployment.id)
    assert [(s.name, s.revision) for s in catalog.services()] == [("S", 2)]
    assert catalog.handler("S", "other") is not None
    assert catalog.handler("Gone", "run") is None


@pytest.mark.parametrize("uri", [OLD, f"{OLD}/", "HTTP://OLD:9080", "http://old:9080//"])
def test_an_address_is_known_however_it_is_written(catalog: Catalog, uri: str) -> None:
    register(catalog, discovered(service("S"), uri=OLD))
    assert register(catalog, discovered(service("S"), uri=uri)).change is Change.UNCHANGED


def test_force_keeps_headers_and_metadata_unless_new_ones_are_given(catalog: Catalog) -> None:
    first = discovered(service("S"), uri=OLD, headers=(("a", "1"),), metadata={"commit": "x"})
    register(catalog, first)
    kept = register(catalog, discovered(service("S"), uri=OLD), force=True).deployment
    assert (kept.additional_headers, kept.metadata) == ((("a", "1"),), {"commit": "x"})
    cleared = register(catalog, discovered(service("S"), uri=OLD, headers=()), force=True).deployment
    assert cleared.additional_headers == ()


@pytest.mark.parametrize("allowed", ["force", "breaking"])
def test_a_service_keeps_its_type_unless_told_otherwise(catalog: Catalog, allowed: str) -> None:
    register(catalog, discovered(service("S"), uri=OLD))
    changed = discovered(service("S", ty="VIRTUAL_OBJECT"), uri=NEW)
    with pytest.raises(RegistrationRefused, match="breaking") as refused:
        register(catalog, changed)
    assert refused.value.code == "META0006"
    assert catalog.service_type("S") is ServiceType.SERVICE
    register(catalog, changed, force=allowed == "force", breaking=allowed == "breaking")
    assert catalog.service_type("S") is ServiceType.VIRTUAL_OBJECT


def test_a_handler_may_go(catalog: Catalog) -> None:
    register(catalog, discovered(service("S", handler("a"), handler("b")), uri=OLD))
    register(catalog, discovered(service("S", handler("a")), uri=NEW))
    assert catalog.handler("S", "b") is None


def test_a_dry_run_tells_and_does_nothing(catalog: Catalog, path: Path) -> None:
    told = register(catalog, discovered(service("S")), dry_run=True)
    assert [s.revision for s in told.services] == [1]
    assert catalog.deployments() == []
    catalog.close()
    assert Catalog.open(path).deployments() == []


def test_deleting_the_latest_deployment_goes_back_to_the_one_before(catalog: Catalog) -> None:
    old = register(catalog, discovered(service("S"), uri=OLD)).deployment
    new = register(catalog, discovered(service("S"), service("T"), uri=NEW)).deployment
    assert catalog.delete_deployment(new.id)
    assert not catalog.delete_deployment(new.id)
    assert catalog.latest_deployment("S") == old
    assert catalog.handler("T", "run") is None
    assert catalog.pinned_handler(new.id, "S", "run") is None
    back = register(catalog, discovered(service("S"), uri=NEW))
    assert [s.revision for s in back.services] == [3], "a revision number is never used twice"


def test_overwriting_without_a_service_goes_back_too(catalog: Catalog) -> None:
    old = register(catalog, discovered(service("S"), uri=OLD)).deployment
    register(catalog, discovered(service("S"), uri=NEW))
    register(catalog, discovered(service("T"), uri=NEW), force=True)
    assert catalog.latest_deployment("S") == old


def test_deleting_an_older_deployment_leaves_the_service(catalog: Catalog) -> None:
    old = register(catalog, discovered(service("S"), uri=OLD)).deployment
    new = register(catalog, discovered(service("S"), uri=NEW)).deployment
    catalog.delete_deployment(old.id)
    assert catalog.latest_deployment("S") == new


def test_a_patch_lasts_until_the_next_revision(catalog: Catalog) -> None:
    old = register(catalog, discovered(service("S"), uri=OLD)).deployment
    assert catalog.patch_service("Nope", Patch(public=False)) is None
    catalog.patch_service("S", Patch(public=False, journal_retention_ms=5))
    patched = catalog.patch_service("S", Patch(journal_retention_ms=6))
    assert patched is not None
    assert (patched.settings.public, patched.settings.journal_retention_ms) == (False, 6)
    register(catalog, discovered(service("S"), uri=NEW))
    current, pinned = catalog.handler("S", "run"), catalog.pinned_handler(old.id, "S", "run")
    assert current is not None
    assert pinned is not None
    assert (current.public, pinned.public) == (True, False)


def test_a_deployment_can_move(catalog: Catalog) -> None:
    id_ = register(catalog, discovered(service("S", handler("run", abortTimeout=1)), uri=OLD)).deployment.id
    register(catalog, discovered(service("T"), uri=NEW))
    third = discovered(service("S"), service("U"), uri="http://third:1", headers=(("k", "v"),))
    moved = catalog.move_deployment(id_, third)
    assert moved is not None
    assert catalog.deployment(id_) == moved.deployment
    assert (moved.deployment.endpoint, moved.deployment.additional_headers) == (third.endpoint, (("k", "v"),))
    assert [(s.name, s.revision) for s in moved.services] == [("S", 1)], "what it serves stays as registered"
    assert moved.services[0].handlers["run"].abort_timeout_ms == 1
    with pytest.raises(RegistrationRefused) as refused:
        catalog.move_deployment(id_, discovered(service("S"), uri=NEW))
    assert refused.value.code == "META0004"
    assert catalog.move_deployment("dp_other", third) is None


def test_headers_can_change(catalog: Catalog) -> None:
    id_ = register(catalog, discovered(service("S"), uri=OLD, headers=(("k", "v"),))).deployment.id
    catalog.patch_deployment(id_, (("other", "w"),), dry_run=True)
    unchanged = catalog.deployment(id_)
    assert unchanged is not None
    assert unchanged.additional_headers == (("k", "v"),)
    changed = catalog.patch_deployment(id_, (("other", "w"),))
    assert changed is not None
    assert catalog.deployment(id_) == changed.deployment
    assert changed.deployment.additional_headers == (("other", "w"),)


def test_http11_streams_when_the_deployment_says_that_it_can(catalog: Catalog) -> None:
    """Chunked bodies both ways at once are within HTTP/1.1, and several Python servers do it."""
    streaming = discovered(service("S"), uri=OLD)
    older = dataclasses.replace(streaming, endpoint=Endpoint.parse(OLD, http11=True), http_version="HTTP/1.1")
    assert register(catalog, older).deployment.mode is Mode.BIDI_STREAM


def test_a_deployment_can_be_discovered_again_in_place(catalog: Catalog) -> None:
    id_ = register(catalog, discovered(service("S"), service("Lost"), uri=OLD)).deployment.id
    catalog.patch_service("S", Patch(public=False))
    other = discovered(service("S", handler("run"), handler("more")), service("New"), uri=OLD)
    assert catalog.rediscover(id_, other, dry_run=True) is not None
    assert catalog.service_names() == ["Lost", "S"]
    updated = catalog.rediscover(id_, other)
    assert updated is not None
    assert [(s.name, s.revision) for s in catalog.services()] == [("New", 1), ("S", 1)]
    more = catalog.handler("S", "more")
    assert more is not None
    assert not more.public, "no new revision, so the patch stays"
    assert catalog.rediscover("dp_other", other) is None


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (discovered(service("T"), uri=NEW), "no longer serves 'S'"),
        (discovered(service("S", ty="VIRTUAL_OBJECT"), uri=NEW), "VIRTUAL_OBJECT"),
        (discovered(service("S", handler("other")), uri=NEW), "S/run"),
        (discovered(service("S"), uri=NEW, versions=(6, 7)), "versions 6 to 7"),
        (discovered(service("S"), uri=NEW, versions=(5, 6)), "versions 5 to 6"),
    ],
)
def test_what_invocations_in_flight_need_must_be_at_the_new_address(
    catalog: Catalog, answer: Discovered, problem: str
) -> None:
    id_ = register(catalog, discovered(service("S"), uri=OLD)).deployment.id
    with pytest.raises(RegistrationRefused, match=problem) as refused:
        catalog.move_deployment(id_, answer)
    assert refused.value.code == "META0016"


def test_journals_written_in_a_version_must_stay_readable(catalog: Catalog) -> None:
    id_ = register(catalog, discovered(service("S"), uri=OLD)).deployment.id
    with pytest.raises(RegistrationRefused, match="versions 6 to 7") as refused:
        catalog.rediscover(id_, discovered(service("S"), uri=OLD, versions=(6, 7)))
    assert refused.value.code == "META0016"


def test_a_restart_keeps_everything(catalog: Catalog, path: Path) -> None:
    old = discovered(service("S"), service("W", handler("go", ty="WORKFLOW"), ty="WORKFLOW"), uri=OLD)
    first = register(catalog, old).deployment
    register(catalog, discovered(service("S"), uri=NEW, headers=(("k", "v"),), metadata={"commit": "x"}))
    third = register(catalog, discovered(service("Gone"), uri="http://gone")).deployment
    catalog.patch_service("S", Patch(public=False, inactivity_timeout_ms=7))
    catalog.delete_deployment(third.id)
    catalog.close()
    again = Catalog.open(path, 1)
    assert again.deployments() == catalog.deployments()
    assert again.services() == catalog.services()
    assert again.services_of(first.id) == catalog.services_of(first.id)
    assert [s.revision for s in register(again, discovered(service("Gone"), uri="http://gone")).services] == [
        2
    ]
    again.close()


SERVICES = st.sets(st.sampled_from("ABC"), min_size=1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), st.sampled_from([OLD, NEW, "http://third"]), SERVICES),
        st.tuples(st.just("remove"), st.integers(0, 2), st.just(frozenset[str]())),
    ),
    max_size=12,
)


@given(steps=STEPS)
@settings(max_examples=60)
def test_new_invocations_go_to_the_newest_revision_that_is_left(
    steps: list[tuple[str, str | int, set[str]]],
) -> None:
    """Goal: which code runs follows from the order of registrations alone, whatever operators do."""
    contents, highest = Contents(), dict[str, int]()
    for step, (what, where, names) in enumerate(steps):
        if what == "register":
            found = discovered(*(service(name) for name in sorted(names)), uri=str(where))
            contents, added, _ = register_rule(
                contents, found, new_id=f"dp_{step}", force=True, breaking=False, now_ms=step
            )
            for name in names:
                assert added.revisions[name].number == highest.get(name, 0) + 1
                highest[name] = added.revisions[name].number
                assert contents.current(name) is added
        elif contents.deployments:
            ids = list(contents.deployments)
            contents = remove_rule(contents, ids[int(where) % len(ids)])
        left = {name for registered in contents.deployments.values() for name in registered.revisions}
        assert contents.latest.keys() == left
        for name in left:
            numbers = [d.revisions[name].number for d in contents.deployments.values() if name in d.revisions]
            current = contents.current(name)
            assert current is not None
            assert current.revisions[name].number == max(numbers)
            assert len(set(numbers)) == len(numbers)
