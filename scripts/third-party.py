#!/usr/bin/env python3
"""Writes the licences of the crates that are in the program: `third-party.py > THIRD-PARTY.txt`.

What `cargo metadata` resolves for this machine and the default features, without what only builds or tests use. The
texts are those in each crate's sources; texts that are the same are printed once.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")


def cargo(*args: str) -> str:
    return subprocess.run([os.environ.get("CARGO", "cargo"), *args], check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(metadata: dict) -> set[str]:
    """Ids of the packages that the program is linked from: its normal dependencies, and theirs."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found: set[str] = set()
    waiting = [metadata["resolve"]["root"]]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return found - {metadata["resolve"]["root"]}


def texts(package: dict) -> list[str]:
    folder = Path(package["manifest_path"]).parent
    named = [path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(NAMES)]
    if package.get("license_file"):
        named.append(folder / package["license_file"])
    return [path.read_text(encoding="utf-8", errors="replace").strip() for path in sorted(set(named)) if path.is_file()]


def main() -> None:
    host = next(line.split()[1] for line in cargo("-vV").splitlines() if line.startswith("host:"))
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--locked", "--filter-platform", host))
    ids = linked(metadata)
    packages = sorted((p for p in metadata["packages"] if p["id"] in ids), key=lambda p: (p["name"], p["version"]))
    print("candist is linked from these Rust crates. Their licences follow.\n")
    shared: dict[str, list[str]] = defaultdict(list)
    without = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"  {name}: {package['license'] or 'see its text'}")
        found = texts(package)
        for text in found:
            shared[text].append(name)
        if not found:
            without.append(name)
    if without:
        print(f"\nWithout a text in their sources, under the licences above: {', '.join(without)}")
    for text, names in shared.items():
        print(f"\n{'=' * 100}\n{', '.join(names)}\n{'=' * 100}\n{text}")
    print(f"third-party: {len(packages)} crates, {len(shared)} texts", file=sys.stderr)


if __name__ == "__main__":
    main()
