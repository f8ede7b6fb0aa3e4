"""A scripted provider, and the SDK without exporters."""

from collections.abc import Callable, Generator, Mapping
from typing import Any

import httpx2
import pytest
from agents import set_default_openai_client, set_trace_processors
from openai import AsyncOpenAI

from holdfast.testing.llm import ScriptedLLM

Provider = Callable[..., ScriptedLLM]


@pytest.fixture(autouse=True)
def no_export() -> None:
    """Nothing leaves this machine."""
    set_trace_processors([])


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Generator[Provider, None, None]:
    """Starts a provider that follows these rules, and makes it the SDK's default."""
    started: list[ScriptedLLM] = []

    def start(*rules: Mapping[str, Any]) -> ScriptedLLM:
        llm = ScriptedLLM(rules)
        llm.start()
        started.append(llm)
        # Connections do not outlive the event loop they were made on, and each run has a loop of its own.
        once = httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=0), trust_env=False)
        client = AsyncOpenAI(base_url=llm.openai_url, api_key="any", http_client=once)
        set_default_openai_client(client, use_for_tracing=False)
        return llm

    yield start
    for llm in started:
        llm.stop()
