"""What a run has found: as a table, and event by event. Both only look at the run directory, also beside a run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ._program import ENDS_WITH_US, CandistError, Pipe, error, output, read_back, start

TableKind = Literal["pandas", "polars", "arrow"]


def labels(
    run: str | os.PathLike[str],
    *,
    as_: TableKind = "pandas",
    join: bool = False,
    text: bool = False,
    min_confidence: float | None = None,
    max_confidence: float | None = None,
    doubtful: int | None = None,
    label: str | Sequence[str] | None = None,
    audited: str | os.PathLike[str] | None = None,
    coverage: float | None = None,
) -> Any:
    """The labels of a run as they are now, one row a text, in the order of the corpus.

    ``run`` is a run directory, the configuration that names it, or a :class:`candist.Run`. The columns are those of
    ``candist export --labels``: id, label, confidence, margin, others, candidates and more; ``join`` adds the corpus' own columns (then
    ``run`` must be the configuration), ``text`` the text. ``doubtful`` keeps so many labels, the least certain first.

    ``audited`` names a sample of the run's labels that a person filled in (``candist audit RUN --sample N``): confidences are then
    recalibrated by it, and ``confidence_raw`` has the run's own. ``coverage`` adds ``label_set``, sets that hold the right label
    that often.

    The table is a pandas or polars DataFrame, or a pyarrow Table.
    """
    args: list[str | os.PathLike[str]] = ["export", run, "--labels", "-", "--format", "parquet"]
    args += [flag for flag, wanted in (("--join", join), ("--text", text)) if wanted]
    options = {
        "--min-confidence": min_confidence,
        "--max-confidence": max_confidence,
        "--doubtful": doubtful,
        "--audited": audited,
        "--coverage": coverage,
    }
    for flag, value in options.items():
        if value is not None:
            args += [flag, str(value)]
    for name in [label] if isinstance(label, str) else label or []:
        args += ["--label", name]
    check_kind(as_)
    return from_parquet(output(args), as_)


def check_kind(as_: str) -> None:
    """Before anything is asked for: a slip is told at once."""
    if as_ not in ("pandas", "polars", "arrow"):
        raise ValueError(f'as_ must be "pandas", "polars" or "arrow", not {as_!r}')
    pyarrow()
    if as_ != "arrow":
        _import(as_)


def from_parquet(content: bytes, as_: TableKind) -> Any:
    """The bytes of a Parquet file as a table."""
    pyarrow()
    from pyarrow import parquet

    return as_kind(parquet.read_table(io.BytesIO(content)), as_)


def as_kind(table: Any, as_: TableKind) -> Any:
    """A pyarrow Table as a table of another kind."""
    match as_:
        case "pandas":
            return table.to_pandas()
        case "polars":
            return _import("polars").from_arrow(table)
        case _:
            return table


def pyarrow() -> Any:
    """The module ``pyarrow``."""
    return _import("pyarrow")


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as missing:
        extra = "arrow" if name == "pyarrow" else name
        raise CandistError(f"this needs {name}: pip install 'candist[{extra}]'") from missing


@dataclass(frozen=True)
class LabelEvent:
    """A label event: one line of the label log. Of several events with the same id the last holds."""

    offset: int
    id: str
    label: str
    confidence: float
    candidates: tuple[str, ...]
    #: The refinery's name, or "student" where no teacher named a label.
    by: str
    #: 0 for the first label of a text, then 1, 2, ...
    revision: int
    #: Whether the corpus had ended and the student settled.
    final: bool
    #: How much likelier the label is than the next; None where the log does not say.
    margin: float | None = None
    #: The next likeliest labels with their probabilities, the likeliest first; None where the log does not say.
    others: tuple[tuple[str, float], ...] | None = None

    @staticmethod
    def of(line: str | bytes) -> LabelEvent:
        """The event in a line of the log."""
        value = json.loads(line)
        others = value.get("others")
        return LabelEvent(
            offset=value["offset"],
            id=value["id"],
            label=value["label"],
            confidence=value["confidence"],
            candidates=tuple(value["candidates"]),
            by=value["by"],
            revision=value["revision"],
            final=value["final"],
            margin=value.get("margin"),
            others=None if others is None else tuple((other["label"], other["confidence"]) for other in others),
        )


def tail(
    run: str | os.PathLike[str],
    *,
    final: bool = True,
    follow: bool = True,
    start_at: int = 0,
    label: str | None = None,
    min_confidence: float | None = None,
) -> Iterator[LabelEvent]:
    """The label events of a run, in the order of the log.

    ``final`` leaves out labels that may still change. ``follow`` waits for more, until the run is complete; without it the
    events end with the log as it is. Leaving the loop ends the program that reads along.
    """
    args: list[str | os.PathLike[str]] = ["tail", run, "--from", str(start_at)]
    args += [flag for flag, wanted in (("--final", final), ("--follow", follow)) if wanted]
    if label is not None:
        args += ["--label", label]
    if min_confidence is not None:
        args += ["--min-confidence", str(min_confidence)]
    with tempfile.TemporaryFile() as said:
        child = start(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=ENDS_WITH_US)
        try:
            pipe = Pipe(child.stdout)
            while (line := pipe.line()) is not None:
                yield LabelEvent.of(line)
            code = child.wait()
        finally:
            # The reader has had enough, or the program ended before.
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()
        if code != 0:
            raise error(code, read_back(said))
