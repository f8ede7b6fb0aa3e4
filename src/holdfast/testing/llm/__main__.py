"""The endpoint as a process: `python -m holdfast.testing.llm SCRIPT.json --port 8900 --log calls.jsonl`.

The log gets one JSON line per call, before it is answered: `time_s` (epoch seconds), `path`, `stream`,
`turn`, `rule`, `status`, `conversation` (a fingerprint; equal ones are the same question asked again).
`GET /calls` gives the same with headers and bodies, `GET /health` tells whether it is up.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from holdfast.testing.llm.script import ScriptError, load
from holdfast.testing.llm.server import Endpoint


def main() -> None:
    """Serve a script until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.testing.llm", description="A scripted model provider on loopback."
    )
    parser.add_argument("script", type=Path, help="JSON list of rules")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one and prints it")
    parser.add_argument("--log", type=Path, help="append one JSON line per model call to this file")
    parser.add_argument("--piece-delay-ms", type=float, default=0.0, help="pause after each streamed piece")
    options = parser.parse_args()
    try:
        script = load(options.script)
    except ScriptError as error:
        sys.exit(str(error))
    endpoint = Endpoint((options.host, options.port), script, options.log, options.piece_delay_ms / 1000)
    signal.signal(signal.SIGTERM, _leave)
    print(f"scripted model on http://{options.host}:{endpoint.server_port}/v1", flush=True)
    try:
        endpoint.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        endpoint.server_close()


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    os._exit(0)


if __name__ == "__main__":
    main()
