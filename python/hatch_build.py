"""Puts the staged program into the wheel, and takes version and platform tag from what is there.

`scripts/wheel.sh` stages the program with its libraries (as `scripts/dist.sh` does) and names the folder in
CANDIST_STAGED, and the tag in CANDIST_PLATFORM.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


class Version(MetadataHookInterface):
    """The version of the program, from Cargo.toml: there is one."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        cargo = (Path(self.root).parent / "Cargo.toml").read_text(encoding="utf-8")
        found = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE)
        if found is None:
            raise RuntimeError("Cargo.toml names no version")
        metadata["version"] = found.group(1)


class Program(BuildHookInterface[Any]):
    """The program and its libraries, beside the module."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        staged, platform = os.environ.get("CANDIST_STAGED"), os.environ.get("CANDIST_PLATFORM")
        if not staged or not platform:
            raise RuntimeError("the wheel carries the program: build it by `make wheel`, not by pip from the sources")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        for part in ("bin", "lib", "licenses"):
            for file in sorted((Path(staged) / part).rglob("*")):
                if file.is_file():
                    inside = file.relative_to(staged).as_posix()
                    build_data["force_include"][str(file)] = f"candist/_program_files/{inside}"
