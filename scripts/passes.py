#!/usr/bin/env python3
"""How many passes a memory of some size wants: docs/src/explanation/experiments.md, "How many passes".

    scripts/passes.py FOLDER [--seeds 2]

Two corpora: the quickstart, and the descriptions of Debian's packages (scripts/make-package-corpus.py), of which the first 1,500
teach a linear model. `weak` is what that model says of the others: it errs as its words mislead it. `noisy` names the right
section of 72 in a hundred packages, and else what the model or chance says. Runs with the default settings, and with max_passes
of 4 to 16. Needed: the package lists of a Debian (apt-get update), scikit-learn, and the release build, or CANDIST, which names
another program. Prints a table; FOLDER keeps what was measured, in passes.jsonl, and what is there is not measured again.
"""

import argparse
import collections
import csv
import json
import os
import pathlib
import random
import resource
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
CANDIST = os.environ.get("CANDIST", str(ROOT / "target" / "release" / "candist"))
TAUGHT_BY = 1500
PASSES = ["default", 4, 8, 16]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_packages(folder):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    table = folder / "packages.csv"
    subprocess.run([ROOT / "scripts" / "make-package-corpus.py", table, "--rows", "60000"], check=True)
    rows = list(csv.DictReader(table.open()))
    random.Random(1).shuffle(rows)
    texts, sections = [f"{row['title']}. {row['description']}"[:160] for row in rows], [row["section"] for row in rows]
    words = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    model = LogisticRegression(C=10, max_iter=200).fit(words[:TAUGHT_BY], sections[:TAUGHT_BY])
    likely = model.predict_proba(words[TAUGHT_BY:])
    gold, draw, labels = sections[TAUGHT_BY:], random.Random(5), sorted(set(sections))
    weak, noisy = [], []
    for right, row in zip(gold, likely):
        order = (-row).argsort()
        said = [model.classes_[order[0]]] + [model.classes_[at] for at in order[1:3] if row[at] > 0.5 * row[order[0]]]
        weak.append(said)
        first = right if draw.random() < 0.72 else said[0] if draw.random() < 0.5 else draw.choice(labels)
        also = [] if draw.random() >= 0.3 else [right if draw.random() < 0.4 else draw.choice(labels)]
        noisy.append([first] + [label for label in also if label != first])
    name = lambda number: f"d{number}"
    lines(folder / "pool.jsonl", [{"id": name(n), "text": text} for n, text in enumerate(texts[TAUGHT_BY:])])
    lines(folder / "gold.jsonl", [{"id": name(n), "label": label} for n, label in enumerate(gold)])
    for teacher, answers in (("weak", weak), ("noisy", noisy)):
        lines(folder / f"{teacher}.jsonl", [{"id": name(n), "teacher": teacher, "labels": said} for n, said in enumerate(answers)])
    (folder / "labels.json").write_text(json.dumps(labels))


def packages(folder, teacher, size):
    pool = folder / f"pool-{size}.jsonl"
    pool.write_text("".join((folder / "pool.jsonl").read_text().splitlines(True)[:size]))
    labels = (folder / "labels.json").read_text()
    head = f'[task]\nname = "packages"\nlabels = {labels}\n[corpus]\npath = "{pool.name}"\n'
    return head + f'[[teachers]]\nkind = "recorded"\nname = "{teacher}"\npath = "{teacher}.jsonl"\n', folder / "gold.jsonl"


def quickstart():
    text = (ROOT / "configs" / "quickstart.toml").read_text()
    text = text[text.index("[task]") :].replace('"../', f'"{ROOT}/')
    return text, ROOT / "examples" / "banking77" / "pool_gold.jsonl"


def measured(folder, config, gold, passes, seed):
    path, run = folder / "config.toml", folder / "run"
    settings = "" if passes == "default" else f"[distill]\nmax_passes = {passes}\n"
    path.write_text(f"{config}\n[student]\nseed = {seed}\n{settings}")
    subprocess.run(["rm", "-rf", run], check=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([CANDIST, "run", path, "--run-dir", run, "--quiet"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    judged = json.loads(subprocess.run([CANDIST, "eval", run, "--gold", gold, "--json"], capture_output=True, check=True).stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"labels": judged["distilled"], "first": judged["teacher_first"], "ece": judged["calibration_error"], "cpu": cpu}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "labels.json").exists():
        make_packages(folder)
    corpora = {("quickstart", 3080): quickstart()}
    for teacher in ("weak", "noisy"):
        for size in (6000, 14500):
            corpora[f"packages, {teacher}", size] = packages(folder, teacher, size)
    kept, founds = folder / "passes.jsonl", {}
    for line in kept.open() if kept.exists() else []:
        found = json.loads(line)
        founds[tuple(found["of"])] = found
    for (name, size), (config, gold) in corpora.items():
        for passes in PASSES:
            for seed in range(args.seeds):
                of = (name, size, passes, seed)
                if of not in founds:
                    founds[of] = measured(folder, config, gold, passes, seed) | {"of": of}
                    with kept.open("a") as file:
                        file.write(json.dumps(founds[of]) + "\n")
    print("| corpus | texts | teacher's first label | passes | labels | ECE | processor seconds |\n|---|---:|---:|---:|---:|---:|---:|")
    groups = collections.defaultdict(list)
    for (name, size, passes, _), found in founds.items():
        groups[name, size, passes].append(found)
    for (name, size, passes), group in groups.items():
        mean = lambda key: sum(found[key] for found in group) / len(group)
        cells = [name, f"{size:,}", f"{100 * mean('first'):.2f}", passes, f"{100 * mean('labels'):.2f}", f"{100 * mean('ece'):.2f}"]
        print("| " + " | ".join(map(str, [*cells, f"{mean('cpu'):.1f}"])) + " |")


if __name__ == "__main__":
    main()
