"""A DataFrame in, a DataFrame out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import candist
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import completion

WORDS = {"refund": "money", "delivery": "parcel", "other": "hello"}


@pytest.fixture
def teacher(server: Callable[..., str]) -> tuple[dict[str, Any], list[str]]:
    """A teacher that names the label whose word is in the text, and the texts that it was asked about."""
    asked: list[str] = []

    def reply(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        text = body["messages"][-1]["content"]
        asked.append(text)
        return 200, completion([label for label, word in WORDS.items() if word in text])

    return {"kind": "openai", "base_url": server(reply), "model": "m"}, asked


def texts(count: int) -> list[str]:
    return [f"{word} number {n}" for n in range(count) for word in WORDS.values()]


def test_a_frame_comes_back_with_labels(here: Path, teacher: tuple[dict[str, Any], list[str]]) -> None:
    settings, asked = teacher
    bodies: list[str | None] = [*texts(20), None, "", "money number 0"]
    frame = pd.DataFrame({"n": range(len(bodies)), "body": bodies}, index=range(100, 100 + len(bodies)))
    options: dict[str, Any] = {"instruction": "What is it about?", "teacher": settings, "quiet": True}
    options |= {"text": "body", "folder": "mine"}
    found = candist.annotate(frame, list(WORDS), **options)
    assert list(found.index) == list(frame.index) and list(found["n"]) == list(frame["n"])
    for row in found.itertuples():
        expected = next((label for label, word in WORDS.items() if row.body and word in row.body), None)
        assert row.label == expected or (expected is None and pd.isna(row.label))
    assert len(asked) == 60
    # The same again asks nothing; new rows alone are asked about, in whatever order.
    more = pd.DataFrame({"body": ["parcel of my aunt", *texts(20)[::-1]]})
    again = candist.annotate(more, list(WORDS), **options)
    assert len(again) == 61 and again["label"][0] == "delivery" and len(asked) == 61


def test_lists_and_other_tables(here: Path, teacher: tuple[dict[str, Any], list[str]]) -> None:
    options: dict[str, Any] = {"instruction": "What is it about?", "teacher": [teacher[0]], "quiet": True}
    labels: list[Any] = [{"name": "refund", "description": "wants money back"}, "delivery", "other"]
    table = candist.annotate(texts(10), labels, **options)
    assert isinstance(table, pa.Table) and table.column_names == ["text", "label", "confidence", "candidates"]
    frame = candist.annotate(pl.DataFrame({"text": texts(10)}), labels, **options)
    assert isinstance(frame, pl.DataFrame) and frame["label"].to_list() == table.column("label").to_pylist()
    with pytest.raises(KeyError, match="names the column"):
        candist.annotate(pd.DataFrame({"body": ["x"]}), labels, **options)
    with pytest.raises(TypeError, match="must be strings"):
        candist.annotate(pd.DataFrame({"text": [1]}), labels, **options)
