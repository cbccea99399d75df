#!/usr/bin/env python3
"""How many texts a second Ray and Spark label, beside two plain processes: docs/src/explanation/performance.md, "On engines".

    target/check-engines/venv/bin/python scripts/engine-rates.py       (after `make engines`, which makes the environment and the student)

Each labels a small file to warm up, a small and a large one with two workers of one thread, and the difference of the last two counts: what an
engine takes to begin does not. All of it in turns, three times; the fastest is printed. Output is Parquet for the engines, as in examples/engines/, and JSON Lines for plain processes. Engines are
measured once more with workers who say the same of every text: what is left then is what they take themselves.
"""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "check-engines"
STUDENT = WORK / "student"
SIZES = (200_000, 2_200_000)
ROUNDS = 3
PROGRAM = os.environ.setdefault("CANDIST_PROGRAM", str(ROOT / "target" / "release" / "candist"))
PATHS = os.pathsep.join(map(str, [ROOT / "examples" / "engines", ROOT / "python" / "src"]))
os.environ["PYTHONPATH"] = PATHS
sys.path[:0] = PATHS.split(os.pathsep)


def write_texts(path, numbers):
    pool = [json.loads(line)["text"] for line in (ROOT / "examples/banking77/pool.jsonl").open()]
    with path.open("w") as out:
        for number, text in zip(numbers, itertools.cycle(pool)):
            out.write(json.dumps({"id": f"{number:07}", "text": f"{text} {number}"}) + "\n")


def write_parquet(path):
    """The same texts, in groups that make as many tasks of it."""
    import pyarrow.json
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.json.read_json(path), path.with_suffix(".parquet"), row_group_size=10_000)


def plain(folder):
    halves = [path for path in sorted(folder.glob("half-*"))]
    command = [PROGRAM, "predict", "--student", STUDENT, "--threads", "1"]
    running = [subprocess.Popen([*command, half], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for half in halves]
    assert all(process.wait() == 0 for process in running)


def unread(ids):
    """What a student says, without one."""
    import pyarrow

    columns = {"label": pyarrow.scalar("exchange_rate"), "confidence": pyarrow.scalar(0.5, pyarrow.float32())}
    return pyarrow.table({"id": ids, **{name: pyarrow.repeat(value, len(ids)) for name, value in columns.items()}})


class Unread:
    def __init__(self, student):
        pass

    def __call__(self, batch):
        return unread(batch.column("id"))


def unread_labeller(student):
    def label(batches):
        import pyarrow as pa

        for batch in batches:
            schema = pa.schema({"id": pa.string(), "label": pa.string(), "confidence": pa.float64()})
            yield from unread(batch.column("id")).cast(schema).to_batches()

    return label


def with_ray(folder, **worker):
    import ray
    import ray_predict

    if not ray.is_initialized():
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    ray_predict.labels(str(STUDENT), str(folder / "texts.jsonl"), **worker).write_parquet(str(folder / "ray"))


def with_spark(folder, texts="texts.jsonl", **label):
    import spark_predict
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    # Some dozens of tasks, as a larger input has.
    spark.conf.set("spark.sql.files.maxPartitionBytes", (folder / texts).stat().st_size // 32)
    spark_predict.labels(spark, str(STUDENT), str(folder / texts), **label).write.parquet(str(folder / "spark"))


def measure(say, folders, **worker):
    took = []
    for folder in [folders[0], *folders]:
        for name in ("ray", "spark"):
            shutil.rmtree(folder / name, ignore_errors=True)
        began = time.monotonic()
        say(folder, **worker)
        took.append(time.monotonic() - began)
    return (SIZES[1] - SIZES[0]) / (took[2] - took[1])


def main():
    base = pathlib.Path(tempfile.mkdtemp())
    try:
        folders = [base / str(size) for size in SIZES]
        for folder, size in zip(folders, SIZES):
            folder.mkdir()
            write_texts(folder / "texts.jsonl", range(size))
            for half in range(2):
                write_texts(folder / f"half-{half}", range(half * size // 2, (half + 1) * size // 2))
            write_parquet(folder / "texts.jsonl")
        measures = {
            "two plain processes": lambda: measure(plain, folders),
            "ray": lambda: measure(with_ray, folders),
            "spark": lambda: measure(with_spark, folders),
            "spark, Parquet in": lambda: measure(with_spark, folders, texts="texts.parquet"),
            "ray without a student": lambda: measure(with_ray, folders, worker=Unread),
            "spark without a student": lambda: measure(with_spark, folders, label=unread_labeller),
            "spark without a student, Parquet in": lambda: measure(with_spark, folders, texts="texts.parquet", label=unread_labeller),
        }
        rates = {name: 0.0 for name in measures}
        for _ in range(ROUNDS):
            for name, say in measures.items():
                rates[name] = max(rates[name], say())
        for name, rate in rates.items():
            print(f"{name}: {rate:,.0f} texts a second")
            if "process" not in name and "without" not in name:
                print(f"  {rate / rates['two plain processes']:.0%} of two plain processes")
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
