"""One long-lived process that labels new text."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import candist
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import DATA


def held_out(count: int) -> list[str]:
    lines = (DATA / "heldout_gold.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines[:count]]


def test_ten_thousand_texts_are_labelled_in_their_order(student_folder: Path) -> None:
    texts = held_out(10_000)
    with candist.Student(student_folder) as student:
        found = student.predict(texts)
        assert len(found) == len(texts) and all(one.error is None for one in found)
        # By itself, each is labelled the same.
        assert student.predict(texts[4095:4097]) == found[4095:4097]
        assert len({one.label for one in found}) > 20


def test_a_column_of_every_kind_gives_the_same(student_folder: Path) -> None:
    texts = [*held_out(20), None, ""]
    with candist.Student(student_folder) as student:
        plain = student.predict(texts)
        assert plain[-2].label is None and "null" in str(plain[-2].error) and "empty" in str(plain[-1].error)
        columns = [pd.Series(texts), pd.Series(texts, dtype="category"), pl.Series(texts), pa.array(texts), iter(texts)]
        columns += [pa.chunked_array([texts[:3], texts[3:]], type=pa.string())]
        for column in columns:
            assert student.predict(column) == plain
        frame = student.predict(texts, as_="pandas")
        assert list(frame["label"][:20]) == [one.label for one in plain[:20]] and len(frame) == 22
        assert student.predict(texts, as_="polars").height == student.predict(texts, as_="arrow").num_rows == 22
        assert student.predict([]) == [] and student.predict([], as_="arrow").num_rows == 0
        # What cannot be sent does no harm to what comes after.
        unfit: list[Any] = [["\ud800"], [1, 2]]
        for wrong in unfit:
            with pytest.raises((ValueError, TypeError, pa.ArrowException)):
                student.predict(wrong)
        with pytest.raises(TypeError, match="not one text"):
            student.predict("where is my card?")
        assert student.predict(texts) == plain


def test_candidates_are_named_where_it_is_not_sure(student_folder: Path) -> None:
    with candist.Student(student_folder, min_confidence=1.0) as student:
        (one,) = student.predict(["zzz"])
        assert one.label is None and len(one.candidates) > 1 and one.confidence is not None


def test_threads_share_one(student_folder: Path) -> None:
    texts = held_out(200)
    with candist.Student(student_folder) as student, ThreadPoolExecutor(8) as pool:
        alone = [student.predict([text])[0] for text in texts]
        assert [found for (found,) in pool.map(lambda text: student.predict([text]), texts)] == alone


def test_no_student_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(candist.CandistError, match="candist export RUN --student DIR") as raised:
        candist.Student(tmp_path)
    assert raised.value.exit_code == 2


def test_it_is_never_started_again_by_itself(student_folder: Path) -> None:
    student = candist.Student(student_folder)
    os.kill(student._child.pid, signal.SIGKILL)
    student._child.wait()
    with pytest.raises(candist.CandistError, match="signal 9"):
        student.predict(["where is my card?"])
    with pytest.raises(candist.CandistError, match="open it again"):
        student.predict(["where is my card?"])
    student.close()
    student.close()
    closed = candist.Student(student_folder)
    closed.close()
    with pytest.raises(candist.CandistError, match="is closed"):
        closed.predict(["where is my card?"])


def test_an_interrupt_leaves_no_answer_to_the_next_question(student_folder: Path) -> None:
    # Who was started in the background ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    student = candist.Student(student_folder)
    os.kill(student._child.pid, signal.SIGSTOP)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        student.predict(["where is my card?"])
    signal.signal(signal.SIGINT, before)
    with pytest.raises(candist.CandistError, match="was interrupted"):
        student.predict(["where is my card?"])


def _predict_in_a_fork(student: candist.Student, answer: Any) -> None:
    try:
        student.predict(["where is my card?"])
    except candist.CandistError as error:
        answer.put(str(error))


def test_a_fork_is_told_to_open_its_own(student_folder: Path) -> None:
    with candist.Student(student_folder) as student:
        context = multiprocessing.get_context("fork")
        answer = context.Queue()
        child = context.Process(target=_predict_in_a_fork, args=(student, answer))
        child.start()
        assert "belongs to the process that opened it" in answer.get(timeout=60)
        child.join(60)
        # The fork's end did not end it.
        assert student.predict(["where is my card?"])[0].label


def test_it_ends_with_its_python(student_folder: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        student = candist.Student(student_folder)
        os.write(writing, str(student._child.pid).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(reading, 20))
    patience = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < patience
        time.sleep(0.02)


def test_libraries_of_this_process_are_not_taken_for_its_own(
    student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("libtorch_cpu.so", "libc10.so", "libgomp.so.1"):
        (tmp_path / name).write_bytes(b"no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "libc10.so"))
    with candist.Student(student_folder) as student:
        assert student.predict(["where is my card?"])[0].label
