"""What the tests share: the example corpus with its recorded teachers, and a server on loopback.

They test the installed wheel, not the sources beside them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import candist
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "examples" / "banking77"
TEACHERS = ("gpt-4", "gpt-3.5", "gpt-4-other-shots")


def labels_of_the_task() -> list[str]:
    """Every label of the example's gold."""
    gold = (DATA / "pool_gold.jsonl").read_text().splitlines()
    return sorted({json.loads(line)["label"] for line in gold})


def sample(folder: Path, stride: int) -> dict[str, Any]:
    """Every ``stride``-th text of the example corpus in ``folder``, and a configuration for it, relative to that."""
    for name in ("pool", *(f"teacher_{teacher}" for teacher in TEACHERS)):
        lines = (DATA / f"{name}.jsonl").read_text().splitlines()[::stride]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return {
        "task": {"name": "bank", "instruction": "Identify the intent of this question", "labels": labels_of_the_task()},
        "corpus": {"path": "pool.jsonl"},
        "teachers": [{"kind": "recorded", "name": name, "path": f"teacher_{name}.jsonl"} for name in TEACHERS],
        "student": {"dimension": 8, "buckets": 4096},
        "distill": {"folds": 3, "block": 8, "memory": 200, "max_passes": 4},
        "run": {"dir": "run"},
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> candist.Run:
    """A finished run, for all that only looks at one."""
    folder = tmp_path_factory.mktemp("finished")
    config = sample(folder, 8)
    config["run"]["dir"] = str(folder / "run")
    for table in (config["corpus"], *config["teachers"]):
        table["path"] = str(folder / table["path"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = candist.run(config, quiet=True)
    return candist.Run(folder / run.path, run.summary)


@pytest.fixture(scope="session")
def student_folder(finished: candist.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its student."""
    return finished.export_student(tmp_path_factory.mktemp("students") / "student")


Reply = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


@pytest.fixture
def server() -> Iterator[Callable[[Reply], str]]:
    """Starts a server for chat completions that answers as it is told; gives its base URL."""
    started: list[ThreadingHTTPServer] = []

    def start(reply: Reply) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = reply(asked)
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        started.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}/v1"

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def completion(labels: list[str]) -> dict[str, Any]:
    """A chat completion that names these labels."""
    message = {"role": "assistant", "content": json.dumps({"labels": labels})}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}}
