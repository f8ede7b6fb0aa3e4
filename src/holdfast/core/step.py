"""The workbench of a record: the tables, the instant, the actions and the mail it gives rise to."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.core.messages import Message
from holdfast.core.model import Invocation, Refs
from holdfast.core.outcome import Action, Ship
from holdfast.core.tables import Tables


@dataclass(slots=True)
class Step:
    """Shared by the records of a batch, one after the other. `at` is the instant of the record at hand.

    `mail` holds messages for invocations of this partition; `apply` handles them, first in first out,
    before the record is done, so that a deep tree of calls never becomes a deep Python stack."""

    tables: Tables
    actions: list[Action]
    at: int = 0
    mail: list[Message] = field(default_factory=list[Message])

    def send(self, message: Message) -> None:
        """To another invocation: handled within this record when it is ours, by outbox otherwise."""
        destination = self.tables.partition_of(message.destination)
        if destination == self.tables.partition:
            self.mail.append(message)
        else:
            self.tables.post.push(destination, message)
            self.actions.append(Ship(destination))

    def refs(self, invocation: Invocation) -> Refs:
        """What the journal was notified of, read once per attempt and then kept up to date in memory."""
        refs = invocation.refs
        if refs is None:
            # A journal of commands alone, as every new one is, need not be read for notifications.
            only_commands = invocation.length <= invocation.commands
            refs = Refs() if only_commands else self.tables.journal.refs(invocation.row)
            invocation.refs = refs
        return refs
