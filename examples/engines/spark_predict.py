"""Labels texts with Spark:  spark-submit spark_predict.py STUDENT INPUT OUTPUT

INPUT is Parquet, or JSON Lines, of which Spark reads fewer texts a second.
Each Python worker has a student of its own. What an `ngram` student says of a text is the same on every executor.
"""

import functools
import sys

from pyspark.sql import DataFrame, SparkSession

import candist

SCHEMA = "id string, label string, confidence double"


@functools.cache
def opened(student: str) -> candist.Student:
    return candist.Student(student, threads=1)


def labeller(student: str):
    def label(batches):
        import pyarrow as pa

        for batch in batches:
            said = opened(student).predict(batch.column("text"), as_="arrow").select(["label", "confidence"])
            yield from said.add_column(0, "id", batch.column("id")).cast(
                pa.schema({"id": pa.string(), "label": pa.string(), "confidence": pa.float64()})
            ).combine_chunks().to_batches()

    return label


def labels(spark: SparkSession, student: str, path: str, label=labeller) -> DataFrame:
    # Spark cuts files itself, by spark.sql.files.maxPartitionBytes: `repartition` would send each text through the cluster once more.
    texts = spark.read.schema("id string, text string").format("json" if ".json" in path else "parquet").load(path)
    return texts.mapInArrow(label(student), SCHEMA)


if __name__ == "__main__":
    labels(SparkSession.builder.getOrCreate(), sys.argv[1], sys.argv[2]).write.parquet(sys.argv[3])
