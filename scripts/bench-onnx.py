#!/usr/bin/env python3
"""An encoder student beside onnxruntime: docs/src/explanation/performance.md, "The `encoder` student".

    scripts/bench-onnx.py FOLDER [--texts 3080] [--threads 1,2] [--rounds 3]

FOLDER is a classifier that `candist predict` reads: what `candist export --student` wrote of an encoder, or one from Hugging Face.
It is exported to ONNX, and both label the same texts of examples/banking77, sorted by length, on so many threads, in turns; printed is
the fastest of the rounds of each, candist in fp32 and (where the processor has it) in bf16, and on how many texts it names the same label as onnxruntime in f32. candist's time is that of its process less that of
labelling one text; onnxruntime's that of tokenizing and of its session. Needs torch, transformers, onnx, onnxruntime, tokenizers.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CANDIST = os.environ.get("CANDIST", str(ROOT / "target" / "release" / "candist"))
# Of texts of much the same length: what onnxruntime is fastest with here.
BATCH = 32

def precisions():
    """In bf16 only where the processor has instructions for it: without them it takes many times as long."""
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    return ["fp32", "bf16"] if any(flag in flags for flag in ("avx512_bf16", "amx_bf16")) else ["fp32"]


PRECISIONS = precisions()


def export(folder, path):
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask"]
    inputs = tuple(torch.ones((2, 5), dtype=torch.long) for _ in names)
    axes = {name: {0: "texts", 1: "tokens"} for name in names}
    torch.onnx.export(model, inputs, str(path), input_names=names, output_names=["logits"], dynamic_axes=axes, dynamo=False)
    return [model.config.id2label[number] for number in range(model.config.num_labels)]


class Onnx:
    def __init__(self, folder, path, labels, threads):
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(512)
        self.labels = labels

    def label(self, texts):
        import numpy

        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
        labels = [None] * len(texts)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            width = max(len(encoded[place]) for place in places)
            ids, mask = numpy.zeros((2, len(places), width), dtype=numpy.int64)
            for row, place in enumerate(places):
                ids[row, : len(encoded[place])], mask[row, : len(encoded[place])] = encoded[place], 1
            (logits,) = self.session.run(None, {"input_ids": ids, "attention_mask": mask})
            for place, row in zip(places, logits):
                labels[place] = self.labels[row.argmax()]
        return labels


def predict(folder, path, threads, precision):
    """Labels, and seconds of the whole process."""
    began = time.monotonic()
    command = [CANDIST, "-q", "predict", "--student", folder, "--threads", str(threads), "--precision", precision, path]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [json.loads(line)["label"] for line in said.stdout.splitlines()], time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=3080, help="(default: %(default)s)")
    parser.add_argument("--threads", default="1,2", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    args = parser.parse_args()
    rows = [json.loads(line) for line in (ROOT / "examples" / "banking77" / "pool.jsonl").open()][: args.texts]
    texts = [row["text"] for row in rows]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        names = export(args.folder, scratch / "model.onnx")
        for name, part in (("all.jsonl", rows), ("one.jsonl", rows[:1])):
            (scratch / name).write_text("".join(json.dumps(row) + "\n" for row in part))
        for threads in map(int, args.threads.split(",")):
            onnx = Onnx(args.folder, scratch / "model.onnx", names, threads)
            theirs, ours, same = [], {precision: [] for precision in PRECISIONS}, {}
            for _ in range(args.rounds):
                began = time.monotonic()
                their_labels = onnx.label(texts)
                theirs.append(time.monotonic() - began)
                for precision in PRECISIONS:
                    _, start = predict(args.folder, scratch / "one.jsonl", threads, precision)
                    our_labels, seconds = predict(args.folder, scratch / "all.jsonl", threads, precision)
                    ours[precision].append(seconds - start)
                    same[precision] = sum(our == their for our, their in zip(our_labels, their_labels))
            rate = lambda seconds: len(texts) / min(seconds)
            print(f"{threads} thread(s): onnxruntime {rate(theirs):.0f} texts/s", flush=True)
            for precision in PRECISIONS:
                ratio = rate(ours[precision]) / rate(theirs)
                print(f"  candist, {precision}: {rate(ours[precision]):.0f}, ratio {ratio:.2f}; the same label on {same[precision]} of {len(texts)}", flush=True)


if __name__ == "__main__":
    main()
