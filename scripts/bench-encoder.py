#!/usr/bin/env python3
"""What benches/encoder.rs measures, with Python's transformers. Same texts, batches, lengths, threads and optimizer."""

import json
import os
import pathlib
import resource
import sys
import time

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

model_folder = os.environ["CANDIST_ENCODER"]
device = os.environ.get("CANDIST_DEVICE", "cpu")
length = int(os.environ.get("CANDIST_LENGTH", "0"))
passes = int(os.environ.get("CANDIST_PASSES", "2"))
torch.set_num_threads(int(os.environ.get("CANDIST_THREADS", "2")))
pool = pathlib.Path(__file__).parent.parent / "examples/banking77/pool.jsonl"
texts = [json.loads(line)["text"] for line in pool.read_text().splitlines()[:512]]
split = Tokenizer.from_file(model_folder + "/tokenizer.json")
split.no_padding()
split.enable_truncation(128)
ids = [split.encode(text).ids for text in texts]
if length:
    ids = [(row + [1000] * length)[:length] for row in ids]
model = AutoModelForSequenceClassification.from_pretrained(model_folder, num_labels=77).to(device)
model.base_model.embeddings.requires_grad_(False)
# DeBERTa's table of distances belongs to the embeddings.
for name, parameter in model.named_parameters():
    if "rel_embeddings" in name or name.endswith("encoder.LayerNorm.weight") or name.endswith("encoder.LayerNorm.bias"):
        parameter.requires_grad_(False)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, weight_decay=0.01)
target = torch.zeros(32, 77, device=device)
target[:, 0] = 1


def batches():
    for start in range(0, len(ids), 32):
        rows = ids[start : start + 32]
        longest = max(map(len, rows))
        tokens = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for row, (line, seen) in zip(rows, zip(tokens, mask)):
            line[: len(row)] = torch.tensor(row)
            seen[: len(row)] = 1
        yield tokens.to(device), mask.to(device)


def precision():
    return torch.autocast(device, torch.bfloat16, enabled=os.environ.get("CANDIST_PRECISION") == "bf16")


def predict(tokens, mask):
    with torch.inference_mode(), precision():
        model(tokens, attention_mask=mask).logits.cpu()


def train(tokens, mask):
    with precision():
        logits = model(tokens, attention_mask=mask).logits
    log_p = logits.float().log_softmax(-1)
    loss = -(log_p * target[: len(tokens)]).sum() / len(tokens)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def rate(work):
    for number, batch in enumerate(batches()):
        work(*batch)
        if number == 1:
            break
    start = time.perf_counter()
    for _ in range(passes):
        for batch in batches():
            work(*batch)
    if device != "cpu":
        torch.cuda.synchronize()
    return passes * len(ids) / (time.perf_counter() - start)


model.eval()
predicted = rate(predict)
model.train()
trained = rate(train)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
json.dump({"predict": round(predicted, 1), "train": round(trained, 1), "peak_mb": peak}, sys.stdout)
print()
