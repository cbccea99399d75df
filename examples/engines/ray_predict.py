"""Labels texts with Ray Data:  python ray_predict.py STUDENT INPUT.jsonl OUTPUT

Each actor has a student of its own. What an `ngram` student says of a text is the same on every worker.
"""

import sys

import pyarrow
import ray
from pyarrow.json import ParseOptions

import candist

# Said, not guessed: "0042" is an id and no number, and 2026-11-30 may be all of a text.
COLUMNS = pyarrow.schema({"id": pyarrow.string(), "text": pyarrow.string()})


class Label:
    def __init__(self, student: str) -> None:
        self.student = candist.Student(student, threads=1)

    def __call__(self, batch):
        said = self.student.predict(batch.column("text"), as_="arrow")
        return said.add_column(0, "id", batch.column("id"))


def labels(student: str, path: str, worker=Label) -> ray.data.Dataset:
    parsed = ParseOptions(explicit_schema=COLUMNS, unexpected_field_behavior="ignore")
    # Cut where they are read: `repartition` would send each text through the cluster once more.
    texts = ray.data.read_json(path, parse_options=parsed, override_num_blocks=64)
    return texts.map_batches(worker, fn_constructor_args=[student], batch_format="pyarrow", concurrency=2)


if __name__ == "__main__":
    labels(sys.argv[1], sys.argv[2]).write_parquet(sys.argv[3])
