"""Conversations that outlive a run: in the state of a virtual object, or in a store of the SDK's.

`ObjectSession` keeps a conversation with the object whose handler runs: exactly once, without a database. Any
other session given to a run in a handler is asked in steps. Such a store is outside the journal, so a crash
between its write and the journal's entry adds those items again.
"""

from __future__ import annotations

from typing import Any, cast

from agents.items import TResponseInputItem
from agents.memory import Session, SessionSettings

from holdfast.sdk.context.ambient import current
from holdfast.sdk.context.kinds import ObjectContext, SharedObjectContext


class ObjectSession:
    """The conversation of the virtual object or workflow whose handler runs.

    Each turn is a value of its own in the state (`session.0`, `session.1`, ...), so a long conversation is
    not written anew with every turn. For several conversations of one object, give each a name.

    Args:
        name: of the conversation, unique within the object.
    """

    def __init__(self, name: str = "session") -> None:
        self.name = name
        self.session_settings: SessionSettings | None = None

    @property
    def session_id(self) -> str:
        """`Service/key/name`, as the SDK asks for it."""
        context = current(SharedObjectContext)
        return f"{context.handler_name.partition('/')[0]}/{context.key}/{self.name}"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The newest items, oldest first.

        Args:
            limit: how many at most; None for all.
        """
        items: list[TResponseInputItem] = []
        for turn in reversed(range(await self._turns())):
            items = [*await self._turn(turn), *items]
            if limit is not None and len(items) >= limit:
                return items[len(items) - limit :]
        return items

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append."""
        if items:
            turns = await self._turns()
            context = _writing()
            context.set(f"{self.name}.{turns}", items)
            context.set(self.name, turns + 1)

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the newest item away; None when there is none."""
        turns = await self._turns()
        if not turns:
            return None
        *kept, last = await self._turn(turns - 1)
        context = _writing()
        if kept:
            context.set(f"{self.name}.{turns - 1}", kept)
        else:
            context.clear(f"{self.name}.{turns - 1}")
            context.set(self.name, turns - 1)
        return last

    async def clear_session(self) -> None:
        """Forget all of it."""
        context = _writing()
        for turn in range(await self._turns()):
            context.clear(f"{self.name}.{turn}")
        context.clear(self.name)

    async def _turns(self) -> int:
        return await current(SharedObjectContext).get(self.name, int, default=0)

    async def _turn(self, number: int) -> list[TResponseInputItem]:
        found: Any = await current(SharedObjectContext).get(f"{self.name}.{number}")
        return cast("list[TResponseInputItem]", found or [])


class JournaledSession:
    """A store of the SDK's, asked in steps. What else it has is its own."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # shortcuts between the SDK and its own stores, past the steps
            raise AttributeError(name)
        return getattr(self._inner, name)

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """As of `Session`, like all that follow."""
        found: Any = await current().run("session get_items", self._inner.get_items, limit)
        return cast("list[TResponseInputItem]", found)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """See the module's text on crashes."""
        await current().run("session add_items", self._inner.add_items, items)

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the newest item away."""
        found: Any = await current().run("session pop_item", self._inner.pop_item)
        return cast("TResponseInputItem | None", found)

    async def clear_session(self) -> None:
        """Forget all of it."""
        await current().run("session clear_session", self._inner.clear_session)


def durable_session(session: Any) -> Any:
    """What a run in a handler is given in place of this session."""
    if session is None or isinstance(session, ObjectSession | JournaledSession):
        return session
    return JournaledSession(session)


def _writing() -> ObjectContext:
    # A shared handler's context says itself, and better, that it cannot write.
    return cast(ObjectContext, current(SharedObjectContext))
