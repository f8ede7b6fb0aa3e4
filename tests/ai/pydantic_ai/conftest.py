"""A scripted provider for the tests that talk HTTP."""

from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest

from holdfast.testing.llm import ScriptedLLM

Provider = Callable[..., ScriptedLLM]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Generator[Provider, None, None]:
    """Starts a provider that follows these rules, and points the clients' environment at it."""
    started: list[ScriptedLLM] = []

    def start(*rules: Mapping[str, Any]) -> ScriptedLLM:
        llm = ScriptedLLM(rules)
        llm.start()
        started.append(llm)
        for name, value in llm.environment.items():
            monkeypatch.setenv(name, value)
        return llm

    yield start
    for llm in started:
        llm.stop()
