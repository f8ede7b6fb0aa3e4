"""What the server interfaces (ASGI, RSGI, Lambda) need of an app."""

from collections.abc import Mapping
from typing import Protocol

from holdfast.sdk.attempt import Attempt
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.routes import Invoke, Routes
from holdfast.sdk.endpoint.step_runner import StepRunner


class Serving(Protocol):
    """An app, as those who carry its bytes see it."""

    routes: Routes
    payloads: Payloads

    def make_attempt(self, invoke: Invoke, runner: StepRunner, headers: Mapping[str, str]) -> Attempt:
        """An attempt for a request; the runner is told of it."""
        ...
