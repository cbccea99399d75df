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
# As many as benches/limits.rs prints.
ROWS_OF_THE_MACHINE = 11


class NotMeasured(Exception):
    """Why something is not."""


def said(*command):
    done = subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise NotMeasured(f"{' '.join(map(str, command))} failed")
    return done.stdout


def of_the_machine(encoder):
    lines = said("cargo", "bench", "--locked", "--bench", "limits").splitlines()
    found = [re.match(r"  (\S.*?)\s+(\d+) (a second|MB)$", line) for line in lines]
    rows = [(row[1], f"{int(row[2]):,}" + (" MB" if row[3] == "MB" else "")) for row in found if row]
    if len(rows) != ROWS_OF_THE_MACHINE:
        raise NotMeasured(f"`cargo bench --bench limits` printed {len(rows)} figures, not {ROWS_OF_THE_MACHINE}")
    return rows


def of_fasttext(encoder):
    told = said(sys.executable, "scripts/bench-fasttext.py")
    trained, labelled = re.search(r": ([\d,]+) texts/s trained, ([\d,]+) labelled", told).groups()
    of = "with the student's n-grams, dimension and buckets"
    return [(f"texts that fastText trains one model on, one core, {of}", trained), ("texts that it labels", labelled)]


def of_onnxruntime(encoder):
    """And, since both are measured in turns, candist's of the same texts."""
    if encoder is None:
        raise NotMeasured("no encoder was named")
    told, rows = said(sys.executable, "scripts/bench-onnx.py", encoder.resolve(), "--rounds", 4), []
    for part in re.split(r"(?m)^(?=\d+ thread)", told)[1:]:
        threads, rate = re.match(r"(\d+) thread\(s\): onnxruntime (\d+)", part).groups()
        ours = ", ".join(f"{rate} in {name}" for name, rate in re.findall(r"candist, (\w+): (\d+)", part))
        rows.append((f"texts that onnxruntime labels with an encoder, {threads} thread(s) (candist: {ours})", rate))
    return rows


PARTS = {"the machine": of_the_machine, "fastText": of_fasttext, "onnxruntime": of_onnxruntime}


def measure(known, encoder=None, keep=lambda known: None):
    """The rows of each part, what is measured and how many of it there are a second; parts that are `known` are not measured again,
    and those that cannot be measured are told and left out. `keep` is called after each."""
    for name, part in PARTS.items():
        if name in known:
            continue
        try:
            known[name] = part(encoder)
            keep(known)
        except NotMeasured as why:
            print(f"{name}: not measured, for {why}", file=sys.stderr, flush=True)
    return known


def table(parts):
    rows = [row for name in PARTS for row in parts.get(name, [])]
    return "\n".join(["| | a second, or MB |", "|---|---:|", *(f"| {what} | {rate} |" for what, rate in rows)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=pathlib.Path, help="a classifier's folder")
    print(table(measure({}, parser.parse_args().encoder)))


if __name__ == "__main__":
    main()
