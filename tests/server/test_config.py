"""Options: where they come from, which one wins, and what is said about a bad one."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.server.config import (
    Config,
    ConfigError,
    as_toml,
    describe,
    load,
    option_names,
    parse_bind,
)


def test_later_sources_win_option_by_option(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text(
        'partitions = 2\nretry-factor = 3\nlog_level = "debug"\njournal-retention = "1h"\n'
        "inactivity-timeout = 1500\n"
    )
    environment = {"HOLDFAST_PARTITIONS": "3", "HOLDFAST_LOG_LEVEL": "warning", "OTHER": "x"}
    config = load({"partitions": "4"}, environment, file)
    assert config.partitions == 4
    assert config.log_level == "warning"
    assert config.retry_factor == 3.0
    assert config.journal_retention == 3_600_000
    assert config.inactivity_timeout == 1_500, "a plain number is milliseconds"
    assert config.abort_timeout == Config().abort_timeout
    assert load({}, {}, None) == Config()


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text("partitions = 2")
    assert load({}, {"HOLDFAST_CONFIG": str(file)}, None).partitions == 2
    other = tmp_path / "other.toml"
    other.write_text("partitions = 3")
    assert load({}, {"HOLDFAST_CONFIG": str(file)}, other).partitions == 3


BAD = [
    ("partitions", "many"), ("partitions", "-1"), ("partitions", "4097"), ("partitions", "1.5"),
    ("shutdown_grace", "soon"), ("shutdown_grace", "-1s"), ("retry_factor", "big"), ("retry_factor", "nan"),
    ("retry_factor", "inf"), ("retry_factor", "-2"), ("log_level", "loud"), ("log_format", "xml"),
    ("retry_on_max_attempts", "retry"), ("retry_max_attempts", "-1"), ("ingress_bind", "8080"),
    ("admin_bind", "localhost:99999"), ("concurrent_attempts_max", "0"), ("message_bytes_max", "0"),
    ("eager_state_bytes_max", "-1"), ("concurrent_requests_max", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name.replace("_", "-")):
        load({name: value}, {}, None)
    with pytest.raises(ConfigError, match=re.compile(name.replace("_", "[-_]"), re.IGNORECASE)):
        load({}, {f"HOLDFAST_{name.upper()}": value}, None)


@pytest.mark.parametrize(
    "line", ["partitions = 1.5", "partitions = true", "data-dir = 5", 'retry-factor = "x"', "partitions = []"]
)
def test_a_bad_value_of_a_file_is_refused_by_name_and_file(tmp_path: Path, line: str) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text(line)
    with pytest.raises(ConfigError, match=line.split(" = ")[0]) as refused:
        load({}, {}, file)
    assert str(file) in str(refused.value)


def test_unknown_options_broken_and_missing_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text("partitons = 2")
    with pytest.raises(ConfigError, match="partitons"):
        load({}, {}, file)
    for broken in (b"partitions = ", b"# \xff"):
        file.write_bytes(broken)
        with pytest.raises(ConfigError, match="is not TOML"):
            load({}, {}, file)
    with pytest.raises(ConfigError, match="cannot read"):
        load({}, {}, tmp_path / "missing.toml")


@pytest.mark.parametrize("low_high", [("4", "7"), ("5", "8"), ("7", "6")])
def test_protocol_versions_are_a_range_we_speak(low_high: tuple[str, str]) -> None:
    low, high = low_high
    with pytest.raises(ConfigError, match="protocol-version"):
        load({"protocol_version_min": low, "protocol_version_max": high}, {}, None)


def test_a_printed_configuration_gives_itself_again(tmp_path: Path) -> None:
    file = tmp_path / "printed.toml"
    given_ = {"partitions": "7", "shutdown_grace": "1m 30s", "data_dir": "/with space", "retry_factor": "1.5"}
    config = load(given_, {}, None)
    file.write_text(as_toml(config))
    assert load({}, {}, file) == config
    assert all(f"{name.replace('_', '-')} = " in file.read_text() for name in option_names())


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=20), grace=st.integers(0, 10**12))
def test_any_text_and_duration_survive_printing(
    tmp_path_factory: pytest.TempPathFactory, text: str, grace: int
) -> None:
    config = load({"data_dir": text, "shutdown_grace": f"{grace}ms"}, {}, None)
    assert config.shutdown_grace == grace
    file = tmp_path_factory.getbasetemp() / "printed.toml"
    file.write_text(as_toml(config), encoding="utf-8", newline="")
    assert load({}, {}, file) == config


def test_every_option_is_described() -> None:
    for option in dataclasses.fields(Config):
        help_, default = describe(option.name)
        assert len(help_) > 10
        assert default == "" or default


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:0", ("::1", 0)),
        (":9070", ("127.0.0.1", 9070)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_binds_are_host_and_port(text: str, bind: tuple[str, int]) -> None:
    assert parse_bind("x", text) == bind
