"""The parts that need no program."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import candist
import pytest
from candist._program import error
from candist._progress import describe, summarise
from candist._toml import to_toml


def test_a_configuration_survives_toml() -> None:
    config = {
        "task": {"name": 'quoted "name"\n\x00\x7f é 👋', "labels": ["a", {"name": "b", "aliases": ["c"]}], "empty": []},
        "teachers": [{"kind": "openai", "price": {"input": 0.15}, "tries": 3, "on": True}, {"odd key": 1e-9}],
        "run": {"dir": "x", "nested": {"deep": {"deeper": -1}}},
    }
    assert tomllib.loads(to_toml(config)) == config
    plain = to_toml({"a": None, "b": Path("x/y"), "c": Decimal("0.10"), "d": ("e", "f")})
    assert tomllib.loads(plain) == {"b": "x/y", "c": "0.10", "d": ["e", "f"]}
    with pytest.raises(TypeError, match=r"run\.dir cannot be of type object"):
        to_toml({"run": {"dir": object()}})


def test_progress_tells_what_it_knows() -> None:
    assert describe({}) == "candist: "
    asking = {"phase": "annotating", "done": 1200, "total": 5000, "texts_per_s": 12.34, "left_s": 3725.0, "in_flight": 8}
    assert describe(asking) == "candist: 1,200 of 5,000 texts, 24%, 12.3/s, 1:02:05 left, 8 in flight"
    money = {"done": 12, "total": None, "spent": "0.125", "max_cost": "5.00", "failed": 0, "unanswered": 2}
    assert describe(money) == "candist: 12 texts, 2 unanswered, spent 0.12 of 5.00"
    assert "settling, pass 2 of at most 9" in describe({"phase": "settling", "pass": 2, "max_passes": 9, "done": 1, "total": 1})
    assert "paused 12 s: 429 from api" in describe({"pause": {"seconds": 11.6, "why": "429 from api"}})
    # What a later program says in another way does no harm.
    assert describe({"done": "many", "pause": 3, "spent": [], "phase": None}) == "candist: "


def test_a_summary_is_one_line() -> None:
    summary = {"texts": 3080, "doubtful": {"below": 0.5, "texts": 7}, "failures": {"bad_rows": 0, "unanswered": 2}}
    line = summarise(summary | {"spent": "0.5", "seconds": 61.2})
    assert line == (
        "candist: complete: 3,080 texts labelled, 7 of them doubtful (confidence below 0.5), 2 unanswered, spent 0.50, took 1:01"
    )
    assert summarise({}) == "candist: complete: "


def test_the_package_is_typed_and_carries_the_program() -> None:
    assert (Path(candist.__file__).parent / "py.typed").is_file()
    assert Path(candist.__file__).parent in candist.program().parents
    command = Path(sys.executable).parent / "candist"
    said = subprocess.run([command, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.startswith("candist ")
    # Exit codes go through.
    assert subprocess.run([command, "run", "nowhere.toml"], stderr=subprocess.DEVNULL).returncode == 2


def test_errors_are_told_whole_and_alone() -> None:
    said = "candist: looking\ncandist: warning: slow\ncandist: error: two things:\n  one\n  another\ncandist: bye\n"
    assert str(error(2, said)) == "two things:\n  one\n  another"
    assert str(error(2, "error: unexpected argument '--x'\n\nFor more, try '--help'.\n")).startswith("unexpected argument")
    assert str(error(1, "")) == "candist ended with exit code 1"


def test_a_table_of_another_kind_is_refused() -> None:
    class Table:
        columns = ("text",)

        def __iter__(self) -> object:
            return iter(self.columns)

    with pytest.raises(TypeError, match="a DataFrame or a list of texts"):
        candist.annotate(Table(), ["a", "b"], instruction="x", teacher="y")


def test_a_program_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDIST_PROGRAM", "/nowhere/candist")
    with pytest.raises(candist.CandistError, match="/nowhere/candist is not there"):
        candist.run("config.toml")


def test_importing_needs_no_other_package(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'pandas', 'polars'))); import candist; "
    script = blocked + "candist.labels('x')"
    ended = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env={**os.environ})
    assert "pip install 'candist[arrow]'" in ended.stderr
