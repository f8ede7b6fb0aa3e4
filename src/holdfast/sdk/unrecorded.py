"""Finding what handler code does outside the journal: I/O that blocks, clocks, chance.

    sys.addaudithook ──▶ _on_audit ───┐                        ┌─▶ UsageError, raised at the call
    sys.setprofile ────▶ _on_profile ─┴─▶ _judge: who asked? ──┤
                                                               └─▶ StrictLoop: the attempt fails with it

**Two nets.** The interpreter announces most I/O to audit hooks, which cannot be removed but cost nothing to
speak of: one is added with the first `StrictLoop`, and leaves at once unless the running loop of this thread
is one. Clocks, chance, `os.stat` and sockets already open are not announced; a profile function sees those
calls. It is set only while a strict loop runs callbacks, and not at all where a profiler is set already. Step
bodies run on the process's own loop or in a thread, so neither net concerns them.

**Who asked.** The frames between the call and the loop decide. Waiting for the world (network, processes,
databases, sleeping) is refused whoever asks. Files, threads, clocks and chance are refused when the nearest
frame outside the standard library is the user's: a library that reads its own data or times its own work does
not decide what a handler does. Anything under an import, a log record, a traceback, a finalizer or a debugger
passes.

**Reported anyway.** Handlers catch `Exception`. So the first refusal also closes the loop for durable work,
and `run_until_quiet` raises it when the loop is quiet: the attempt fails with it and issues nothing more. The
interpreter drops a profile function that raises, so until then only audited calls are refused again.

Not seen: what C code does by itself (database drivers, numpy's generators, `map(time.time)` inside C), locks
and other waits on threads, the environment, the order of sets, `hash` and `id`.
"""

import os
import sys
from collections.abc import Callable
from inspect import unwrap
from types import CodeType, FrameType
from typing import Any, NoReturn, cast

from holdfast.sdk.agent_frameworks import framework_cure
from holdfast.sdk.allowing import allowed_because
from holdfast.sdk.errors import UsageError
from holdfast.sdk.file_owners import (
    CODEC,
    LIBRARY,
    OURS,
    PASSING,
    PLUMBING,
    STANDARD,
    USER,
    own_package_of,
    owner_of,
)
from holdfast.sdk.loop.durable_loop import REFUSED, DurableLoop, DurableTimers, get_running_loop
from holdfast.sdk.watched_calls import (
    AUDITED,
    LOCAL,
    METHODS,
    PROFILED,
    RANDOM_CURE,
    SHOW_DETAIL,
    UUID_CURE,
    VALUE,
    WORLD,
    find_method,
)

DETAIL_CHARS_MAX = 80


class StrictLoop(DurableLoop):
    """A `DurableLoop` whose handler code is watched; see the module's text."""

    def __init__(self, timers: DurableTimers) -> None:
        super().__init__(timers)
        self._refusal: UsageError | None = None
        self._raised: UsageError | None = None
        _add_audit_hook()

    def run_until_quiet(self) -> None:
        """As of `DurableLoop`.

        Raises:
            UsageError: `unrecorded_io`, `unrecorded_value`: handler code did such a thing, whether or not it
                caught the error.
        """
        if not self.ready:
            return
        # A profiler of the developer's stays: one written in C could not be put back from here.
        watched = sys.getprofile() is None
        if watched:
            sys.setprofile(_on_profile)
        try:
            super().run_until_quiet()
        finally:
            if watched:
                sys.setprofile(None)
        if self._refusal is not None:
            self._raised, self._refusal = self._refusal, None
            raise self._raised

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As of `DurableLoop`, without what the attempt fails with: that is reported already."""
        if self._raised is None or context.get("exception") is not self._raised:
            super().call_exception_handler(context)

    def refused(self, error: UsageError) -> None:
        """Handler code did what it must not: nothing durable comes after it."""
        if not self.ending:
            self.ending = True
            self._refusal = error


def make_strict_loop(timers: DurableTimers, handler: Callable[..., object]) -> DurableLoop:
    """A loop whose handler code is watched.

    Args:
        handler: its function; the installed package it comes from, if any, counts as the user's.
    """
    code = getattr(unwrap(handler), "__code__", None)
    if isinstance(code, CodeType):
        own_package_of(code.co_filename)
    return StrictLoop(timers)  # type: ignore[abstract]


def _recording(name: str) -> Callable[..., object]:
    """The loop's own refusal, recorded too."""
    refuse = getattr(DurableLoop, name)

    def refuse_and_record(self: StrictLoop, *args: object, **kwargs: object) -> object:
        try:
            return refuse(self, *args, **kwargs)
        except UsageError as error:
            self.refused(error)
            raise

    refuse_and_record.__name__ = name
    return refuse_and_record


for _name in REFUSED:
    setattr(StrictLoop, _name, _recording(_name))


# The nets.

_hooked = False


def _add_audit_hook() -> None:
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(_on_audit)


def _on_audit(event: str, args: tuple[Any, ...]) -> None:
    loop = get_running_loop()
    if type(loop) is not StrictLoop:
        return
    found = AUDITED.get(event)
    if found is None or (event == "open" and _is_harmless(args[0])):
        return
    kind, cure = found
    detail = _detail(args) if kind is LOCAL or event.startswith(SHOW_DETAIL) else ""
    caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    _judge(loop, caller, event.removeprefix("builtins."), detail, kind, cure)


def _on_profile(frame: FrameType, event: str, arg: Any) -> None:
    if event != "c_call":
        return
    found = PROFILED.get(arg)
    if found is None:
        if arg.__name__ not in METHODS:
            return
        found = find_method(arg.__name__, arg.__self__)
        if found is None:
            return
    loop = get_running_loop()
    if type(loop) is StrictLoop:
        name, kind, cure = found
        _judge(loop, frame, name, "", kind, cure)


def _is_harmless(opened: object) -> bool:
    """A file descriptor, which is open already, or a time zone, which `zoneinfo` reads in C for the user."""
    if isinstance(opened, int):
        return True
    zones = sys.modules.get("zoneinfo")
    return zones is not None and isinstance(opened, str) and opened.startswith(tuple(zones.TZPATH))


def _detail(args: tuple[object, ...]) -> str:
    for one in args:
        shown: object = cast("os.PathLike[str]", one).__fspath__() if isinstance(one, os.PathLike) else one
        if isinstance(shown, str | bytes | tuple):
            text = repr(cast(object, shown))
            return text if len(text) <= DETAIL_CHARS_MAX else text[:DETAIL_CHARS_MAX] + "..."
    return ""


# The judge.

_LOOP_CODE: CodeType = StrictLoop.run_until_quiet.__code__


def _judge(loop: StrictLoop, asking: FrameType, call: str, detail: str, kind: str, cure: str) -> None:
    """Refuse the call, unless whoever asks for it may.

    Args:
        asking: the frame that makes the call.
        call: its name, such as `time.sleep`.
        detail: what it is called with, empty when that says nothing.
    """
    if allowed_because() is not None:
        return
    asker: str | None = None
    user: FrameType | None = None
    library: FrameType | None = None
    called: FrameType | None = None
    frame: FrameType | None = asking
    while frame is not None and frame.f_code is not _LOOP_CODE:
        owner = owner_of(frame.f_code.co_filename)
        if (
            owner is PASSING
            or frame.f_code.co_name == "__del__"
            or (owner is PLUMBING and asker is None)
            or (owner is CODEC and kind is VALUE)
        ):
            return
        if owner in (LIBRARY, OURS, USER) and asker is None:
            if owner is not USER and kind is not WORLD:
                return
            asker = owner
        if user is None:
            if owner is USER:
                user = frame
            elif owner in (STANDARD, LIBRARY):
                called = frame
                library = library or (frame if owner is LIBRARY else None)
        frame = frame.f_back
    _refuse(loop, call, detail, kind, cure, user or library, called)


def _refuse(
    loop: StrictLoop,
    call: str,
    detail: str,
    kind: str,
    cure: str,
    at: FrameType | None,
    called: FrameType | None,
) -> NoReturn:
    what = f"{call}({detail})" if detail else call
    if called is not None and (outer := _name_of(called)) != call:
        what = f"{outer} ({what})"
        if outer.startswith("uuid."):
            cure = UUID_CURE
        elif outer.startswith("random.") and kind is VALUE:
            cure = RANDOM_CURE
    if kind is WORLD:
        cure = framework_cure(sys._getframe(1)) or cure  # pyright: ignore[reportPrivateUsage]
    where = f" at {at.f_code.co_filename}:{at.f_lineno} in {at.f_code.co_qualname}" if at is not None else ""
    if kind is VALUE:
        code = "unrecorded_value"
        reason = "it is not journaled, so a replay gets another value and may go another way"
    elif kind is WORLD:
        code = "unrecorded_io"
        reason = "it is not journaled, happens again on every replay, and blocks every other invocation"
    else:
        code, reason = "unrecorded_io", "it is not journaled and happens again on every replay"
    error = UsageError(
        code,
        f"{what} was called in a handler, outside a step,{where}: {reason}. {cure}. If it has to be here: "
        '`with holdfast.allow_unrecorded("why"):`',
    )
    loop.refused(error)
    raise error


def _name_of(frame: FrameType) -> str:
    """The function of a frame as its caller knows it: `random.randint`, `pathlib.Path.read_text`."""
    name = f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_qualname}"
    public = ".".join(part for part in name.split(".") if not part.startswith("_") or part.startswith("__"))
    return public.replace("random.Random.", "random.")
