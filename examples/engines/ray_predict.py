"""Labels texts with Ray Data:  python ray_predict.py STUDENT INPUT.jsonl OUTPUT

Each actor has a student of its own. What an `ngram` student says of a text is the same on every worker.
"""

import sys

import ray

import candist


class Label:
    def __init__(self, student: str) -> None:
        self.student = candist.Student(student, threads=1)

    def __call__(self, batch):
        said = self.student.predict(batch.column("text"), as_="arrow")
        return said.add_column(0, "id", batch.column("id"))


def labels(student: str, path: str, worker=Label) -> ray.data.Dataset:
    texts = ray.data.read_json(path, lines=True).repartition(16)
    return texts.map_batches(worker, fn_constructor_args=[student], batch_format="pyarrow", concurrency=2)


if __name__ == "__main__":
    labels(sys.argv[1], sys.argv[2]).write_parquet(sys.argv[3])
