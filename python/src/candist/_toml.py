"""A configuration as TOML. Only what a configuration is made of: tables, lists, strings, numbers, truth values."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(config: Mapping[str, Any]) -> str:
    """``config`` as TOML. A key whose value is None is left out, as if it were not there."""
    lines: list[str] = []
    _table(lines, "", config)
    return "\n".join(lines) + "\n"


def _table(lines: list[str], name: str, table: Mapping[str, Any]) -> None:
    items = [(_key(key), value) for key, value in table.items() if value is not None]
    # A key after the head of another table would be that table's.
    lines += [f"{key} = {_value(value, _join(name, key))}" for key, value in items if not _has_head(value)]
    for key, value in items:
        inside = _join(name, key)
        if isinstance(value, Mapping):
            lines += ["", f"[{inside}]"]
            _table(lines, inside, value)
        elif _has_head(value):
            for entry in value:
                lines += ["", f"[[{inside}]]"]
                _table(lines, inside, entry)


def _has_head(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _value(value: Any, place: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            # Also of numpy's, whose own form is no number of TOML.
            return float.__repr__(value)
        case Decimal():
            # The program reads amounts of money from strings too, and those lose no digit.
            return _string(str(value))
        case str() | os.PathLike():
            return _string(os.fspath(value))
        case Mapping():
            entries = (f"{_key(key)} = {_value(entry, place)}" for key, entry in value.items() if entry is not None)
            return "{ " + ", ".join(entries) + " }"
        case Sequence():
            return "[" + ", ".join(_value(entry, place) for entry in value) + "]"
        case _:
            raise TypeError(f"{place} cannot be of type {type(value).__name__} in a configuration")


def _string(text: str) -> str:
    # JSON escapes as TOML does, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
