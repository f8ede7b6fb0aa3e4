"""Request headers, decoded when somebody asks: most attempts need only one of them."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class LazyHeaders(Mapping[str, str]):
    """Headers by lower-case name; the last one of a repeated name."""

    __slots__ = ("_decoded",)

    def __init__(self) -> None:
        self._decoded: dict[str, str] | None = None

    @abstractmethod
    def _read(self) -> dict[str, str]:
        """Decode all of them."""

    def _all(self) -> dict[str, str]:
        if self._decoded is None:
            self._decoded = self._read()
        return self._decoded

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class AsgiHeaders(LazyHeaders):
    """ASGI's list of pairs of bytes."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__()
        self._raw = raw

    def _read(self) -> dict[str, str]:
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._raw}

    def content_type(self) -> str:
        """The content type; empty when there is none."""
        for name, value in self._raw:
            if name == b"content-type":
                return value.decode("latin-1")
        return self._all().get("content-type", "")


class TextHeaders(Protocol):
    """RSGI's headers."""

    def items(self) -> list[tuple[str, str]]: ...
    def get(self, key: str, default: str) -> str: ...


class RsgiHeaders(LazyHeaders):
    """RSGI's own mapping, which reads slowly."""

    __slots__ = ("_raw",)

    def __init__(self, raw: TextHeaders) -> None:
        super().__init__()
        self._raw = raw

    def _read(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self._raw.items()}

    def content_type(self) -> str:
        """The content type; empty when there is none."""
        return self._raw.get("content-type", "")


class PairHeaders(LazyHeaders):
    """A list of pairs of text, names in lower case."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._raw = raw

    def _read(self) -> dict[str, str]:
        return dict(self._raw)

    def content_type(self) -> str:
        """The content type; empty when there is none."""
        for name, value in self._raw:
            if name == "content-type":
                return value
        return ""
