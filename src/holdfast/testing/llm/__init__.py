"""A scripted model provider: no key, no internet, the same answer to the same conversation.

    async with ScriptedLLM([{"tool_calls": [{"name": "look_up"}]}, {"text": "Done."}]) as llm:
        client = AsyncOpenAI(base_url=llm.openai_url, api_key="any", max_retries=0)
        ...
        assert len(llm.calls) == 2

or as a process of its own, which outlives whatever the test kills:

    python -m holdfast.testing.llm SCRIPT.json --port 8900 --log calls.jsonl

Owns      the script's format (`script.py`), the dialects (`chat.py` and `responses.py` of OpenAI,
          `messages.py` of Anthropic; each as JSON and as server-sent events), the HTTP server (`server.py`).
Promises  the answer is a function of the request, and, where a rule gives several replies, of how often the
          same conversation was asked; every call is recorded before it is answered.
Never     reaches the network, needs a key, or imports anything but the standard library.
"""

from holdfast.testing.llm.script import Script, ScriptError, load, read
from holdfast.testing.llm.scripted import ScriptedLLM, environment
from holdfast.testing.llm.server import Call, Endpoint

__all__ = ["Call", "Endpoint", "Script", "ScriptError", "ScriptedLLM", "environment", "load", "read"]
