"""What the scripts share that try candist on several corpora: vectors of texts, configurations, runs and their labels."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("CANDIST", str(ROOT / "target/release/candist"))


def read_rows(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def load_encoder(folder):
    from transformers import AutoModel, AutoTokenizer

    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def embed(model, tokenizer, texts):
    """One vector a text: the mean over its tokens, of length 1."""
    import numpy, torch

    order, rows = sorted(range(len(texts)), key=lambda i: len(texts[i])), [None] * len(texts)
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            part = order[start : start + 64]
            batch = tokenizer([texts[i] for i in part], return_tensors="pt", padding=True, truncation=True, max_length=64)
            mask = batch["attention_mask"][..., None]
            mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            for i, row in zip(part, torch.nn.functional.normalize(mean, dim=1).numpy()):
                rows[i] = row
    return numpy.stack(rows)


def student_lines(student, model, vectors):
    """The student's part of a configuration; `model` and `vectors` are the encoder's folders."""
    lines = f'[student]\nkind = "{student}"'
    return lines + f'\nmodel = "{model}"\nvectors = "{vectors}"' if student == "encoder" else lines


def run_program(run, name, labels, pool, recordings, student):
    """A run with the defaults in the folder `run`, anew. `recordings` are the teachers in their order: name and file."""
    config = [f'[task]\nname = "{name}"\nlabels = {json.dumps(labels)}\n[corpus]\npath = "{pool}"']
    config += [f'[[teachers]]\nkind = "recorded"\nname = "{teacher}"\npath = "{path}"' for teacher, path in recordings.items()]
    path = pathlib.Path(f"{run}.toml")
    path.write_text("\n".join(config + [student]) + "\n")
    subprocess.run(["rm", "-rf", run], check=True)
    subprocess.run([PROGRAM, "run", path, "--run-dir", run, "--quiet"], check=True)


def evaluate(run, gold):
    """What `candist eval` says of a run."""
    found = subprocess.run([PROGRAM, "eval", run, "--gold", gold, "--json"], capture_output=True, check=True)
    return json.loads(found.stdout)


def write_below_mark(page, text):
    """Replaces what a script wrote of a page of the book: all below the mark."""
    mark = "<!-- results -->"
    path = ROOT / "docs/src/explanation" / page
    path.write_text(path.read_text().split(mark)[0] + f"{mark}\n\n{text}\n")
