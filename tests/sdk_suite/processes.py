"""The suite's services as processes."""

import sys
from pathlib import Path

from harness import Effects, Service, free_port

TESTS = Path(__file__).resolve().parents[1]


class SuiteService(Service):
    """`services.serve`: on Granian over HTTP/2, or with `request_response` on uvicorn over HTTP/1.1.

    Args:
        prefix: of the service names.
    """

    def __init__(
        self, work_dir: Path, effects: Effects, *, request_response: bool = False, prefix: str = "V"
    ) -> None:
        name = f"service-{prefix}-{'uvicorn' if request_response else 'granian'}"
        super().__init__(
            name,
            [sys.executable, "-m", "sdk_suite.services.serve"],
            free_port(),
            work_dir / f"{name}.log",
            {
                "PYTHONPATH": str(TESTS),
                "SIDE_EFFECTS_FILE": str(effects.path),
                "PREFIX": prefix,
                "REQUEST_RESPONSE": "1" if request_response else "",
            },
        )
        self.http_11 = request_response
