"""`ScriptedLLM`: the endpoint in a thread of the test's own process."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Thread
from types import TracebackType

from holdfast.testing.llm.script import Script, load, read
from holdfast.testing.llm.server import Call, Endpoint
from holdfast.testing.llm.wire import Json

STOP_S_MAX = 10.0

KEY = "scripted"
"""Any key is accepted; clients want one."""


class ScriptedLLM:
    """A model provider on loopback that says what a script says; `with` or `async with` runs it.

    Args:
        script: rules (see `holdfast.testing.llm.script`), a file of them, or a `Script`.
        port: 0 for a free one.
        piece_delay_s: wait after each piece of a stream, to watch it or to kill it half way.
        delay_s: wait before each answer whose reply does not say.
    Attributes:
        url: `http://127.0.0.1:PORT`; Anthropic's base URL. OpenAI's is `openai_url`.
    Raises:
        ScriptError: the script cannot be read.
    """

    def __init__(
        self,
        script: Script | Path | Iterable[Mapping[str, object]],
        *,
        port: int = 0,
        piece_delay_s: float = 0.0,
        delay_s: float = 0.0,
    ) -> None:
        if isinstance(script, Path):
            script = load(script)
        elif not isinstance(script, Script):
            script = read(list(script))
        self._endpoint = Endpoint(("127.0.0.1", port), script, None, piece_delay_s, delay_s)
        self._thread = Thread(
            target=self._endpoint.serve_forever,
            kwargs={"poll_interval": 0.01},
            name="scripted-llm",
            daemon=True,
        )
        self.url = f"http://127.0.0.1:{self._endpoint.server_port}"

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's clients: `{url}/v1`."""
        return f"{self.url}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that send OpenAI's and Anthropic's clients here."""
        return environment(self.url)

    @property
    def calls(self) -> list[Call]:
        """Every call a rule answered, oldest first, with path, turn, rule, status and body."""
        return list(self._endpoint.calls)

    def hold(self, held: Callable[[], bool]) -> None:
        """Let answers wait for as long as `held` says so; it is asked every few milliseconds."""
        self._endpoint.held = held

    def forget(self) -> None:
        """Begin to count anew: no calls, and every conversation is asked for the first time."""
        self._endpoint.forget()

    @property
    def answered(self) -> int:
        """How many answers were sent, to callers that were still there."""
        return sum(call.answered for call in self._endpoint.calls)

    @property
    def requests(self) -> list[Json]:
        """The JSON bodies of `calls`."""
        return [call.body for call in self._endpoint.calls]

    def start(self) -> None:
        """Listen, as `with` does."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; answers under way are cut off."""
        if self._thread.is_alive():
            self._endpoint.shutdown()
            self._thread.join(STOP_S_MAX)
        self._endpoint.server_close()

    def __enter__(self) -> "ScriptedLLM":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> "ScriptedLLM":
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"ScriptedLLM({json.dumps(self.url)}, {len(self._endpoint.calls)} calls)"


def environment(url: str) -> dict[str, str]:
    """Environment variables that send OpenAI's and Anthropic's clients to the endpoint at `url`."""
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
    }
