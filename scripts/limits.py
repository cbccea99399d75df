#!/usr/bin/env python3
"""What the machine and other programs give without candist: docs/src/explanation/performance.md, "What there is without candist".

    scripts/limits.py [--encoder FOLDER]

Logs, sled, reqwest and libtorch by `cargo bench --bench limits`; fastText and, with the FOLDER of an encoder that classifies, onnxruntime, where
this Python has them (scripts/bench-fasttext.py and scripts/bench-onnx.py say what they need). Printed as a table; `make sizes` puts it
into the page, measured in one go with what candist does.
"""

import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def said(*command):
    return subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def of_the_machine():
    lines = said("cargo", "bench", "--locked", "--bench", "limits").splitlines()
    found = [re.match(r"  (\S.*?)\s+(\d+) (a second|MB)$", line) for line in lines]
    return [(row[1], f"{int(row[2]):,}" + (" MB" if row[3] == "MB" else "")) for row in found if row]


def has(module):
    return subprocess.run([sys.executable, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


def of_fasttext():
    if not has("fasttext"):
        return [("texts that fastText trains: not measured (pip install fasttext-wheel 'numpy<2')", "")]
    rates = re.search(r": ([\d,]+) texts/s trained, ([\d,]+) labelled", said(sys.executable, "scripts/bench-fasttext.py"))
    of = "with the student's n-grams, dimension and buckets (`scripts/bench-fasttext.py`)"
    return [(f"texts that fastText trains one model on, one core, {of}", rates[1]), ("texts that it labels", rates[2])]


def of_onnxruntime(encoder):
    """And, since both are measured in turns, candist's of the same texts."""
    if encoder is None or not has("onnxruntime"):
        return [("texts that onnxruntime labels: not measured (`--encoder`, and what `scripts/bench-onnx.py` needs)", "")]
    told, rows = said(sys.executable, "scripts/bench-onnx.py", encoder, "--rounds", 4), []
    for part in re.split(r"(?m)^(?=\d+ thread)", told)[1:]:
        threads, rate = re.match(r"(\d+) thread\(s\): onnxruntime (\d+)", part).groups()
        ours = ", ".join(f"{rate} in {name}" for name, rate in re.findall(r"candist, (\w+): (\d+)", part))
        rows.append((f"texts that onnxruntime labels with an encoder, {threads} thread(s) (candist: {ours})", rate))
    return rows


def measured(encoder=None):
    """Rows of what is measured, and how many of it there are a second."""
    return [*of_the_machine(), *of_fasttext(), *of_onnxruntime(encoder)]


def table(rows):
    return "\n".join(["| | a second |", "|---|---:|", *(f"| {what} | {rate} |" for what, rate in rows)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=pathlib.Path, help="a classifier's folder")
    print(table(measured(parser.parse_args().encoder)))


if __name__ == "__main__":
    main()
