"""Labels as tables and as events."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import candist
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest


def test_labels_are_a_table_of_each_kind(finished: candist.Run) -> None:
    frame = candist.labels(finished)
    assert isinstance(frame, pd.DataFrame)
    assert frame["id"].is_unique and len(frame) == 385
    assert frame["confidence"].between(0, 1).all()
    assert isinstance(finished.labels(as_="polars"), pl.DataFrame)
    table = finished.labels(as_="arrow")
    assert isinstance(table, pa.Table)
    assert table.schema.field("candidates").type == pa.list_(pa.string())
    with pytest.raises(ValueError, match="must be"):
        finished.labels(as_="excel")  # type: ignore[arg-type]


def test_labels_are_filtered_and_joined(finished: candist.Run) -> None:
    every = finished.labels()
    sure = finished.labels(min_confidence=0.9)
    assert len(sure) == (every["confidence"] >= 0.9).sum()
    doubtful = finished.labels(doubtful=7)
    assert len(doubtful) == 7 and doubtful["confidence"].is_monotonic_increasing
    name = every["label"].mode()[0]
    assert set(finished.labels(label=name)["label"]) == {name}
    assert finished.labels(join=True)["text"].str.len().min() > 0
    assert finished.labels(text=True)["text"].notna().all()
    with pytest.raises(candist.CandistError):
        finished.labels(min_confidence=2)


def test_a_run_that_is_none_is_named(tmp_path: Path) -> None:
    for look in (candist.labels, lambda run: list(candist.tail(run, follow=False))):
        with pytest.raises(candist.CandistError, match=str(tmp_path)) as raised:
            look(tmp_path)
        assert raised.value.exit_code == 2


def test_events_are_those_of_the_log(finished: candist.Run) -> None:
    log = finished.path.parent / "run" / "labels.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    events = list(candist.tail(finished, final=False, follow=False))
    assert [event.offset for event in events] == [line["offset"] for line in lines]
    assert events[0].candidates == tuple(lines[0]["candidates"])
    final = list(candist.tail(finished))
    assert len(final) == 385 and all(event.final for event in final)
    late = candist.tail(finished, final=False, follow=False, start_at=100, min_confidence=0.5)
    assert all(event.offset >= 100 and event.confidence >= 0.5 for event in late)


def test_leaving_the_loop_ends_the_program(finished: candist.Run) -> None:
    events = candist.tail(finished, final=False)
    first = next(events)
    events.close()  # type: ignore[attr-defined]
    assert first.offset == 0
    listed = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert f"tail {finished.path}" not in listed
