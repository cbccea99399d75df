"""Checks that engines say what one process says, also where a worker is killed: the SHA-256 of id, label and confidence in the order of ids.

    python check.py ray|spark STUDENT INPUT

The program is that of CANDIST_PROGRAM. Each engine's worker is killed once, with SIGKILL, in the middle of its texts.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile

import candist


def die_once(marker: str) -> None:
    """Kills this process, unless one was killed before."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def digest(rows) -> str:
    lines = sorted(f"{row['id']}\t{row['label']}\t{row['confidence']:.4f}\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def alone(student: str, path: str) -> list[dict]:
    program = os.environ["CANDIST_PROGRAM"]
    said = subprocess.run([program, "predict", "--student", student, path], capture_output=True, check=True, text=True)
    return [json.loads(line) for line in said.stdout.splitlines()]


def with_ray(student: str, path: str, marker: str) -> list[dict]:
    import ray
    import ray_predict

    class Dying(ray_predict.Label):
        def __call__(self, batch):
            said = super().__call__(batch)
            die_once(marker)
            return said

    here = os.path.dirname(os.path.abspath(__file__))
    paths = os.pathsep.join([here, os.path.dirname(os.path.dirname(candist.__file__))])
    named = {"PYTHONPATH": paths, "CANDIST_PROGRAM": os.environ["CANDIST_PROGRAM"]}
    os.environ.update(named)
    # Two actors hold a processor each, and reading needs one too.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    return ray_predict.labels(student, path, Dying).take_all()


def with_spark(student: str, path: str, marker: str) -> list[dict]:
    import spark_predict
    from pyspark.sql import SparkSession

    def dying(student):
        label = spark_predict.labeller(student)

        def dying_label(batches):
            for said in label(batches):
                die_once(marker)
                yield said

        return dying_label

    os.environ["PYSPARK_PYTHON"] = sys.executable
    # A task that fails is tried again, as on a cluster; the file, which is small, is cut for some ten of them.
    settings = {"spark.ui.enabled": "false", "spark.sql.files.maxPartitionBytes": "200k"}
    spark = SparkSession.builder.master("local[2, 4]").config(map=settings).getOrCreate()
    return [row.asDict() for row in spark_predict.labels(spark, student, path, dying).collect()]


if __name__ == "__main__":
    engine, student, path = sys.argv[1], *map(os.path.abspath, sys.argv[2:4])
    marker = os.path.join(tempfile.mkdtemp(), "killed")
    said = {"ray": with_ray, "spark": with_spark}[engine](student, path, marker)
    assert os.path.exists(marker), "no worker was killed"
    expected, found = digest(alone(student, path)), digest(said)
    print(f"{engine}: {len(said)} texts, SHA-256 {found}, one process: {expected}")
    sys.exit(found != expected)
