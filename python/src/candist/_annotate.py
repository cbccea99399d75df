"""A table in, a table out: the shortest way, for a notebook."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._labels import as_kind, from_parquet, pyarrow
from ._program import output
from ._run import run
from ._toml import to_toml

_ADDED = ("label", "confidence", "candidates")


def annotate(
    texts: Any,
    labels: Sequence[str | Mapping[str, Any]],
    *,
    instruction: str,
    teacher: str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    text: str = "text",
    folder: str | os.PathLike[str] = "candist-annotate",
    limit: int | None = None,
    max_cost: float | None = None,
    config: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Any:
    """Labels texts: a DataFrame of pandas or polars (or a pyarrow Table) with the column ``text``, or a list of texts.

    Gives the same table with the columns label, confidence and candidates, a row for each row; for a list, a pyarrow Table
    with the column text. A row without a text, or whose text got no label, has nulls.

    ``labels`` are names, or dicts with name, description and aliases. ``teacher`` is a teacher of the configuration as a dict
    (``{"kind": "openai", "base_url": .., "model": .., "api_key_env": .., "price": ..}``), a list of them, or the name of a
    model of OpenAI (whose key is in OPENAI_API_KEY). ``config`` has further tables of the configuration.

    Everything is kept in ``folder``: corpus, configuration, run. The same call goes on there, asks about new texts alone, and
    pays for nothing twice. Equal texts are asked about once.
    """
    pyarrow()
    table, kind = _table(texts, text)
    if text not in table.column_names:
        raise KeyError(f"no column {text!r}, there is {', '.join(table.column_names)}: text= names the column of the texts")
    keys = [_key(value) for value in table.column(text).to_pylist()]
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    rows = dict(zip(keys, table.column(text).to_pylist(), strict=True))
    _write_corpus(home / "corpus.jsonl", rows)
    settings: dict[str, Any] = {
        "task": {"name": home.name, "instruction": instruction, "labels": list(labels)},
        "corpus": {"path": "corpus.jsonl"},
        "teachers": _teachers(teacher),
        "run": {"dir": "run", "max_cost": max_cost},
    }
    for name, values in (config or {}).items():
        settings[name] = {**settings.get(name, {}), **values} if isinstance(values, Mapping) else values
    path = home / "candist.toml"
    path.write_text("# Written by candist.annotate(), and by its next call again.\n\n" + to_toml(settings), encoding="utf-8")
    finished = run(path, limit=limit, quiet=quiet)
    found = from_parquet(output(["export", finished, "--labels", "-", "--format", "parquet"]), "arrow")
    return as_kind(_joined(table, keys, found), kind)


def _table(texts: Any, text: str) -> tuple[Any, Any]:
    """The texts as an Arrow table, and what kind of table the caller has."""
    pa = pyarrow()
    module = type(texts).__module__
    if isinstance(texts, pa.Table):
        return texts, "arrow"
    if module.split(".")[0] == "pandas" and hasattr(texts, "columns"):
        return pa.Table.from_pandas(texts), "pandas"
    if module.split(".")[0] == "polars" and hasattr(texts, "columns"):
        return texts.to_arrow(), "polars"
    # A table of a kind that is not known would be iterated by its columns.
    if isinstance(texts, str) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise TypeError("annotate takes a DataFrame or a list of texts")
    return pa.table({text: pa.array(list(texts), type=pa.string())}), "arrow"


def _key(value: Any) -> str | None:
    """The id of a text: by its content, so that a row is known again wherever it stands."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"the texts must be strings, and one is of type {type(value).__name__}")
    return hashlib.sha256(value.encode()).hexdigest()[:32] if value.strip() else None


def _write_corpus(path: Path, rows: Mapping[str | None, str]) -> None:
    """All of it or nothing: a corpus cut short would be taken for the whole."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for key, value in rows.items():
            if key is not None:
                file.write(json.dumps({"id": key, "text": value}, ensure_ascii=False) + "\n")
    partial.replace(path)


def _teachers(teacher: str | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if isinstance(teacher, str):
        url = "https://api.openai.com/v1"
        return [{"kind": "openai", "base_url": url, "model": teacher, "api_key_env": "OPENAI_API_KEY"}]
    return [teacher] if isinstance(teacher, Mapping) else list(teacher)


def _joined(table: Any, keys: Sequence[str | None], found: Any) -> Any:
    """The caller's table with the labels found, in its own order."""
    pa = pyarrow()
    place = {key: row for row, key in enumerate(found.column("id").to_pylist())}
    take = pa.array([place.get(key) for key in keys], type=pa.int64())
    for name in _ADDED:
        column = found.column(name).take(take)
        at = table.column_names.index(name) if name in table.column_names else None
        table = table.append_column(name, column) if at is None else table.set_column(at, name, column)
    return table
