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
    """One line of what a progress object of ``candist run --json`` says. What it does not say is left out."""
    done, total = _number(progress, "done"), _number(progress, "total")
    parts = [f"{done:,.0f} texts" if total is None else f"{done or 0:,.0f} of {total:,.0f} texts"] if done is not None else []
    if done is not None and total:
        parts.append(f"{100 * min(done, total) / total:.0f}%")
    if progress.get("phase") == "settling":
        number, most = _number(progress, "pass"), _number(progress, "max_passes")
        parts.append(f"settling, pass {number:.0f} of at most {most:.0f}" if number and most else "settling")
    elif (rate := _number(progress, "texts_per_s")) is not None:
        parts.append(f"{rate:.1f}/s")
        if (left := _number(progress, "left_s")) is not None:
            parts.append(f"{_time(left)} left")
    pause = progress.get("pause")
    if isinstance(pause, Mapping):
        parts.append(f"paused {_number(pause, 'seconds') or 0:.0f} s: {pause.get('why', '')}")
    for key, what in (("in_flight", "in flight"), ("failed", "without candidates"), ("unanswered", "unanswered")):
        if count := _number(progress, key):
            parts.append(f"{count:,.0f} {what}")
    if _amount(progress, "spent"):
        cap = progress.get("max_cost")
        parts.append(f"spent {_amount(progress, 'spent'):.2f}" + (f" of {cap}" if cap else ""))
    return "candist: " + ", ".join(parts)


def summarise(summary: Mapping[str, Any]) -> str:
    """One line of what the summary at the end of ``candist run --json`` says."""
    parts = []
    if (texts := _number(summary, "texts")) is not None:
        parts.append(f"{texts:,.0f} texts labelled")
    doubtful, failures = summary.get("doubtful"), summary.get("failures")
    if isinstance(doubtful, Mapping) and _number(doubtful, "texts"):
        parts.append(f"{_number(doubtful, 'texts'):,.0f} of them doubtful (confidence below {doubtful.get('below')})")
    if isinstance(failures, Mapping):
        for key, count in failures.items():
            if isinstance(count, int) and count:
                parts.append(f"{count:,} {key.replace('_', ' ')}")
    if _amount(summary, "spent"):
        parts.append(f"spent {_amount(summary, 'spent'):.2f}")
    if (seconds := _number(summary, "seconds")) is not None:
        parts.append(f"took {_time(seconds)}")
    return "candist: complete: " + ", ".join(parts)


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _amount(values: Mapping[str, Any], key: str) -> float:
    """An amount of money: a string, so that it loses no digit on the way."""
    try:
        return float(values.get(key) or 0)
    except (TypeError, ValueError):
        return 0.0


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
