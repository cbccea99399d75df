#!/usr/bin/env python3
"""What training an encoder's top layers is worth for its time: a table for docs/src/explanation/experiments.md.

    make build && scripts/encoder-layers.py FOLDER [--every N] [--folds N] [--passes N] [--threads N] [--layers LIST] [--decays LIST]

FOLDER is a Hugging Face folder (for the published figures that of all-MiniLM-L6-v2). Runs BANKING77 with the recorded answers of
`three` and `gpt-3.5` for each number of trained layers and each decay, and prints a row of Markdown as each ends. --every takes every
N-th text of the pool and of the held-out file, for fine-tuning is long. Processor seconds count all threads, so that they mean the same
on a machine that does other work. The program is $CANDIST_PROGRAM, or target/release/candist.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "examples/banking77"
PROGRAM = os.environ.get("CANDIST_PROGRAM", str(ROOT / "target/release/candist"))
SETS = {"three": ["gpt-4", "gpt-3.5", "gpt-4-other-shots"], "gpt-3.5": ["gpt-3.5"]}


def configuration(options, folder, recordings, layers, decay):
    quickstart = (ROOT / "configs/quickstart.toml").read_text()
    text = quickstart[quickstart.index("[task]") : quickstart.index("[corpus]")]
    text += f'[corpus]\npath = "{folder}/pool.jsonl"\n'
    for name in SETS[recordings]:
        text += f'[[teachers]]\nkind = "recorded"\nname = "{name}"\npath = "{DATA}/teacher_{name}.jsonl"\n'
    text += f'[student]\nkind = "encoder"\nmodel = "{pathlib.Path(options.model).resolve()}"\nthreads = {options.threads}\n'
    text += f'vectors = "{folder}/vectors"\ntrain_layers = {layers}\nlayer_decay = {decay}\nseed = {options.seed}\n'
    return text + f"{options.student}\n[distill]\nfolds = {options.folds}\nmax_passes = {options.passes}\n"


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(options, folder, recordings, layers, decay):
    config, run = folder / "config.toml", folder / f"{recordings}-{layers}-{decay}"
    config.write_text(configuration(options, folder, recordings, layers, decay))
    start, used = time.monotonic(), processor_seconds()
    done = subprocess.run([PROGRAM, "run", config, "--run-dir", run, "--quiet"], capture_output=True, text=True)
    seconds, used = time.monotonic() - start, processor_seconds() - used
    # 3: texts that no recording answers are labelled by the student alone.
    assert done.returncode in (0, 3), done.stderr
    gold = [PROGRAM, "eval", run, "--gold", folder / "gold.jsonl", "--held-out", folder / "heldout.jsonl", "--json"]
    found = json.loads(subprocess.run(gold, capture_output=True, text=True, check=True).stdout)
    return found["distilled"], found["held_out"]["accuracy"], found["calibration_error"], seconds, used


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--held-out-every", type=int)
    parser.add_argument("--folds", type=int, default=8)
    parser.add_argument("--passes", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", default="0,1,2,6")
    parser.add_argument("--decays", default="1.0,0.7")
    parser.add_argument("--recordings", default="three,gpt-3.5")
    parser.add_argument("--student", default="", help="more lines of [student]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = {"pool.jsonl": "pool.jsonl", "gold.jsonl": "pool_gold.jsonl", "heldout.jsonl": "heldout_gold.jsonl"}
        for name, source in files.items():
            lines = (DATA / source).read_text().splitlines(keepends=True)
            every = options.held_out_every if name == "heldout.jsonl" and options.held_out_every else options.every
            (folder / name).write_text("".join(lines[::every]))
        print("| recordings | train_layers | layer_decay | distilled | held-out, student alone | ECE | seconds | processor seconds |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for recordings in options.recordings.split(","):
            for layers in map(int, options.layers.split(",")):
                # The top layer has the whole step size, so with fewer than two nothing decays.
                for decay in options.decays.split(",") if layers > 1 else ["1.0"]:
                    distilled, held_out, error, seconds, used = measured(options, folder, recordings, layers, decay)
                    row = f"| {recordings} | {layers} | {decay} | {100 * distilled:.2f} | {100 * held_out:.2f} | {100 * error:.2f} "
                    print(f"{row}| {seconds:.0f} | {used:.0f} |", flush=True)


main()
