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
from candist._progress import describe
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
    line = describe({"placed": 1200, "total": 5000, "rate": 12.34, "eta_s": 3725, "in_flight": 8, "failed": 0, "cost": "0.12"})
    assert line == "candist: 1,200 of 5,000 texts (24%), 12.3/s, 1:02:05 left, 8 in flight, spent 0.12"


def test_the_package_is_typed_and_carries_the_program() -> None:
    assert (Path(candist.__file__).parent / "py.typed").is_file()
    assert Path(candist.__file__).parent in candist.program().parents
    command = Path(sys.executable).parent / "candist"
    said = subprocess.run([command, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.startswith("candist ")
    # Exit codes go through.
    assert subprocess.run([command, "run", "nowhere.toml"], stderr=subprocess.DEVNULL).returncode == 2


def test_a_program_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDIST_PROGRAM", "/nowhere/candist")
    with pytest.raises(candist.CandistError, match="/nowhere/candist is not there"):
        candist.run("config.toml")


def test_importing_needs_no_other_package(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'pandas', 'polars'))); import candist; "
    script = blocked + "candist.labels('x')"
    ended = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env={**os.environ})
    assert "pip install 'candist[arrow]'" in ended.stderr
