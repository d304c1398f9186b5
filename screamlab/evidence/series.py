"""All series of a run in one Parquet file: one row per value, in bounded memory (DuckDB)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import duckdb

_MEMORY = "768MB"
_SCHEMA = "(t DOUBLE, host VARCHAR, subject VARCHAR, metric VARCHAR, value DOUBLE)"
# A line that is no sample becomes one row without a metric, so that it can be counted.
_INSERT = """
    INSERT INTO series
    SELECT t, $host, subject, entry.key, entry.value
    FROM (
        SELECT t, subject, unnest(
            CASE WHEN isfinite(t) AND subject IS NOT NULL AND "values" IS NOT NULL
            THEN map_entries("values") ELSE [NULL] END
        ) AS entry
        FROM read_json(
            $path, format = 'newline_delimited', ignore_errors = true,
            columns = {t: 'DOUBLE', subject: 'VARCHAR', "values": 'MAP(VARCHAR, DOUBLE)'}
        )
    )
"""
_COUNT_BROKEN = "SELECT count(*) FROM series WHERE metric IS NULL"
# Values that are null or not finite were never measured.
_MEASURED = "FROM series WHERE metric IS NOT NULL AND isfinite(value)"
# Sorted so that one subject's one metric lies together: a reader skips all the rest.
_EXPORT = f"""
    COPY ({_MEASURED} ORDER BY subject, metric, host, t)
    TO '{{target}}' (FORMAT parquet, COMPRESSION zstd)
"""


def build_series(paths: Iterable[Path], target: Path) -> tuple[int, dict[Path, int]]:
    """Write `target` (t unix seconds, host, subject, metric, value) from series files.

    The host is the folder a file lies in. Answers the number of values and, per file, the number
    of lines that were no sample.
    """
    broken: dict[Path, int] = {}
    draft = target.with_name(f".{target.name}.part")
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".series-") as folder,
        _connect(Path(folder)) as database,
    ):
        database.execute(f"CREATE TABLE series {_SCHEMA}")
        broken_before = 0
        for path in paths:
            broken[path] = 0
            if path.stat().st_size == 0:
                continue
            database.execute(_INSERT, {"path": str(path), "host": path.parent.name})
            broken_now = _one(database.execute(_COUNT_BROKEN))
            broken[path], broken_before = broken_now - broken_before, broken_now
        values = _one(database.execute(f"SELECT count(*) {_MEASURED}"))
        database.execute(_EXPORT.format(target=str(draft).replace("'", "''")))
    draft.replace(target)
    return values, broken


def _connect(folder: Path) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY,
        "temp_directory": str(folder / "spill"),
        "preserve_insertion_order": False,
    }
    return duckdb.connect(str(folder / "series.duckdb"), config=settings)


def _one(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    assert row is not None
    return int(row[0])
