#!/usr/bin/env python3
"""candist beside public packages that also make one label of answers: docs/src/explanation/alternatives.md.

    scripts/alternatives.py FOLDER MODEL [--only NAME] [--again METHOD] [--orders N] [--students ngram,encoder] [--page]

FOLDER has the corpora and recordings of other-corpora.py and keeps what was measured, set by set and method by method, in
alternatives.json. What is there is not measured again, but for methods whose name begins with METHOD. --only takes sets whose
name holds NAME; --page only writes the page, of what is kept. MODEL is the folder of all-MiniLM-L6-v2.

Needed: the release build (or CANDIST, which names another program), and the PyPI packages numpy, scipy, scikit-learn, pandas,
crowd-kit, cleanlab, snorkel, munkres, torch and transformers.

Every accuracy is a share of all texts of the corpus; a text for which no teacher named a label counts as wrong for all alike.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import signal
import time
import warnings

import numpy

import aggregators
import alternatives_page
from corpora import ROOT, embed, load_encoder, read_rows, run_program, student_lines

SECONDS = 180  # Of the processor, what a method may take on one set.
BANKING = ["gpt-4", "gpt-3.5", "gpt-4-other-shots"]
OTHERS = ["debian", "fortunes", "spam"]
OTHER_SUBSETS = [["zero"], ["few"], ["words"], ["zero", "few"], ["zero", "words"], ["few", "words"], ["words", "few", "zero"]]


@dataclasses.dataclass(frozen=True)
class Set:
    """A corpus, some of its teachers, and whether their answers are of one label or of many."""

    corpus: str
    teachers: tuple
    kind: str

    @property
    def name(self):
        return f"{self.corpus} | {', '.join(self.teachers)} | {self.kind}"


def all_sets():
    subsets = [list(some) for size in (1, 2, 3) for some in itertools.combinations(BANKING, size)]
    sets = [Set("BANKING77", tuple(some), "one") for some in subsets]
    return sets + [Set(name, tuple(some), kind) for name in OTHERS for kind in ("one", "many") for some in OTHER_SUBSETS]


class Corpus:
    """Texts, gold labels and recordings; features of the texts are made when they are asked for."""

    def __init__(self, name, folder, model):
        self.name, self.folder, self.model, self.kept = name, folder, model, {}
        self.home = ROOT / "examples/banking77" if name == "BANKING77" else folder / name
        rows = read_rows(self.pool)
        self.ids, self.texts = [row["id"] for row in rows], [row["text"] for row in rows]
        gold = {
            row["id"]: row["label"] for row in read_rows(self.home / ("pool_gold.jsonl" if self.is_banking else "gold.jsonl"))
        }
        self.labels = sorted(set(gold.values())) if self.is_banking else json.loads((self.home / "labels.json").read_text())
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.gold = numpy.array([self.numbers[gold[id]] for id in self.ids])

    @property
    def is_banking(self):
        return self.name == "BANKING77"

    @property
    def pool(self):
        return self.home / "pool.jsonl"

    def recording(self, teacher, kind):
        return self.home / (f"teacher_{teacher}.jsonl" if self.is_banking else f"{teacher}-{kind}.jsonl")

    def answers(self, one):
        """By teacher and text, the labels' numbers, likeliest first."""
        found = []
        for teacher in one.teachers:
            said = {
                row["id"]: [self.numbers[label] for label in row["labels"]]
                for row in read_rows(self.recording(teacher, one.kind))
            }
            found.append([said.get(id, []) for id in self.ids])
        return found

    def features(self, kind):
        if kind not in self.kept:
            self.kept[kind] = aggregators.tf_idf(self.texts) if kind == "words" else embed(*load_encoder(self.model), self.texts)
        return self.kept[kind]

    def accuracy(self, labels):
        return float((labels == self.gold).mean())


class Kept:
    """What was measured, in a file that is written after every measurement."""

    def __init__(self, path, again):
        self.path, self.again = path, again
        self.rows = json.loads(path.read_text()) if path.exists() else {}

    def lacks(self, name, method):
        return method not in self.rows.get(name, {})

    def forget(self, name, students):
        """Drops what is to be measured anew, of candist with these students only."""
        others = {f"candist {student}" for student in alternatives_page.FEATURES.values() if student not in students}
        for method in set(self.rows.get(name, {})) - others:
            if self.again and method.startswith(self.again):
                del self.rows[name][method]

    def keep(self, name, method, row):
        self.rows.setdefault(name, {})[method] = row
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.rows, indent=1))
        part.rename(self.path)
        print(name, "|", method, "|", json.dumps(row), flush=True)


def measured(corpus, method):
    """The accuracy of one method's labels; none where it cannot be had, or takes too long."""

    def stop(*_):
        raise TimeoutError

    begin = time.process_time()
    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        accuracy, why = corpus.accuracy(method()), None
    except aggregators.NotApplicable:
        accuracy, why = None, "not applicable"
    except TimeoutError:
        accuracy, why = None, "too slow"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {"accuracy": accuracy, "why": why, "seconds": round(time.process_time() - begin, 1)}


def methods_of(corpus, one):
    """All alternatives on a set, by name, and whether they hear the first label of an answer only."""
    answers, count = corpus.answers(one), len(corpus.labels)
    first = aggregators.first_labels(answers)
    found = {}
    for number, teacher in enumerate(one.teachers):
        found[f"teacher {teacher}"] = (lambda number=number: first[:, number]), True
    for name, method in aggregators.WITHOUT_MODEL.items():
        found[name] = (lambda method=method: method(first, count)), True
    for kind in alternatives_page.FEATURES:
        learned = []

        def with_model(method, kind=kind, learned=learned):
            learned[:] = learned or [aggregators.Learned(answers, corpus.features(kind), count)]
            return method(learned[0])

        for name, method in aggregators.WITH_MODEL.items():
            found[f"{name}, {kind}"] = (lambda method=method, run=with_model: run(method)), name != "PRODEN"
    return found


def measure_alternatives(corpus, one, kept):
    """First labels are the same for sets of one and of many labels, so what hears these only is measured once."""
    twin = dataclasses.replace(one, kind="one" if one.kind == "many" else "many").name
    for name, (method, is_of_first) in methods_of(corpus, one).items():
        if kept.lacks(one.name, name):
            is_known = is_of_first and not kept.lacks(twin, name)
            kept.keep(one.name, name, kept.rows[twin][name] if is_known else measured(corpus, method))


def judged(corpus, events):
    """Accuracy over all texts; calibration error (ECE, 15 bins) and mean confidence over those that have candidates."""
    rows, bins = [], numpy.zeros(15)
    for id, gold in zip(corpus.ids, corpus.gold):
        event = events.get(id)
        if event and event["candidates"]:
            rows.append((event["confidence"], event["label"] == corpus.labels[gold]))
            bins[min(int(rows[-1][0] * 15), 14)] += rows[-1][0] - rows[-1][1]
    return {
        "accuracy": sum(right for _, right in rows) / len(corpus.ids),
        "ece": float(abs(bins).sum()) / len(rows),
        "confidence": sum(confidence for confidence, _ in rows) / len(rows),
    }


def measure_candist(corpus, one, student, orders, kept):
    """candist with its defaults, once for every order of the teachers, that of the set first."""
    name, run = f"candist {student}", corpus.folder / "alternatives-run"
    rows = kept.rows.get(one.name, {}).get(name, {}).get("orders", [])
    for order in list(itertools.permutations(one.teachers))[len(rows) : orders]:
        recordings = {teacher: corpus.recording(teacher, one.kind) for teacher in order}
        begin = time.time()
        lines = student_lines(student, corpus.model, corpus.folder / "vectors")
        run_program(run, corpus.name, corpus.labels, corpus.pool, recordings, lines)
        seconds = round(time.time() - begin, 1)
        events = {event["id"]: event for event in read_rows(run / "labels.jsonl")}
        rows = rows + [{"teachers": order, **judged(corpus, events), "seconds": seconds}]
        kept.keep(one.name, name, {"orders": rows})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("model", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--only", default="", metavar="NAME", help="sets whose name holds this, as 'spam | zero'")
    parser.add_argument("--again", metavar="METHOD", help="measure anew what begins with this: candist, PRODEN")
    parser.add_argument(
        "--orders", type=int, default=6, metavar="N", help="orders of the teachers to run candist with; 0: not at all"
    )
    parser.add_argument("--students", default="ngram", help="of candist: ngram, encoder, or both with a comma")
    parser.add_argument("--without-alternatives", action="store_true", help="measure candist only")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page of what is kept")
    return parser.parse_args()


def main():
    warnings.filterwarnings("ignore")
    given = arguments()
    kept, corpora = Kept(given.folder / "alternatives.json", given.again), {}
    sets = [one for one in all_sets() if given.only in one.name]
    sets = [] if given.page else sets
    for one in sets:
        kept.forget(one.name, given.students.split(","))
    for one in sets:
        if one.corpus not in corpora:
            corpora = {one.corpus: Corpus(one.corpus, given.folder, given.model)}
        corpus = corpora[one.corpus]
        if not given.without_alternatives:
            measure_alternatives(corpus, one, kept)
        for student in given.students.split(","):
            measure_candist(corpus, one, student, given.orders, kept)
    alternatives_page.write([(one, kept.rows[one.name]) for one in all_sets() if one.name in kept.rows])


if __name__ == "__main__":
    main()
