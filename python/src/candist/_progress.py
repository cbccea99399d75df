"""How far a run is, shown where this process shows things: a notebook's cell, a terminal's line, or a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

#: Without a terminal or a notebook, seconds from one line to the next.
_PAUSE = 10.0


class Progress:
    """One line that is written over, and messages above it."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._line = ""
        self._told = 0.0
        self._cell = None if quiet else _cell()

    def show(self, progress: Mapping[str, Any]) -> None:
        """The line is that of ``progress`` from now on."""
        line = describe(progress)
        if self._quiet or line == self._line:
            return
        self._line = line
        if self._cell is not None:
            self._cell.update(_plain(line))
        elif _is_terminal():
            sys.stderr.write(f"\r\x1b[K{line[: _width() - 1]}")
            sys.stderr.flush()
        elif time.monotonic() - self._told >= _PAUSE:
            self._told = time.monotonic()
            print(line, file=sys.stderr)

    def say(self, message: str) -> None:
        """A message that stays."""
        if self._cell is None and self._line and _is_terminal():
            sys.stderr.write("\r\x1b[K")
        print(message, file=sys.stderr)
        if self._cell is None and self._line and _is_terminal():
            sys.stderr.write(self._line[: _width() - 1])
            sys.stderr.flush()

    def close(self) -> None:
        """The line is done."""
        if self._cell is None and self._line and _is_terminal():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._line = ""


def describe(progress: Mapping[str, Any]) -> str:
    """One line of what a progress object says. What it does not say is left out."""
    done, total = progress.get("placed"), progress.get("total")
    parts: list[str] = []
    if isinstance(done, int):
        if isinstance(total, int) and total > 0:
            parts.append(f"{done:,} of {total:,} texts ({100 * done // total}%)")
        else:
            parts.append(f"{done:,} texts")
    _add(parts, progress, "rate", lambda rate: f"{rate:.1f}/s")
    _add(parts, progress, "eta_s", lambda seconds: f"{_time(seconds)} left")
    _add(parts, progress, "in_flight", lambda count: f"{count} in flight" if count else "")
    _add(parts, progress, "failed", lambda count: f"{count:,} failed" if count else "")
    cost = progress.get("cost", progress.get("spent"))
    if cost is not None and str(cost) not in ("0", "0.00"):
        parts.append(f"spent {cost}")
    phase = progress.get("phase")
    if isinstance(phase, str) and phase not in ("asking", "complete"):
        parts.append(phase)
    return "candist: " + ", ".join(part for part in parts if part)


def _add(parts: list[str], progress: Mapping[str, Any], key: str, text: Any) -> None:
    value = progress.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        parts.append(text(value))


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _width() -> int:
    import shutil

    return max(shutil.get_terminal_size().columns, 20)


def _cell() -> Any:
    """A place in a notebook's cell, if this is a notebook. IPython is looked for only where it runs already."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display(_plain("candist: starting"), display_id=True)


class _plain:  # noqa: N801 - a value, not a type that anybody names
    """A line that a notebook shows as it is."""

    def __init__(self, line: str) -> None:
        self._line = line

    def __repr__(self) -> str:
        return self._line
