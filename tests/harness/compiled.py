"""Services on the official SDKs of compiled languages: what runs them, and why they may not run here.

`make interop-setup` builds each into `build/interop/<language>` of the checkout, outside version control,
with whatever toolchains exist. Nothing is built here: a test that finds no program is skipped with the
reason, which is the end of the build's own log when there was a build.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from .effects import Effects
from .processes import free_port
from .services import Service

BUILDS = Path(__file__).resolve().parents[2] / "build" / "interop"
LOG_TAIL_CHARS = 600


@dataclass(frozen=True)
class Language:
    """A language whose services are compiled ahead of the tests.

    Attributes:
        name: as people write it.
        prefix: of the service names.
        folder: below the folder of the services, and below the folder of the builds.
        tool: the program that builds, as it is found on the PATH.
        program: what the build leaves, relative to its folder.
        runner: what `program` is handed to, nothing for an executable.
    """

    name: str
    prefix: str
    folder: str
    tool: str
    program: str
    runner: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return BUILDS / self.folder / self.program

    def why_not(self) -> str | None:
        """The reason there is nothing to run, with what to do; None when there is."""
        if self.path.exists():
            return None
        if shutil.which(self.tool) is None:
            return f"no `{self.tool}` on the PATH: install it to test the official {self.name} SDK"
        log = BUILDS / f"{self.folder}.log"
        said = f"; its last build said: {log.read_text()[-LOG_TAIL_CHARS:]}" if log.exists() else ""
        return f"the services on the official {self.name} SDK are not built: run `make interop-setup`{said}"


GO = Language("Go", "Go", "go", "go", "service")
# Tests start two of these at once on small machines: a small heap, and no second compiler.
JAVA = Language(
    "Java", "Jv", "java", "mvn", "service.jar", ("java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-jar")
)
RUST = Language("Rust", "Rs", "rust", "cargo", "debug/interop-service")
LANGUAGES = (GO, JAVA, RUST)


class CompiledService(Service):
    """The handlers on the official SDK of `language`.

    Args:
        request_response: serve HTTP/1.1 and say so in discovery; else HTTP/2 and full duplex.
    """

    def __init__(
        self,
        language: Language,
        work_dir: Path,
        effects: Effects,
        *,
        request_response: bool = False,
    ) -> None:
        name = f"service-{language.folder}{'-rr' if request_response else ''}"
        super().__init__(
            name,
            [*language.runner, str(language.path)],
            free_port(),
            work_dir / f"{name}.log",
            {
                "SIDE_EFFECTS_FILE": str(effects.path),
                "REQUEST_RESPONSE": "1" if request_response else "",
            },
        )
        self.http_11 = request_response
