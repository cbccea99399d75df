#!/usr/bin/env python3
"""What an audit is worth, on a run whose gold labels are known: the table in docs/src/explanation/confidences.md.

    scripts/audited.py RUN GOLD.jsonl [NAME]

Draws samples of 100 and of 200 labels, 20 seeds each, fills them in by GOLD, exports the run's labels recalibrated and with sets
of 90% coverage, and judges both by all of GOLD. CANDIST names the program, by default that of the release build.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from corpora import PROGRAM

SEEDS, COVERAGE, BINS = 20, 0.9, 15


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def candist(*args):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True)


def calibration_error(pairs):
    """As `candist eval` has it: bins of equal width."""
    bins = [0.0] * BINS
    for confidence, is_right in pairs:
        bins[min(int(confidence * BINS), BINS - 1)] += confidence - is_right
    return sum(map(abs, bins)) / len(pairs)


def one(run, gold, count, seed, folder):
    """The calibration error before and after, and the share and size of the sets; None for sets that cannot be had."""
    sample = folder / "audited.jsonl"
    drawn = rows(candist("audit", run, "--sample", count, "--seed", seed).stdout)
    sample.write_text("".join(json.dumps({**row, "gold": gold[row["id"]]}) + "\n" for row in drawn))
    export = ["export", run, "--labels", "-", "--format", "jsonl", "--audited", sample]
    table = candist(*export, "--coverage", COVERAGE)
    has_sets = table.returncode == 0
    table = rows(table.stdout if has_sets else candist(*export).stdout)
    right = [row["label"] == gold[row["id"]] for row in table]
    before = calibration_error([(row["confidence_raw"], is_right) for row, is_right in zip(table, right)])
    after = calibration_error([(row["confidence"], is_right) for row, is_right in zip(table, right)])
    if not has_sets:
        return before, after, None, None
    held = statistics.mean(gold[row["id"]] in row["label_set"] for row in table)
    return before, after, held, statistics.mean(len(row["label_set"]) for row in table)


def main():
    run, gold_file = sys.argv[1:3]
    name = sys.argv[3] if len(sys.argv) > 3 else run
    gold = {row["id"]: row["label"] for row in rows(pathlib.Path(gold_file).read_text())}
    for count in (100, 200):
        with tempfile.TemporaryDirectory() as folder:
            found = [one(run, gold, count, seed, pathlib.Path(folder)) for seed in range(SEEDS)]
        before, after, held, size = zip(*found)
        better = sum(a < b for a, b in zip(after, before))
        held, size = [[value for value in values if value is not None] for values in (held, size)]
        sets = f"{100 * statistics.mean(held):.1f} | {statistics.mean(size):.2f} | {len(held)}" if held else "| | 0"
        print(
            f"| {name} | {count} | {100 * before[0]:.1f} | {100 * statistics.mean(after):.1f} | {100 * max(after):.1f} "
            f"| {better} of {SEEDS} | {sets} of {SEEDS} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
