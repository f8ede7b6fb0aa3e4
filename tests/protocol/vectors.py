"""Captured traffic, read once: what a real server and the official SDKs said to each other."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
STREAMS = ("frames", "streams_v6", "streams_v7", "request_response")


@dataclass(frozen=True)
class CapturedFrame:
    """One whole frame, header included, with what the capture says it is."""

    message: str
    version: int
    data: bytes


@cache
def load(name: str) -> dict[str, Any]:
    """One vector file."""
    return json.loads((VECTORS / f"{name}.json").read_text())


@cache
def captured_frames() -> tuple[CapturedFrame, ...]:
    """Every frame of every capture, repeats left out."""
    return tuple(dict.fromkeys(frame for name in STREAMS for frame in _frames_in(load(name), 7)))


def _frames_in(node: object, version: int) -> Iterator[CapturedFrame]:
    if isinstance(node, list):
        for item in node:
            yield from _frames_in(item, version)
    elif isinstance(node, dict):
        version = node.get("protocol_version", version)
        if "hex" in node and "message" in node:
            yield CapturedFrame(node["message"], version, bytes.fromhex(node["hex"]))
        for item in node.values():
            yield from _frames_in(item, version)
