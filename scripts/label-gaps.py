#!/usr/bin/env python3
"""How long new texts wait for their labels while a run goes on: docs/src/explanation/performance.md, "While all texts are labelled again".

    scripts/label-gaps.py FOLDER [--texts 300000] [--checkpoint-every 3600]

Runs the release build (or CANDIST, which names another program) with default settings, without passes at the end, over the corpus
and the recording of scripts/scale.py, and looks at labels.jsonl every five milliseconds. Prints the longest times in which no text
got its first label, and after how many texts.
"""

import argparse
import pathlib
import shutil
import subprocess
import time

from scale import CANDIST, write_configuration, write_corpus

LOOK_EVERY = 0.005
# The first texts wait for the program to start.
WARM = 1000


def gaps(config, run):
    """Pairs of seconds and texts, the longest first, and texts a second."""
    child = subprocess.Popen([CANDIST, "run", str(config), "--quiet"], stderr=subprocess.DEVNULL)
    path = run / "labels.jsonl"
    while not path.exists() and child.poll() is None:
        time.sleep(LOOK_EVERY)
    found, texts, rest, first, last = [], 0, b"", None, None
    with path.open("rb") as log:
        while True:
            ended = child.poll() is not None
            data = log.read(1 << 20)
            if not data and ended:
                break
            now = time.monotonic()
            *lines, rest = (rest + data).split(b"\n")
            fresh = sum(b'"revision":0,' in line for line in lines)
            if fresh:
                if texts > WARM:
                    found.append((now - last, texts))
                first, last, texts = first or now, now, texts + fresh
            time.sleep(LOOK_EVERY)
    if child.returncode:
        raise SystemExit(f"{CANDIST} run {config} ended with {child.returncode}")
    return sorted(found, reverse=True), texts / (last - first)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=300_000)
    parser.add_argument("--checkpoint-every", type=float, default=3600.0, help="seconds (default: %(default)s, never)")
    args = parser.parse_args()
    work = args.folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_corpus(work, args.texts)
    config = write_configuration(work, "[distill]\nmax_passes = 0\n")
    text = config.read_text()
    config.write_text(text.replace("[run]\n", f"[run]\ncheckpoint_every_s = {args.checkpoint_every}\n"))
    longest, rate = gaps(config, work / "run")
    print(f"{args.texts:,} texts, {rate:,.0f} a second")
    for seconds, texts in longest[:10]:
        print(f"  {seconds:.2f} s after {texts:,} texts")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
