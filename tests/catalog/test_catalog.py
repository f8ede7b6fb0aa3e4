"""Stories of registrations: what callers get, what stays for invocations in flight, what a restart keeps."""

from __future__ import annotations

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


@pytest.mark.parametrize("uri", [OLD, f"{OLD}/", "HTTP://OLD:9080", "http://old:9080//"])
def test_an_address_is_known_however_it_is_written(catalog: Catalog, uri: str) -> None:
    register(catalog, discovered(service("S"), uri=OLD))
    assert register(catalog, discovered(service("S"), uri=uri)).change is Change.UNCHANGED


def test_a_known_address_with_other_services_needs_force(catalog: Catalog) -> None:
    first = register(catalog, discovered(service("S"), service("Gone"), uri=OLD)).deployment
    changed = discovered(service("S", handler("other")), uri=OLD)
    with pytest.raises(RegistrationRefused, match="force") as refused:
        register(catalog, changed)
    assert refused.value.code == "META0004"
    overwritten = register(catalog, changed, force=True)
    assert (overwritten.change, overwritten.deployment.id) == (Change.OVERWRITTEN, first.id)
    assert [(s.name, s.revision) for s in catalog.services()] == [("S", 2)]
    assert catalog.handler("S", "other") is not None
    assert catalog.handler("Gone", "run") is None


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


def test_deleting_the_latest_deployment_takes_its_services_away(catalog: Catalog) -> None:
    old = register(catalog, discovered(service("S"), uri=OLD)).deployment
    new = register(catalog, discovered(service("S"), uri=NEW)).deployment
    assert catalog.delete_deployment(new.id)
    assert not catalog.delete_deployment(new.id)
    assert catalog.handler("S", "run") is None, "older code must not take over unasked"
    assert catalog.pinned_handler(old.id, "S", "run") is not None
    assert catalog.pinned_handler(new.id, "S", "run") is None
    back = register(catalog, discovered(service("S"), uri=NEW))
    assert [s.revision for s in back.services] == [3]


def test_deleting_an_older_deployment_leaves_the_service(catalog: Catalog) -> None:
    old = register(catalog, discovered(service("S"), uri=OLD)).deployment
    register(catalog, discovered(service("S"), uri=NEW))
    catalog.delete_deployment(old.id)
    assert catalog.handler("S", "run") is not None


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
    id_ = register(catalog, discovered(service("S"), uri=OLD)).deployment.id
    register(catalog, discovered(service("T"), uri=NEW))
    endpoint = Endpoint.parse("http://third:1", http11=False)
    moved = catalog.patch_deployment(id_, endpoint=endpoint, uri="http://third:1/", headers=(("k", "v"),))
    assert moved is not None
    assert catalog.deployment(id_) == moved.deployment
    assert (moved.deployment.endpoint, moved.deployment.additional_headers) == (endpoint, (("k", "v"),))
    assert [s.revision for s in moved.services] == [1]
    with pytest.raises(RegistrationRefused) as refused:
        catalog.patch_deployment(id_, endpoint=Endpoint.parse(NEW, http11=False), uri=f"{NEW}/", headers=())
    assert refused.value.code == "META0004"
    with pytest.raises(RegistrationRefused) as refused:
        catalog.patch_deployment(id_, endpoint=Endpoint.parse(OLD, http11=True), uri=f"{OLD}/", headers=())
    assert refused.value.code == "META0015"


def test_a_deployment_can_be_discovered_again_in_place(catalog: Catalog) -> None:
    id_ = register(catalog, discovered(service("S"), uri=OLD)).deployment.id
    more = discovered(service("S", handler("run"), handler("more")), service("New"), uri=OLD)
    updated = catalog.rediscover(id_, more)
    assert updated is not None
    assert [(s.name, s.revision) for s in catalog.services()] == [("New", 1), ("S", 1)]
    assert catalog.handler("S", "more") is not None
    assert catalog.rediscover("dp_other", more) is None


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (discovered(service("T"), uri=OLD), "no longer serves 'S'"),
        (discovered(service("S", ty="VIRTUAL_OBJECT"), uri=OLD), "VIRTUAL_OBJECT"),
        (discovered(service("S", handler("other")), uri=OLD), "S/run"),
        (discovered(service("S"), uri=OLD, versions=(6, 7)), "versions 6 to 7"),
        (discovered(service("S"), uri=OLD, versions=(5, 6)), "versions 5 to 6"),
    ],
)
def test_what_invocations_in_flight_need_must_stay(
    catalog: Catalog, answer: Discovered, problem: str
) -> None:
    id_ = register(catalog, discovered(service("S"), uri=OLD)).deployment.id
    with pytest.raises(RegistrationRefused, match=problem) as refused:
        catalog.rediscover(id_, answer)
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
def test_revisions_only_grow_and_new_invocations_go_to_the_newest(
    steps: list[tuple[str, str | int, set[str]]],
) -> None:
    """Goal: nobody is ever moved to older code, whatever operators do."""
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
        for name, id_ in contents.latest.items():
            assert contents.deployments[id_].revisions[name].number == highest[name]
