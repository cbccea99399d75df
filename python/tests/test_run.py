"""Runs: complete, killed, interrupted, refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import candist
import pytest
from conftest import DATA, REPOSITORY, completion, sample


def test_the_quickstart_is_annotated_offline(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = candist.run(REPOSITORY / "configs" / "quickstart.toml", run_dir="run")
    assert run.path == Path("run")
    gold = {row["id"]: row["label"] for row in map(json.loads, (DATA / "pool_gold.jsonl").read_text().splitlines())}
    found = {event.id: event.label for event in run.tail()}
    assert found.keys() == gold.keys()
    right = sum(found[id] == label for id, label in gold.items())
    assert right / len(gold) > 0.85
    # Said where it does not disturb what a program prints.
    out, err = capsys.readouterr()
    assert out == "" and "complete" in err


def test_a_dict_is_a_configuration_and_the_same_call_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = sample(here, 16)
    run = candist.run(config, quiet=True)
    assert run.path == Path("bank.candist.toml") and (here / "run" / "labels.jsonl").is_file()
    before = (here / "run" / "labels.jsonl").read_bytes()
    candist.run(config, quiet=True)
    assert (here / "run" / "labels.jsonl").read_bytes() == before
    assert capsys.readouterr().err == ""
    # The file is a configuration like any other.
    assert list(candist.tail("bank.candist.toml", follow=False))
    # One that somebody else wrote stays.
    (here / "bank.candist.toml").write_text("# mine\n")
    with pytest.raises(candist.CandistError, match="was not written by candist.run"):
        candist.run(config)
    assert (here / "bank.candist.toml").read_text() == "# mine\n"


def test_a_pilot_asks_about_the_first_texts_alone(here: Path) -> None:
    run = candist.run(sample(here, 16), limit=50, quiet=True)
    assert len({event.id for event in run.tail(final=False)}) == 50


def test_what_has_to_be_changed_is_an_error_that_says_it(here: Path) -> None:
    config = sample(here, 64)
    config["corpus"]["path"] = "nowhere.jsonl"
    with pytest.raises(candist.CandistError, match="nowhere.jsonl") as raised:
        candist.run(config, quiet=True)
    assert raised.value.exit_code == 2
    config["task"]["lables"] = ["a"]
    with pytest.raises(candist.CandistError, match="lables"):
        candist.run(config, quiet=True)
    with pytest.raises(candist.CandistError, match="nowhere.toml"):
        candist.run("nowhere.toml")
    with pytest.raises(TypeError, match="task.labels"):
        candist.run({"task": {"name": "bank", "labels": [object()]}})


def test_texts_without_an_answer_make_a_run_incomplete(here: Path, server: Callable[..., str]) -> None:
    asked: list[Any] = []

    def reply(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        asked.append(body)
        if len(asked) > 20:
            return 401, {"error": {"message": "the key was withdrawn"}}
        return 200, completion(["card_arrival"])

    config = sample(here, 64)
    teacher = {"kind": "openai", "base_url": server(reply), "model": "m", "max_in_flight": 1}
    with pytest.raises(candist.Incomplete, match="key was withdrawn") as raised:
        candist.run(config | {"teachers": [teacher]}, quiet=True)
    assert raised.value.exit_code == 3
    # What there is can be looked at.
    assert 0 < len({event.id for event in raised.value.run.tail(final=False)}) <= 20


SCRIPT = """
import candist, sys
try:
    candist.run("config.toml")
except KeyboardInterrupt:
    sys.exit("stopped by a person")
"""


def started(here: Path, server: Callable[..., str]) -> tuple[subprocess.Popen[str], Path]:
    """A Python that runs a corpus with a slow teacher; back once there are answers."""

    def reply(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        time.sleep(0.05)
        return 200, completion(["card_arrival"])

    config = sample(here, 8)
    config["teachers"] = [{"kind": "openai", "base_url": server(reply), "model": "m", "max_in_flight": 2}]
    from candist._toml import to_toml

    (here / "config.toml").write_text(to_toml(config))
    child = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=subprocess.PIPE, text=True, start_new_session=True)
    answers = here / "run" / "answers.jsonl"
    patience = time.monotonic() + 60
    while not answers.exists() or answers.stat().st_size == 0:
        assert time.monotonic() < patience and child.poll() is None
        time.sleep(0.01)
    return child, answers


def test_an_interrupt_stops_a_run_and_the_next_call_goes_on(here: Path, server: Callable[..., str]) -> None:
    child, answers = started(here, server)
    # As a terminal does: the whole group.
    os.killpg(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1 and "stopped by a person" in said
    assert "waiting for answers on their way" in said
    before = answers.read_bytes()
    candist.run("config.toml", quiet=True)
    assert answers.read_bytes().startswith(before)


def test_a_run_ends_with_a_killed_python_and_the_next_call_goes_on(here: Path, server: Callable[..., str]) -> None:
    child, answers = started(here, server)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    before = answers.read_bytes()
    patience = time.monotonic() + 60
    while True:
        # Held until the program has stopped.
        try:
            candist.run("config.toml", quiet=True)
            break
        except candist.CandistError as held:
            assert time.monotonic() < patience, held
            time.sleep(0.1)
    assert answers.read_bytes().startswith(before)
    found = (here / "run" / "labels.jsonl").read_bytes()
    # The same as without any kill.
    shutil.rmtree(here / "run" / "store")
    (here / "other").mkdir()
    shutil.copy(answers, here / "other" / "answers.jsonl")
    candist.run("config.toml", run_dir="other", quiet=True)
    assert (here / "other" / "labels.jsonl").read_bytes() == found
