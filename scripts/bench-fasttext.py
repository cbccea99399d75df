#!/usr/bin/env python3
"""What fastText does on one thread with the n-grams of the `ngram` student: docs/src/explanation/performance.md, "What there is
without candist".

    scripts/bench-fasttext.py [--epochs 40] [--rounds 3]

One model (a student has eight copies, each trained on seven of eight texts) of the same texts, labels, dimension, buckets and
n-grams. Printed are the texts a second of training and of labelling, the fastest of the rounds. Needs fasttext-wheel and numpy 1.
"""

import argparse
import json
import pathlib
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "banking77"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    args = parser.parse_args()
    import fasttext

    texts = [" ".join(json.loads(line)["text"].split()) for line in (EXAMPLES / "pool.jsonl").open()]
    said = {row["id"]: row["labels"] for row in map(json.loads, (EXAMPLES / "teacher_gpt-4.jsonl").open())}
    ids = [json.loads(line)["id"] for line in (EXAMPLES / "pool.jsonl").open()]
    trained, labelled = [], []
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus.txt"
        corpus.write_text("".join(f"__label__{said[id][0]} {text}\n" for id, text in zip(ids, texts) if said[id]))
        settings = {"dim": 32, "bucket": 131072, "minn": 2, "maxn": 5, "wordNgrams": 2, "thread": 1, "lr": 0.5, "verbose": 0}
        for _ in range(args.rounds):
            # Less what is there without any training: reading, and making the table.
            took = []
            for epochs in (1, 1 + args.epochs):
                began = time.perf_counter()
                model = fasttext.train_supervised(str(corpus), epoch=epochs, **settings)
                took.append(time.perf_counter() - began)
            trained.append(args.epochs * len(texts) / (took[1] - took[0]))
            began = time.perf_counter()
            for _ in range(10):
                model.predict(texts)
            labelled.append(10 * len(texts) / (time.perf_counter() - began))
    print(f"fastText, one model on one thread: {max(trained):,.0f} texts/s trained, {max(labelled):,.0f} labelled")


if __name__ == "__main__":
    main()
