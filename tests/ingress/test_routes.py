"""What paths mean."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ingress.errors import RequestError
from holdfast.ingress.routes import (
    ByBody,
    ById,
    ByIdempotencyKey,
    ByWorkflow,
    CompleteAwakeable,
    Health,
    Invoke,
    Route,
    Verb,
    locate,
    parse_path,
)
from holdfast.protocol.manifest import ServiceType

OBJECT, SERVICE = ServiceType.VIRTUAL_OBJECT, ServiceType.SERVICE
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("restate", "openapi", "send")
)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
types = st.sampled_from(ServiceType)


def path_of(service: str, key: str | None, handler: str) -> str:
    return "/".join((service, *((quote(key, safe=""),) if key is not None else ()), handler))


@given(type_=types, service=names, key=keys, handler=names, send=st.booleans(), slash=st.booleans())
def test_every_key_survives_the_path(
    type_: ServiceType, service: str, key: str, handler: str, send: bool, slash: bool
) -> None:
    """Goal: all forms of a path agree, for any key, slashes included, and with a trailing slash."""
    wanted = (None if type_ is SERVICE else key, handler, send)
    path, end = path_of(service, wanted[0], handler), "/" if slash else ""
    verb, suffix = ("send", "/send") if send else ("call", "")
    for form in (f"/{path}{suffix}", f"/restate/{verb}/{path}", f"/restate/scope/s/{verb}/{path}"):
        route = parse_path(form + end)
        assert isinstance(route, Invoke)
        assert route.service == service
        assert locate(route, type_)[1:] == wanted


@given(st.text(max_size=60).map(lambda text: "/" + text) | st.text(max_size=60))
def test_any_text_is_a_route_or_a_refusal(path: str) -> None:
    status = 200
    try:
        route = parse_path(path)
        if isinstance(route, Invoke):
            locate(route, OBJECT)
    except RequestError as error:
        status = error.status
    assert status in (200, 400, 404)


@given(service=names, key=keys, handler=names, idempotency_key=keys)
def test_idempotency_keys_survive_the_path(
    service: str, key: str, handler: str, idempotency_key: str
) -> None:
    end = f"{quote(idempotency_key, safe='')}/output"
    assert parse_path(f"/restate/invocation/{path_of(service, key, handler)}/{end}") == ByIdempotencyKey(
        Verb.OUTPUT, service, key, handler, idempotency_key
    )
    assert parse_path(f"/restate/invocation/{path_of(service, None, handler)}/{end}") == ByIdempotencyKey(
        Verb.OUTPUT, service, None, handler, idempotency_key
    )


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/restate/health", Health()),
        ("/restate/invocation/inv_1x/attach", ById(Verb.ATTACH, "inv_1x")),
        ("/restate/output/inv_1x", ById(Verb.OUTPUT, "inv_1x")),
        ("/restate/workflow/Flow/a%2Fb/attach", ByWorkflow(Verb.ATTACH, "Flow", "a/b")),
        ("/restate/lookup", ByBody(Verb.LOOKUP)),
        ("/restate/a/sign_1x/resolve", CompleteAwakeable("sign_1x", True)),
        ("/restate/awakeables/sign_1x/reject", CompleteAwakeable("sign_1x", False)),
    ],
)
def test_the_fixed_routes(path: str, route: Route) -> None:
    assert parse_path(path) == route


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/", 400, "bad path: /"),
        ("//", 400, "bad path: /"),
        ("/a//", 400, "bad path: /a"),
        ("/Greeter", 400, "bad path: /Greeter"),
        ("/a/b/c/d/e/f/g/h", 400, "bad path: /a/b/c/d/e/f/g/h"),
        ("*", 400, "bad path: *"),
        ("/openapi/Greeter", 404, "not found"),
        ("/restate/signals/x/y", 404, "not found"),
        ("/restate/a/sign_1x/cancel", 404, "not found"),
        ("/restate/a/sign_1x", 400, "bad path, expected either /restate/awakeables/:id/resolve"),
        ("/restate/workflow/Flow/w", 400, "bad path, expected either /restate/workflow/"),
        ("/restate/invocation/inv_1x", 400, "bad path, expected either /restate/invocation/"),
        ("/restate/attach/a/b", 400, "bad path, expected /restate/call/"),
        ("/restate/workflow/Flow/%ff/attach", 400, "bad path, cannot decode key: '%ff'"),
    ],
)
def test_refused_paths(path: str, status: int, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_path(path)
    assert refused.value.status == status
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("path", "type_"),
    [("/G/k/h", SERVICE), ("/G/h/send/x", SERVICE), ("/O/h", OBJECT), ("/O/k/h/x", OBJECT)],
)
def test_the_number_of_segments_follows_the_type(path: str, type_: ServiceType) -> None:
    route = parse_path(path)
    assert isinstance(route, Invoke)
    with pytest.raises(RequestError, match="bad path, expected either"):
        locate(route, type_)


def test_send_is_a_handler_name_where_a_handler_has_to_be() -> None:
    """Goal: the suffix never takes the place of the handler. Method: an object's handler named `send`."""
    route = parse_path("/O/k/send")
    assert isinstance(route, Invoke)
    assert locate(route, OBJECT)[1:] == ("k", "send", False)
