"""The file: what it refuses, and that it says why."""

from pathlib import Path

import apsw
import pytest

from holdfast.catalog.catalog import Catalog
from holdfast.catalog.errors import CatalogFileError
from holdfast.catalog.file import MIGRATIONS

from .support import discovered, service


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta.sqlite"


def refusal(path: Path, partitions: int | None = None) -> CatalogFileError:
    with pytest.raises(CatalogFileError) as refused:
        Catalog.open(path, partitions)
    assert str(path) in refused.value.message
    return refused.value


def test_a_file_of_a_newer_release_is_left_alone(path: Path) -> None:
    Catalog.open(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", len(MIGRATIONS) + 1)
    connection.close()
    error = refusal(path)
    assert error.code == "HF0011"
    assert "newer release" in error.message


def test_the_number_of_partitions_is_fixed_at_creation(path: Path) -> None:
    created = Catalog.open(path, 4)
    assert created.partitions == 4
    created.close()
    error = refusal(path, 8)
    assert error.code == "HF0017"
    assert "configure 4" in error.message
    reopened = Catalog.open(path)
    assert reopened.partitions == 4
    reopened.close()


def test_a_single_partition_is_the_default(path: Path) -> None:
    catalog = Catalog.open(path)
    assert catalog.partitions == 1
    catalog.close()


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"something else entirely" * 100)
    assert refusal(path).code == "HF0010"


def test_a_missing_folder_is_refused(path: Path) -> None:
    assert refusal(path.parent / "nowhere" / "meta.sqlite").code == "HF0012"


def test_a_damaged_manifest_names_its_deployment(path: Path) -> None:
    catalog = Catalog.open(path)
    found = discovered(service("S"))
    id_ = catalog.register(found, force=False, breaking=False, dry_run=False, now_ms=1).deployment.id
    catalog.close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE deployment SET manifest = ?", (b"{",))
    connection.close()
    error = refusal(path)
    assert error.code == "HF0010"
    assert id_ in error.message


def test_a_change_that_cannot_be_written_does_not_happen(path: Path) -> None:
    catalog = Catalog.open(path)
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON service BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(CatalogFileError, match="nothing was changed") as refused:
        catalog.register(discovered(service("S")), force=False, breaking=False, dry_run=False, now_ms=1)
    assert refused.value.code == "HF0014"
    assert catalog.deployments() == []
    assert connection.execute("SELECT count(*) FROM deployment").get == 0
    connection.close()
    catalog.close()


def test_changes_after_closing_are_refused_and_lookups_go_on(path: Path) -> None:
    catalog = Catalog.open(path)
    catalog.register(discovered(service("S")), force=False, breaking=False, dry_run=False, now_ms=1)
    catalog.close()
    catalog.close()
    with pytest.raises(CatalogFileError, match="closed"):
        catalog.register(
            discovered(service("T"), uri="http://t"), force=False, breaking=False, dry_run=False, now_ms=1
        )
    assert catalog.handler("S", "run") is not None
    assert catalog.handler("T", "run") is None
