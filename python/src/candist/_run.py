"""``candist run``: as a call that comes back when the run is complete."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._labels import LabelEvent, TableKind, labels, tail
from ._program import ENDS_WITH_US, CandistError, Pipe, error, output, start
from ._progress import Progress, summarise
from ._student import Student
from ._toml import to_toml

_WRITTEN = "# Written by candist.run() from a dict, and by its next call again: change it there, or remove this line."


@dataclass(frozen=True)
class Run:
    """A run: what :func:`run` gives back, and what takes a run takes it."""

    #: The configuration, or the run directory where another was asked for. Every verb of the command line takes either.
    path: Path
    #: The summary that the program gave at its end, as it printed it.
    summary: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __fspath__(self) -> str:
        return str(self.path)

    def labels(self, *, as_: TableKind = "pandas", **options: Any) -> Any:
        """The labels as a table: :func:`candist.labels`."""
        return labels(self, as_=as_, **options)

    def tail(self, *, final: bool = True, follow: bool = False) -> Iterator[LabelEvent]:
        """The label events: :func:`candist.tail`."""
        return tail(self, final=final, follow=follow)

    def export_student(self, folder: str | os.PathLike[str]) -> Path:
        """Writes the student to ``folder``, which must not be there yet, for :class:`candist.Student`."""
        output(["export", self, "--student", folder])
        return Path(folder)

    def student(self, folder: str | os.PathLike[str], **options: Any) -> Student:
        """The student, ready to label new text; written to ``folder`` if that is not there yet."""
        if not Path(folder).exists():
            self.export_student(folder)
        return Student(folder, **options)


class Incomplete(CandistError):
    """The run ended before every text had an answer: a teacher stopped, money ran out, or texts could not be asked about.

    Nothing is lost: the same call goes on. ``run`` is the run as it is, with the labels so far.
    """

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message, 3)
        self.run = run


def run(
    config: str | os.PathLike[str] | Mapping[str, Any],
    *,
    run_dir: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    retry_failures: bool = False,
    quiet: bool = False,
) -> Run:
    """Runs a configuration until it is complete; goes on where an earlier run stopped.

    ``config`` is the path of a configuration, or its content as a ``dict`` (the keys of ``candist schema config``). A ``dict``
    is written to ``TASK.candist.toml`` in the working directory, which its relative paths are relative to. ``limit`` asks about
    the first texts alone: a pilot, whose answers count later.

    A KeyboardInterrupt (a notebook's stop button) stops the run where nothing is lost: answers on their way are waited for.
    A second one stops at once. If this process ends, the run stops too; the next call goes on.

    Raises :class:`Incomplete` where texts are left without an answer, :class:`CandistError` for all that a person has to
    change first, with the program's message.
    """
    path = _written(config) if isinstance(config, Mapping) else Path(config)
    args: list[str | os.PathLike[str]] = ["run", path, "--json"]
    if run_dir is not None:
        args += ["--run-dir", run_dir]
    if limit is not None:
        args += ["--limit", str(limit)]
    args += [flag for flag, wanted in (("--retry-failures", retry_failures), ("--quiet", quiet)) if wanted]
    progress = Progress(quiet)
    code, said, summary = _follow(args, progress)
    this = Run(path if run_dir is None else Path(run_dir), summary)
    if code == 0:
        if not quiet:
            progress.say(summarise(summary))
        return this
    # The summary has the error as it is; a program that did not come so far has said it.
    failed = CandistError(str(summary["error"]), code) if "error" in summary else error(code, said)
    raise Incomplete(str(failed), this) if code == 3 else failed


def _written(config: Mapping[str, Any]) -> Path:
    """The configuration as a file. A file of that name that somebody else wrote is not written over."""
    name = str(config.get("task", {}).get("name", "")).strip()
    # The program says what is wrong with a name that is none.
    path = Path("".join(c if c.isalnum() or c in "-_." else "-" for c in name) + ".candist.toml")
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_WRITTEN):
        raise CandistError(f"{path} was not written by candist.run(): run that file, or give the task another name")
    # Whole or not at all: half of one would be somebody else's the next time.
    partial = path.with_suffix(".partial")
    partial.write_text(f"{_WRITTEN}\n\n{to_toml(config)}", encoding="utf-8")
    partial.replace(path)
    return path


def _follow(args: list[str | os.PathLike[str]], progress: Progress) -> tuple[int, str, Mapping[str, Any]]:
    """Runs to the end: exit code, what was said of errors, and the summary."""
    said: list[str] = []
    summary: Mapping[str, Any] = {}
    interrupted = 0
    child = start(
        args,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENDS_WITH_US,
    )
    pipe = Pipe(child.stderr)
    while True:
        try:
            while (line := pipe.line()) is not None:
                summary = _take(line.decode("utf-8", "replace"), progress, said) or summary
            code = child.wait()
            break
        except KeyboardInterrupt:
            # Twice means at once, to the program too.
            interrupted += 1
            child.send_signal(signal.SIGINT)
        except BaseException:
            child.kill()
            child.wait()
            raise
    progress.close()
    child.stdin.close()
    child.stderr.close()
    if interrupted:
        raise KeyboardInterrupt
    return code, "\n".join(said), summary


def _take(line: str, progress: Progress, said: list[str]) -> Mapping[str, Any] | None:
    """One line of what the program says; its summary, if that is it. What is no JSON object is a message as it is."""
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        value = {"type": "message", "message": line.rstrip()}
    match value.get("type"):
        case "progress":
            progress.show(value)
        case "summary":
            return value
        case _:
            level, message = str(value.get("level", "")).lower(), str(value.get("message", ""))
            text = f"{level}: {message}" if level in ("error", "warning", "warn") else message
            if text:
                said.append(text)
            # An error is raised, and need not be told twice.
            if text and level != "error" and not text.startswith(("error", "ERROR")):
                progress.say(text)
    return None
