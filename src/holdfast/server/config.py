"""The server's options: one list, read from a TOML file, the environment and the command line.

Later wins: default, file, environment (`HOLDFAST_<OPTION>`), command line. Durations are text such as `1m`,
`500ms` or `PT1H`; sizes are bytes. `Config` is the only definition: the command line and `--print-config` are
made from it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NewType, get_type_hints

from holdfast.catalog.durations import format_duration, parse_duration


class ConfigError(Exception):
    """An option that cannot be understood; the text names it, what was expected, and where it came from."""


Millis = NewType("Millis", int)
"""A duration option, milliseconds; written as text."""


def _option(default: object, help_: str) -> Any:  # like dataclasses.field, whose result it is
    return field(default=default, metadata={"help": help_})


@dataclass(frozen=True)
class Config:
    """Every option with its default. Names are the same everywhere, with `-` or `_` as the place has it."""

    data_dir: str = _option("holdfast-data", "directory of the databases; made when missing")
    ingress_bind: str = _option("127.0.0.1:8080", "HOST:PORT for calls")
    admin_bind: str = _option("127.0.0.1:9070", "HOST:PORT for the admin interface")
    advertised_ingress: str = _option("", "URI at which clients reach ingress; empty: from ingress-bind")
    partitions: int = _option(
        0, "number of partitions, fixed when the data directory is made; 0: as it is, or 1"
    )
    log_level: str = _option("info", "debug, info, warning or error")
    log_format: str = _option("auto", "console, json, or auto: console on a terminal")
    shutdown_grace: Millis = _option(Millis(5_000), "how long waiting requests get on SIGTERM")
    identity_key_file: str = _option(
        "", "PKCS#8 PEM file of the Ed25519 key that signs requests to deployments"
    )
    protocol_version_min: int = _option(5, "lowest service protocol version to use")
    protocol_version_max: int = _option(7, "highest service protocol version to use")
    concurrent_attempts_max: int = _option(1_000, "attempts that run at a time; the rest wait")
    message_bytes_max: int = _option(32 * 1024 * 1024, "longest message of a deployment")
    eager_state_bytes_max: int = _option(32 * 1024 * 1024, "most state sent along with an attempt")
    request_bytes_max: int = _option(32 * 1024 * 1024, "longest ingress request body")
    concurrent_requests_max: int = _option(20_000, "ingress requests that wait at a time; more answer 429")
    connect_timeout: Millis = _option(Millis(10_000), "for connections to deployments")
    retry_initial_interval: Millis = _option(Millis(500), "default retry policy: first delay")
    retry_max_interval: Millis = _option(Millis(60_000), "default retry policy: longest delay")
    retry_factor: float = _option(2.0, "default retry policy: growth of the delay")
    retry_max_attempts: int = _option(70, "default retry policy: attempts; 0: no end")
    retry_on_max_attempts: str = _option(
        "pause", "default retry policy: pause or kill after the last attempt"
    )
    journal_retention: Millis = _option(
        Millis(86_400_000), "default: how long journals stay after completion"
    )
    idempotency_retention: Millis = _option(Millis(86_400_000), "default: results of idempotent invocations")
    workflow_retention: Millis = _option(Millis(86_400_000), "default: results, state, promises of workflows")
    inactivity_timeout: Millis = _option(
        Millis(60_000), "default: silence before a handler is asked to suspend"
    )
    abort_timeout: Millis = _option(Millis(600_000), "default: time it then has before it is dropped")
    cleanup_interval: Millis = _option(Millis(3_600_000), "pause between sweeps for ended retentions")


_FIELDS = {f.name: f for f in dataclasses.fields(Config)}
_TYPES = get_type_hints(Config)


def option_names() -> list[str]:
    """All options, in the order of `Config`, with underscores."""
    return list(_FIELDS)


def describe(name: str) -> tuple[str, str]:
    """(help, default as text) of an option."""
    f = _FIELDS[name]
    return str(f.metadata["help"]), _shown(name, f.default)


def load(arguments: Mapping[str, str], environment: Mapping[str, str], file: Path | None) -> Config:
    """Put the configuration together.

    Args:
        arguments: options given on the command line, names with underscores.
        environment: the process's environment; `HOLDFAST_CONFIG` names the file when `file` is None.
    Raises:
        ConfigError: unreadable file, unknown option, or a value that is not what the option takes.
    """
    values: dict[str, object] = {}
    if file is None and environment.get("HOLDFAST_CONFIG"):
        file = Path(environment["HOLDFAST_CONFIG"])
    if file is not None:
        values |= _from_file(file)
    for name in _FIELDS:
        text = environment.get(f"HOLDFAST_{name.upper()}")
        if text is not None:
            values[name] = _parsed(name, text, f"environment variable HOLDFAST_{name.upper()}")
    for name, text in arguments.items():
        values[name] = _parsed(name, text, f"option --{name.replace('_', '-')}")
    config = Config(**values)  # type: ignore[arg-type]
    _check(config)
    return config


def _from_file(file: Path) -> dict[str, object]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    values: dict[str, object] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in _FIELDS:
            raise ConfigError(f"{file}: there is no option {key!r}; `holdfast server --help` lists them")
        values[name] = _parsed(name, value, f"{key} in {file}")
    return values


def _parsed(name: str, value: object, where: str) -> object:
    kind = _TYPES[name]
    try:
        if kind is Millis:
            return Millis(parse_duration(value if isinstance(value, str) else f"{value}ms"))
        if kind is str:
            if not isinstance(value, str):
                raise ValueError
            return value
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        if kind is int and isinstance(value, float):
            raise ValueError
        number = float(value) if kind is float else int(value)
        if not 0 <= number < math.inf:
            raise ValueError
        return number
    except (ValueError, TypeError):
        expected: dict[object, str] = {
            Millis: "a duration such as 500ms or 1m",
            int: "a whole number, 0 or more",
            float: "a number, 0 or more",
        }
        raise ConfigError(f"{where}: {value!r} is not {expected.get(kind, 'a text')}") from None


def _check(config: Config) -> None:
    choices = {
        "log_level": ("debug", "info", "warning", "error"),
        "log_format": ("auto", "console", "json"),
        "retry_on_max_attempts": ("pause", "kill"),
    }
    for name, allowed in choices.items():
        value = getattr(config, name)
        if value not in allowed:
            raise ConfigError(
                f"option {name.replace('_', '-')}: {value!r} is not one of {', '.join(allowed)}"
            )
    if not 5 <= config.protocol_version_min <= config.protocol_version_max <= 7:
        raise ConfigError("protocol-version-min and -max must be within 5 to 7, in this order")
    for name in (
        "concurrent_attempts_max",
        "message_bytes_max",
        "request_bytes_max",
        "concurrent_requests_max",
    ):
        if getattr(config, name) < 1:
            raise ConfigError(f"option {name.replace('_', '-')} must be at least 1")
    if not 0 <= config.partitions <= 4_096:
        raise ConfigError("option partitions must be between 1 and 4096, or 0 for what is there")
    parse_bind("ingress-bind", config.ingress_bind)
    parse_bind("admin-bind", config.admin_bind)


def parse_bind(name: str, text: str) -> tuple[str, int]:
    """(host, port) of `HOST:PORT`; an IPv6 host in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"option {name}: {text!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def as_toml(config: Config) -> str:
    """The configuration as a file that gives it again, with each option's help."""
    lines: list[str] = []
    for name, f in _FIELDS.items():
        lines += [
            f"# {f.metadata['help']}",
            f"{name.replace('_', '-')} = {_toml(name, getattr(config, name))}",
            "",
        ]
    return "\n".join(lines)


def _shown(name: str, value: object) -> str:
    return format_duration(value) if _TYPES[name] is Millis and isinstance(value, int) else str(value)


def _toml(name: str, value: object) -> str:
    text = _shown(name, value)
    if _TYPES[name] in (int, float):
        return text
    # A JSON string is a TOML string, but for one control character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
