"""Logging from handlers: a handler's code runs again in every replay, its log lines need not."""

import logging

from holdfast.sdk.context.base import Context
from holdfast.sdk.context.variable import current_or_none


class ReplayFilter(logging.Filter):
    """Drops what handler code logs while it replays; give it to a handler or a logger of `logging`.

    What steps log, and everything outside handlers, passes: it happens once.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to keep the line."""
        context = current_or_none()
        return not (isinstance(context, Context) and context.is_replaying)
