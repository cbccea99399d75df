"""A finished student, in one long-lived process that is asked by Arrow IPC streams."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._labels import TableKind, as_kind, check_kind, pyarrow
from ._program import CandistError, Pipe, error, read_back, start

#: Texts that are sent at once. The program answers each batch before the next is sent.
_BATCH = 4096


@dataclass(frozen=True)
class Prediction:
    """What the student makes of a text."""

    #: None where the student is less sure than ``min_confidence``, or the text was none.
    label: str | None
    #: The probability of the likeliest label.
    confidence: float | None
    #: Likeliest first; only where there is no label.
    candidates: tuple[str, ...] = ()
    #: Why there is nothing to say: the text was empty, or None.
    error: str | None = None


class Student:
    """A student that labels new text, without any LLM::

        with candist.Student("my-student") as student:
            student.predict(["where is my card?"])[0].label

    ``path`` is a folder that ``candist export RUN --student`` (or :meth:`candist.Run.export_student`) wrote. The student lives in
    a process of its own, from here to :meth:`close`, and ends with this process. Threads may share it: they are served one
    after the other. Forked processes may not: each opens its own. It is never started again by itself: where the process
    died, or a call was interrupted, calls raise :class:`candist.CandistError` until another is opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_confidence: float = 0.0,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "fp32",
    ) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._over: str | None = None
        self._pyarrow = pa = pyarrow()
        import pyarrow.ipc as ipc

        self._said = tempfile.TemporaryFile()
        args: list[str | os.PathLike[str]] = ["predict", "--student", path, "--format", "arrow", "--device", device]
        args += ["--min-confidence", str(min_confidence)]
        if precision != "fp32":
            args += ["--precision", str(precision)]
        if threads is not None:
            args += ["--threads", str(threads)]
        self._child = start(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)
        self._pipe = Pipe(self._child.stdout)
        try:
            # The program says what its answers look like once the student is there.
            self._pipe.wait()
            self._answers = ipc.open_stream(self._child.stdout)
            self._texts = ipc.new_stream(self._child.stdin, pa.schema([("text", pa.large_string())]))
        except (OSError, ValueError) as broken:
            raise self._ended() from broken
        except BaseException:
            self._stop("was interrupted while it was opened")
            raise

    def predict(self, texts: Iterable[str | None], *, as_: TableKind | None = None) -> Any:
        """Labels texts: a list, a pandas or polars Series, or a pyarrow Array.

        Gives a list of :class:`candist.Prediction`, one a text in their order; with ``as_`` a table of as many rows, with the
        columns label, confidence, candidates and error. A text that is None or empty has an error, and no label.
        """
        if as_ is not None:
            check_kind(as_)
        column = _column(self._pyarrow, texts)
        with self._lock:
            table = self._ask(column)
        if as_ is not None:
            return as_kind(table, as_)
        rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
        return [Prediction(label, confidence, tuple(candidates), why) for label, confidence, candidates, why in rows]

    def close(self) -> None:
        """Ends the process. Harmless when it has ended."""
        if os.getpid() == self._owner:
            self._stop("is closed")

    def __enter__(self) -> Student:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # What __init__ did not come to is not there.
        if hasattr(self, "_child"):
            self.close()

    def __repr__(self) -> str:
        return f"Student({str(self._path)!r})" + (f" that {self._over}" if self._over else "")

    def _ask(self, column: Any) -> Any:
        pa = self._pyarrow
        if os.getpid() != self._owner:
            raise CandistError(f"{self!r} belongs to the process that opened it: open one in this process")
        if self._over is not None:
            raise CandistError(f"{self!r}: open it again")
        answers = []
        try:
            for begin in range(0, len(column), _BATCH):
                self._texts.write_batch(pa.record_batch([column.slice(begin, _BATCH)], names=["text"]))
                self._child.stdin.flush()
                # Unlike a read, this wait can always be interrupted.
                self._pipe.wait()
                answers.append(self._answers.read_next_batch())
        except (OSError, ValueError, StopIteration) as broken:
            raise self._ended() from broken
        except BaseException:
            # An answer is still to come: the next question would get it.
            self._stop("was interrupted")
            raise
        return pa.Table.from_batches(answers, self._answers.schema).select(["label", "confidence", "candidates", "error"])

    def _ended(self) -> CandistError:
        """The program ended by itself, or will not be understood any more."""
        try:
            code = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        why = error(code, read_back(self._said))
        self._stop("has ended")
        return why

    def _stop(self, why: str) -> None:
        self._over = self._over or why
        for pipe in (self._child.stdin, self._child.stdout):
            try:
                pipe.close()
            except OSError:
                # What was not sent need not be sent any more.
                pass
        # Nothing of it is worth waiting for: it writes no file.
        self._child.kill()
        self._child.wait()
        self._said.close()


def _column(pa: Any, texts: Any) -> Any:
    """The texts as one Arrow array, before anything is sent: what cannot be one is the caller's to know."""
    if isinstance(texts, str):
        raise TypeError("predict takes a list of texts, not one text")
    if hasattr(texts, "to_arrow"):
        texts = texts.to_arrow()
    if hasattr(texts, "__arrow_array__") or type(texts).__module__.split(".")[0] == "pandas":
        # NaN is how pandas says that there is none.
        column = pa.Array.from_pandas(texts)
    elif isinstance(texts, pa.Array | pa.ChunkedArray):
        column = texts
    else:
        column = pa.array(list(texts), type=pa.large_string())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.cast(pa.large_string())
