"""zstd where Python has it: the standard library from 3.14 on, or the package `zstandard`.

Lambda carries at most 6 MB each way, so a server compresses a long journal if the function says in discovery
that it reads that (protocol, "Lambda"). Neither module is a dependency: without one nothing is announced.
"""

from importlib import import_module
from typing import Any, Protocol

CONTENT_ENCODING = "zstd"


class Zstd(Protocol):
    """One of the modules, behind one face."""

    def compress(self, data: bytes) -> bytes:
        """One frame."""
        ...

    def decompress(self, data: bytes, size_max: int) -> bytes:
        """What one or more frames hold.

        Raises:
            ValueError: they are damaged or cut off, or hold more than `size_max` bytes.
        """
        ...


def find_zstd() -> Zstd | None:
    """The module this Python has; None without one."""
    for name, face in (("compression.zstd", _Standard), ("zstandard", _Package)):
        try:
            return face(import_module(name))
        except ImportError:
            continue
    return None


class _Standard:
    """`compression.zstd`."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def compress(self, data: bytes) -> bytes:
        compressed: bytes = self._module.compress(data)
        return compressed

    def decompress(self, data: bytes, size_max: int) -> bytes:
        out: list[bytes] = []
        left = size_max
        while data:
            frame = self._module.ZstdDecompressor()
            try:
                piece: bytes = frame.decompress(data, left + 1)
            except self._module.ZstdError as error:
                raise ValueError(str(error)) from None
            left -= len(piece)
            _check(left >= 0, frame.eof, size_max)
            out.append(piece)
            data = frame.unused_data
        return b"".join(out)


class _Package:
    """`zstandard`."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def compress(self, data: bytes) -> bytes:
        compressed: bytes = self._module.ZstdCompressor().compress(data)
        return compressed

    def decompress(self, data: bytes, size_max: int) -> bytes:
        out: list[bytes] = []
        left = size_max
        while data:
            frame = self._module.ZstdDecompressor().decompressobj()
            # Fed in pieces: it has no bound of its own on what one call may give.
            position = 0
            try:
                while position < len(data) and not frame.eof:
                    piece: bytes = frame.decompress(data[position : position + _FED_BYTES])
                    position += _FED_BYTES
                    left -= len(piece)
                    _check(left >= 0, True, size_max)
                    out.append(piece)
            except self._module.ZstdError as error:
                raise ValueError(str(error)) from None
            _check(True, frame.eof, size_max)
            data = frame.unused_data + data[position:]
        return b"".join(out)


_FED_BYTES = 1024
"""A kilobyte that is as dense as can be is some 30 MB: the most that is ever over the bound."""


def _check(fits: bool, whole: bool, size_max: int) -> None:
    if not fits:
        raise ValueError(f"it holds more than {size_max} bytes")
    if not whole:
        raise ValueError("it is cut off")
