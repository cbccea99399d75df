"""Exports a small run in every format, and opens each with the packages that people open it with.

Called by check-tables.sh, with the program and an empty folder. Nothing is sent anywhere: Argilla's own client is given a server on
this machine that keeps what it is sent.
"""

import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import uuid
import warnings

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
warnings.simplefilter("ignore")

import datasets
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet

candist, work = sys.argv[1], pathlib.Path(sys.argv[2])
os.environ["HF_HOME"] = str(work / "hf")
datasets.config.HF_DATASETS_CACHE = work / "hf-cache"
datasets.disable_progress_bars()
repository = pathlib.Path(__file__).parent.parent
checks = 0


def check(found, expected, what):
    global checks
    checks += 1
    if found != expected:
        sys.exit(f"check-tables: {what}: found {found!r}, expected {expected!r}")


def run(*args):
    done = subprocess.run([candist, *args], cwd=work, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"check-tables: candist {' '.join(args)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


# A run of 60 texts of the example corpus, with columns of its own. One is written so that a spreadsheet would compute it.
example = repository / "examples" / "banking77"
pool = [json.loads(line) for line in (example / "pool.jsonl").open()][::50]
for number, row in enumerate(pool):
    row |= {"number": number, "share": number / 8, "even": number % 2 == 0, "tags": ["a", number]}
    row |= {"note": "=HYPERLINK(1)" if number == 3 else "one\ntwo, \"three\"" if number == 4 else None}
    row |= {"label": f"own {number}"}
ids = {row["id"] for row in pool}
(work / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pool))
recording = [line for line in (example / "teacher_gpt-4.jsonl").open() if json.loads(line)["id"] in ids]
(work / "recording.jsonl").write_text("".join(recording))
task = re.search(r"\[task\].*?(?=\[corpus\])", (repository / "configs" / "quickstart.toml").read_text(), re.S).group()
names = json.loads("[" + re.search(r"labels = \[(.*?)\]", task, re.S).group(1).strip().rstrip(",") + "]")
(work / "run.toml").write_text(
    f'{task}\n[corpus]\npath = "pool.jsonl"\n[[teachers]]\nkind = "recorded"\npath = "recording.jsonl"\n'
    '[student]\ndimension = 8\nbuckets = 4096\n[distill]\nfolds = 2\nblock = 16\nmax_passes = 2\n[run]\ndir = "run"\n'
)
run("run", "run.toml")
for name in ["out.parquet", "out.csv", "out.tsv", "out.jsonl", "out.csv.gz", "out.jsonl.zst"]:
    run("export", "run.toml", "--labels", name, "--join")
truth = [json.loads(line) for line in (work / "out.jsonl").open()]
check([row["id"] for row in truth], [row["id"] for row in pool], "the order of rows")
own = ["id", "label", "confidence", "margin", "others", "candidates", "candidate_weights", "by", "corrected", "final", "text"]
joined = ["number", "share", "even", "tags", "note", "corpus_label"]
check(list(truth[0]), own + joined, "the columns")
check(truth[7]["tags"], ["a", 7], "a list of the corpus")
parquet = work / "out.parquet"


def column(name):
    return [row[name] for row in truth]


def as_json(values):
    return [json.loads(value) for value in values]


def with_pyarrow():
    table = pyarrow.parquet.read_table(parquet)
    strings, doubles = pyarrow.list_(pyarrow.string()), pyarrow.list_(pyarrow.float64())
    types = dict(zip(table.column_names, table.schema.types))
    expected = {"candidates": strings, "candidate_weights": doubles, "confidence": pyarrow.float64(), "margin": pyarrow.float64()}
    expected |= {"others": pyarrow.list_(pyarrow.struct([("label", pyarrow.string()), ("confidence", pyarrow.float64())]))}
    expected |= {"corrected": pyarrow.bool_(), "final": pyarrow.bool_(), "even": pyarrow.bool_()}
    expected |= {"number": pyarrow.int64(), "share": pyarrow.float64()}
    check(types, {name: expected.get(name, pyarrow.string()) for name in own + joined}, "pyarrow: types")
    for name in own + joined:
        found = table[name].to_pylist()
        check(as_json(found) if name == "tags" else found, column(name), f"pyarrow: {name}")
    check(pyarrow.parquet.ParquetFile(parquet).metadata.row_group(0).column(0).compression, "ZSTD", "pyarrow: compression")


def with_pandas():
    frame = pandas.read_parquet(parquet)
    check(frame.shape, (len(truth), len(own + joined)), "pandas: shape")
    check([str(frame[name].dtype) for name in ["confidence", "number", "even"]], ["float64", "int64", "bool"], "pandas: types")
    check([list(value) for value in frame["candidates"]], column("candidates"), "pandas: candidates")
    check(frame["label"].tolist(), column("label"), "pandas: label")
    for name, more in [("out.csv", {}), ("out.tsv", {"sep": "\t"}), ("out.csv.gz", {})]:
        frame = pandas.read_csv(work / name, keep_default_na=False, na_values={"margin": [""]}, **more)
        check(list(frame.columns), own + joined, f"pandas: {name}: columns")
        check([frame[name].dtype.kind for name in ["confidence", "number", "final"]], ["f", "i", "b"], f"pandas: {name}: types")
        check(as_json(frame["candidates"]), column("candidates"), f"pandas: {name}: candidates")
        check(frame["text"].tolist(), column("text"), f"pandas: {name}: text")
        check(frame["note"].tolist()[3:5], ["'=HYPERLINK(1)", column("note")[4]], f"pandas: {name}: guard")
    with pyarrow.input_stream(str(work / "out.jsonl.zst"), compression="zstd") as lines:
        frame = pandas.read_json(lines, lines=True)
    check(frame["candidate_weights"].tolist(), column("candidate_weights"), "pandas: out.jsonl.zst")


def with_polars():
    frame = polars.read_parquet(parquet)
    check(frame.shape, (len(truth), len(own + joined)), "polars: shape")
    expected = {"candidates": polars.List(polars.String), "candidate_weights": polars.List(polars.Float64), "final": polars.Boolean}
    check({name: frame.schema[name] for name in expected}, expected, "polars: types")
    check(frame["candidate_weights"].to_list(), column("candidate_weights"), "polars: weights")
    frame = polars.read_csv(work / "out.csv")
    check([frame.schema[name] for name in ["number", "share", "even"]], [polars.Int64, polars.Float64, polars.Boolean], "polars: CSV")
    check(frame["text"].to_list(), column("text"), "polars: CSV: text")
    check(polars.read_ndjson(work / "out.jsonl")["candidates"].to_list(), column("candidates"), "polars: JSON lines")


def with_duckdb():
    rows = duckdb.sql(f"select id, label, confidence, candidates, candidate_weights, final from '{parquet}'").fetchall()
    names = ["id", "label", "confidence", "candidates", "candidate_weights", "final"]
    check([dict(zip(names, row)) for row in rows], [{name: row[name] for name in names} for row in truth], "duckdb: rows")
    types = dict(row[:2] for row in duckdb.sql(f"describe select * from '{parquet}'").fetchall())
    check([types[name] for name in ["candidates", "confidence", "number"]], ["VARCHAR[]", "DOUBLE", "BIGINT"], "duckdb: types")
    for name in ["out.csv", "out.csv.gz", "out.jsonl"]:
        counted = duckdb.sql(f"select count(*), sum(number)::int from '{work / name}'").fetchall()
        check(counted, [(len(truth), sum(column("number")))], f"duckdb: {name}")


def with_datasets():
    data = datasets.load_dataset("parquet", data_files=str(parquet), split="train")
    check((data.num_rows, data[7]["candidates"]), (len(truth), truth[7]["candidates"]), "datasets: Parquet")
    run("export", "run.toml", "--for", "hf", "--out", "dataset", "--join")
    data = datasets.load_dataset(str(work / "dataset"), split="train")
    check(isinstance(data.features["label"], datasets.ClassLabel), True, "datasets: the label is a class")
    check(data.features["label"].names, names, "datasets: the classes")
    check([data.features["label"].int2str(label) for label in data["label"]], column("label"), "datasets: labels")
    check(list(data.features), own + joined, "datasets: columns")
    check(data["candidates"][:], column("candidates"), "datasets: candidates")


def with_label_studio():
    from label_studio_sdk.label_interface import LabelInterface
    from label_studio_sdk.label_interface.objects import PredictionValue

    run("export", "run.toml", "--for", "label-studio", "--out", "tasks.json", "--join")
    interface = LabelInterface((work / "tasks.xml").read_text())
    interface.validate()
    check(list(interface.get_control("label").labels), names, "label studio: the choices")
    tasks = json.loads((work / "tasks.json").read_text())
    check([task["data"]["id"] for task in tasks], column("id"), "label studio: ids")
    for task, row in zip(tasks, truth):
        check(interface.validate_task({"data": task["data"]}), True, "label studio: a task")
        for prediction in task["predictions"]:
            check(interface.validate_prediction(prediction, return_errors=True), [], "label studio: a prediction")
            PredictionValue(**prediction)
        check(task["predictions"][0]["result"][0]["value"], {"choices": [row["label"]]}, "label studio: the label")


class Argilla(http.server.BaseHTTPRequestHandler):
    """As much of Argilla's server as its client asks when it imports a dataset from disk; keeps what it is sent."""

    sent = []

    def log_message(self, *_):
        pass

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        path = self.path.split("?")[0].removeprefix("/api/v1/")
        Argilla.sent.append((self.command, path, body))
        reply = Argilla.reply(self.command, path, body)
        reply = {"inserted_at": Argilla.now, "updated_at": Argilla.now} | reply
        content = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = answer

    @staticmethod
    def made(kind):
        return [body | {"id": str(uuid.uuid4()), "dataset_id": Argilla.dataset["id"]} for _, path, body in Argilla.sent if path.endswith(kind) and body]

    now = "2026-01-01T00:00:00"
    workspace = {"id": str(uuid.uuid4()), "name": "argilla", "inserted_at": now, "updated_at": now}
    dataset = {"id": str(uuid.uuid4()), "name": "x", "status": "draft", "workspace_id": workspace["id"]}

    @staticmethod
    def reply(method, path, body):
        if path == "me":
            return {"id": str(uuid.uuid4()), "username": "me", "role": "owner", "first_name": "me"}
        if path.endswith("workspaces"):
            return {"items": [Argilla.workspace]}
        if path == "me/datasets":
            return {"items": []}
        if method == "POST" and path == "datasets":
            Argilla.dataset |= body
            return Argilla.dataset
        for kind in ["fields", "questions", "vectors-settings", "metadata-properties"]:
            if path.endswith("/" + kind):
                return body | {"id": str(uuid.uuid4())} if method == "POST" else {"items": Argilla.made("/" + kind)}
        if path.endswith("records/bulk"):
            return {"items": [item | {"id": str(uuid.uuid4()), "status": "pending", "suggestions": [], "responses": []} for item in body["items"]], "updated_item_ids": []}
        return Argilla.dataset


def with_argilla():
    import argilla

    run("export", "run.toml", "--for", "argilla", "--out", "argilla", "--join")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Argilla)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = argilla.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="argilla.apikey")
    settings = argilla.Settings.from_json(work / "argilla" / ".argilla" / "settings.json")
    check([option for option in settings.questions["label"].labels], names, "argilla: the labels of the question")
    argilla.Dataset.from_disk(str(work / "argilla"), workspace="argilla", client=client)
    records = [record for _, path, body in Argilla.sent if path.endswith("records/bulk") for record in body["items"]]
    check([record["external_id"] for record in records], column("id"), "argilla: ids")
    check([record["fields"]["text"] for record in records], column("text"), "argilla: texts")
    check([record["suggestions"][0]["value"] for record in records], column("label"), "argilla: suggestions")
    check([record["metadata"]["number"] for record in records], column("number"), "argilla: metadata")
    server.shutdown()


for way in [with_pyarrow, with_pandas, with_polars, with_duckdb, with_datasets, with_label_studio, with_argilla]:
    before = checks
    way()
    print(f"check-tables: {way.__name__.removeprefix('with_')}: {checks - before} checks passed")
print(f"{checks} passed, 0 failed")
