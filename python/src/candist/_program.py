"""The program as a child process: where it is, what it inherits, and what becomes of its errors."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

Command = Sequence["str | os.PathLike[str]"]


class CandistError(Exception):
    """The program ended with an error; its message, and its exit code.

    Exit codes: 1 failed, 2 wrong usage, configuration or input, 3 incomplete but resumable, 130 stopped. A negative code is
    the signal that killed the program.
    """

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        #: The program's exit code; None where it was not even started.
        self.exit_code = exit_code


def program() -> Path:
    """The file of the ``candist`` program: that of this package, or the one that the environment's CANDIST_PROGRAM names."""
    named = os.environ.get("CANDIST_PROGRAM")
    path = Path(named) if named else Path(__file__).parent / "_program_files" / "bin" / "candist"
    if not path.is_file():
        raise CandistError(
            f"{path} is not there: install candist from a wheel, which carries the program, or set CANDIST_PROGRAM to one"
        )
    return path


def environment() -> dict[str, str]:
    """What the program inherits. A library that is preloaded into this process (an allocator, another OpenMP) is meant for
    this process. LD_LIBRARY_PATH stays: the program finds its own libraries first, and a GPU's driver may be there."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def start(args: Command, **options: Any) -> Any:
    """Starts the program (a Popen) in a session of its own: a Ctrl-C in the terminal is for this process, which passes it on
    where that is meant."""
    command = [str(program()), *(os.fspath(arg) for arg in args)]
    env = environment() | options.pop("env", {})
    return subprocess.Popen(command, env=env, start_new_session=True, **options)


#: The program stops, as by SIGTERM, when its standard input ends: it does not outlive this process.
ENDS_WITH_US = {"CANDIST_STOP_AT_EOF": "1"}


class Pipe:
    """What a child writes, as it comes. Each wait can be interrupted, also where some module (polars is one) has asked the system to
    start reads again after a signal. What was read stays when that happens."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._fd = pipe.fileno()
        self._rest = b""
        self._lines: list[bytes] = []
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def wait(self) -> None:
        """Until there is something to read, or the end."""
        self._poll.poll()

    def read(self) -> bytes:
        """What there is; empty at the end."""
        self.wait()
        return os.read(self._fd, 1 << 16)

    def line(self) -> bytes | None:
        """The next line, without its end."""
        while not self._lines:
            chunk = self.read()
            *self._lines, self._rest = (self._rest + chunk).split(b"\n")
            if not chunk:
                last, self._rest = self._rest, b""
                return last or None
        return self._lines.pop(0)


def output(args: Command) -> bytes:
    """What the program prints, once it ended well."""
    with (
        tempfile.TemporaryFile() as said,
        start(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=ENDS_WITH_US) as child,
    ):
        try:
            pipe = Pipe(child.stdout)
            printed = b"".join(iter(pipe.read, b""))
            code = child.wait()
        except BaseException:
            child.kill()
            raise
        if code != 0:
            raise error(code, read_back(said))
        return printed


def error(code: int, said: str) -> CandistError:
    """What the program said when it ended with ``code``: its errors, each with all its lines."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    errors: list[str] = []
    is_error = False
    for line in lines:
        if line.startswith(("candist: ", "error:")):
            is_error = line.startswith(("candist: error: ", "error:"))
        if is_error:
            errors.append(line.removeprefix("candist: ").removeprefix("error: "))
    message = "\n".join(errors or lines[-5:])
    if code < 0:
        message = f"candist was killed by signal {-code}" + (f"\n{message}" if message else "")
    return CandistError(message or f"candist ended with exit code {code}", code)


def read_back(file: IO[bytes]) -> str:
    """All that was written to a temporary file."""
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def main() -> None:
    """The command ``candist``: becomes the program, with its arguments."""
    try:
        path = str(program())
    except CandistError as missing:
        sys.exit(f"candist: {missing}")
    os.execv(path, [path, *sys.argv[1:]])
