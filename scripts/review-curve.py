#!/usr/bin/env python3
"""What corrections are worth: docs/src/explanation/experiments.md, "What corrections teach".

    scripts/review-curve.py FOLDER [--seeds N]

A person is simulated by the gold labels of examples/banking77: the quickstart is run, the labels of 50, 100 and 200 of its texts
are corrected, the least certain ones or as many at random, and the run goes on. FOLDER keeps the runs and what was measured, in
curve.jsonl; what is there is not measured again. Needed: the release build, or CANDIST, which names another program.

Of each run it tells the accuracy of all labels before, by the corrected texts themselves, and after the student has learned from
them. What is beyond the texts themselves is the difference of the last two.
"""

import argparse
import csv
import itertools
import json
import os
import pathlib
import random
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "banking77"
CANDIST = os.environ.get("CANDIST", str(ROOT / "target" / "release" / "candist"))
COUNTS, ORDERS = [50, 100, 200], ["doubtful", "random"]


def candist(*arguments):
    return subprocess.run([CANDIST, *map(str, arguments)], check=True, capture_output=True, cwd=ROOT).stdout


def judged(run):
    found = candist("eval", run, "--gold", EXAMPLES / "pool_gold.jsonl", "--held-out", EXAMPLES / "heldout_gold.jsonl", "--json")
    found = json.loads(found)
    return {"labels": found["distilled"], "ece": found["calibration_error"], "student": found["held_out"]["accuracy"]}


def configuration(folder, seed):
    text = (ROOT / "configs" / "quickstart.toml").read_text().replace('"../', f'"{ROOT}/').replace("#:schema ../", f"#:schema {ROOT}/")
    table, path = f"[student]\nseed = {seed}\n", folder / f"quickstart-{seed}.toml"
    path.write_text(text.replace("[student]\n", table) if "[student]\n" in text else f"{text}\n{table}")
    return path


def chosen(run, count, order, seed, gold):
    if order == "random":
        return random.Random(seed).sample(sorted(gold), count)
    table = run.with_suffix(".csv")
    table.unlink(missing_ok=True)
    candist("export", run, "--labels", table, "--doubtful", count)
    return [row["id"] for row in csv.DictReader(table.open())]


def measured(folder, seed, count, order, gold):
    config, before, run = configuration(folder, seed), folder / f"before-{seed}", folder / "run"
    if not (before / "labels.jsonl").exists():
        candist("run", config, "--run-dir", before, "--quiet")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(before, run)
    with (folder / "corrections.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label"])
        rows.writerows([id, gold[id]] for id in chosen(before, count, order, seed, gold))
    candist("correct", run, folder / "corrections.csv", "--who", "simulated")
    themselves = judged(run)
    candist("run", config, "--run-dir", run, "--quiet")
    return {"before": judged(before), "themselves": themselves, "learned": judged(run)}


def table(rows):
    print("| corrected | order | before | by the texts themselves | after learning | beyond the texts | by seed | student alone | ECE |")
    print("|---|---|---|---|---|---|---|---|---|")
    for order, count in itertools.product(ORDERS, COUNTS):
        some = [row for row in rows if (row["count"], row["order"]) == (count, order)]
        if not some:
            continue

        def mean(step, what, some=some):
            return 100 * sum(row[step][what] for row in some) / len(some)

        beyond = [100 * (row["learned"]["labels"] - row["themselves"]["labels"]) for row in some]
        print(
            f"| {count} | {order} | {mean('before', 'labels'):.2f} | {mean('themselves', 'labels'):.2f} | {mean('learned', 'labels'):.2f} "
            f"| {sum(beyond) / len(beyond):+.2f} | {', '.join(f'{one:+.2f}' for one in beyond)} "
            f"| {mean('before', 'student'):.2f} → {mean('learned', 'student'):.2f} | {mean('before', 'ece'):.2f} → {mean('learned', 'ece'):.2f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    gold = {row["id"]: row["label"] for row in map(json.loads, (EXAMPLES / "pool_gold.jsonl").open())}
    path = arguments.folder / "curve.jsonl"
    rows = [json.loads(line) for line in path.open()] if path.exists() else []
    known = {(row["seed"], row["count"], row["order"]) for row in rows}
    for seed, count, order in itertools.product(range(arguments.seeds), COUNTS, ORDERS):
        if (seed, count, order) not in known:
            row = {"seed": seed, "count": count, "order": order, **measured(arguments.folder, seed, count, order, gold)}
            rows.append(row)
            with path.open("a") as file:
                print(json.dumps(row), file=file)
    table(rows)


if __name__ == "__main__":
    main()
