#!/usr/bin/env python3
"""What other ways of fine-tuning an encoder would be worth for their time: what docs/src/explanation/experiments.md says of gradual
unfreezing and LoRA, which candist does not have.

    scripts/encoder-ways.py FOLDER LABELS [--only NAMES] [--seeds 0,1,2] [--rates LAYERS/HEAD,..] [--check]

FOLDER is that of all-MiniLM-L6-v2; LABELS the labels.jsonl of a candist run on every 5th text of BANKING77's pool (616), whose distributions are the
targets: its label with its confidence, `others`, and the rest spread evenly. Needs torch, transformers and safetensors from PyPI. --check holds
the forward pass against transformers'.

One model is trained on all texts (candist has `folds` copies). Head, pooling, optimizer, clipping, warm-up, and a step size that falls from pass
to pass are candist's (src/student/encoder/{head,copy,adamw,post_norm}.rs, src/distill/settle.rs). Not so: mixing, steadiness, the streaming
phase, and a student that changes its own targets. LoRA has rank 8 and alpha 16, on query and value, A as nn.Linear begins, B zero.

Outputs of layers that stay as they are, are computed once; `trunk` is what that cost. Step sizes are chosen from three with the first seed by 501
held-out texts, and tested on 1,001 and 3,003 others. Seconds are the processor's, of training alone, on one thread.
"""

import argparse
import json
import math
import pathlib
import sys
import time
import zlib

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoTokenizer

torch.set_num_threads(1)
MODEL = pathlib.Path(sys.argv[1])
DATA = pathlib.Path(__file__).resolve().parent.parent / "examples/banking77"
LAYERS, HEADS, HIDDEN, DROP = 6, 12, 384, 0.1
PARTS = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
]
W = load_file(str(MODEL / "model.safetensors"))


def read(path, start, every):
    return [json.loads(line) for line in path.read_text().splitlines()[start::every]]


tokenizer = AutoTokenizer.from_pretrained(MODEL)


def encode(rows):
    return [tokenizer(r["text"], truncation=True, max_length=128)["input_ids"] for r in rows]


def linear(x, p, lora=None):
    y = F.linear(x, p[0], p[1])
    return y if lora is None else y + 2.0 * F.linear(F.linear(x, lora[0]), lora[1])


def norm(x, p):
    return F.layer_norm(x, (HIDDEN,), p[0], p[1], 1e-12)


class Lay:
    """Packed tokens of a batch: where each token is in the padded one."""

    def __init__(self, lengths):
        self.lengths = torch.tensor(lengths)
        n, m = len(lengths), max(lengths)
        self.mask = torch.arange(m)[None, :] < self.lengths[:, None]
        self.flat = self.mask.flatten().nonzero().squeeze(1)
        self.n, self.m = n, m
        self.text = torch.repeat_interleave(torch.arange(n), self.lengths)
        self.bias = torch.zeros(n, 1, 1, m).masked_fill(~self.mask[:, None, None, :], -1e9)

    def pad(self, x):
        out = x.new_zeros(self.n * self.m, HIDDEN).index_copy(0, self.flat, x)
        return out.view(self.n, self.m, HEADS, HIDDEN // HEADS).transpose(1, 2)

    def unpad(self, x):
        return x.transpose(1, 2).reshape(self.n * self.m, HIDDEN).index_select(0, self.flat)

    def means(self, x):
        return x.new_zeros(self.n, HIDDEN).index_add(0, self.text, x) / self.lengths[:, None]


def layer(x, lay, p, lora, train):
    q, k, v = linear(x, p[0], lora and lora[0]), linear(x, p[1]), linear(x, p[2], lora and lora[1])
    q, k, v = lay.pad(q), lay.pad(k), lay.pad(v)
    if train:
        a = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(HIDDEN // HEADS) + lay.bias, -1)
        a = F.dropout(a, DROP) @ v
    else:
        a = F.scaled_dot_product_attention(q, k, v, lay.bias)
    drop = (lambda y: F.dropout(y, DROP)) if train else (lambda y: y)
    x = norm(drop(linear(lay.unpad(a), p[3])) + x, p[4])
    return norm(drop(linear(F.gelu(linear(x, p[5])), p[6])) + x, p[7])


def weights(number):
    return [[W[f"encoder.layer.{number}.{part}.{end}"].float() for end in ("weight", "bias")] for part in PARTS]


def embed(ids):
    flat = torch.tensor([i for t in ids for i in t])
    places = torch.tensor([i for t in ids for i in range(len(t))])
    x = (
        W["embeddings.word_embeddings.weight"][flat]
        + W["embeddings.position_embeddings.weight"][places]
        + W["embeddings.token_type_embeddings.weight"][0]
    )
    return norm(x.float(), [W["embeddings.LayerNorm.weight"], W["embeddings.LayerNorm.bias"]])


FROZEN = [weights(n) for n in range(LAYERS)]


class Cache:
    """What layers of the folder make of texts, by depth: 0 is the embeddings', 6 the topmost layer's."""

    def __init__(self, ids):
        self.ids, self.lengths, self.at, self.seconds = ids, [len(t) for t in ids], {}, {}

    def depth(self, d):
        if d not in self.at:
            begin = time.process_time()
            order = sorted(range(len(self.ids)), key=lambda i: self.lengths[i])
            out = [None] * len(order)
            with torch.no_grad():
                for s in range(0, len(order), 64):
                    some = order[s : s + 64]
                    lay, x = Lay([self.lengths[i] for i in some]), embed([self.ids[i] for i in some])
                    for n in range(d):
                        x = layer(x, lay, FROZEN[n], None, False)
                    for i, t in zip(some, x.split([self.lengths[i] for i in some])):
                        out[i] = t.clone()
            self.at[d], self.seconds[d] = out, time.process_time() - begin
        return self.at[d]

    def vectors(self):
        if "v" not in self.at:
            self.at["v"] = F.layer_norm(torch.stack([t.mean(0) for t in self.depth(LAYERS)]), (HIDDEN,))
        return self.at["v"]


class Student:
    def __init__(self, labels, layers, lora, trains_dense):
        self.low = LAYERS - layers
        self.lora = lora
        self.p = {n: [[t.clone() for t in pair] for pair in FROZEN[n]] for n in range(self.low, LAYERS)}
        self.l = {n: [[torch.empty(8, HIDDEN), torch.zeros(HIDDEN, 8)] for _ in "qv"] if lora else None for n in self.p}
        for n in self.p:
            for pair in self.l[n] or []:
                torch.nn.init.kaiming_uniform_(pair[0], a=math.sqrt(5))
        self.dense = [torch.eye(HIDDEN) * 0.5, torch.zeros(HIDDEN)]
        self.labels = [torch.zeros(labels, HIDDEN), torch.zeros(labels)]
        self.trains_dense = trains_dense

    def of_layer(self, n):
        return [t for pair in (self.l[n] if self.lora else self.p[n]) for t in pair]

    def below(self, cache, some, low):
        d = cache.depth(low)
        return torch.cat([d[i] for i in some]), Lay([cache.lengths[i] for i in some])

    def logits(self, cache, some, low, train):
        """With the layers from `low` on; those below are the folder's."""
        if low == LAYERS:
            v = cache.vectors()[some]
        else:
            x, lay = self.below(cache, some, low)
            for n in range(low, LAYERS):
                x = layer(x, lay, self.p[n], self.l[n], train)
            v = F.layer_norm(lay.means(x), (HIDDEN,))
        v = torch.tanh(linear(v, self.dense))
        return linear(F.dropout(v, DROP) if train else v, self.labels)

    def accuracy(self, cache, gold):
        order = sorted(range(len(gold)), key=lambda i: cache.lengths[i])
        right = 0
        with torch.no_grad():
            for s in range(0, len(order), 64):
                some = order[s : s + 64]
                right += (self.logits(cache, some, self.low, False).argmax(1) == gold[some]).sum().item()
        return right / len(gold)


class Adam:
    def __init__(self):
        self.state = {}

    def step(self, groups):
        """groups: (tensors, step size). Each tensor counts its own steps: those of a layer that was frozen before are new."""
        gs = [t.grad for ts, _ in groups for t in ts]
        total = torch.stack([g.norm() for g in gs]).norm().item()
        scale = min(1.0, 1.0 / total) if total > 0 else 1.0
        with torch.no_grad():
            for ts, size in groups:
                for t in ts:
                    s = self.state.setdefault(id(t), [torch.zeros_like(t), torch.zeros_like(t), 0])
                    g = t.grad * scale
                    s[2] += 1
                    s[0].lerp_(g, 0.1)
                    s[1].lerp_(g * g, 0.001)
                    div = (s[1].sqrt() / math.sqrt(1 - 0.999 ** s[2])).add_(1e-8)
                    if t.dim() > 1:
                        t.mul_(1 - size * 0.01)
                    t.sub_(s[0] / div * (size / (1 - 0.9 ** s[2])))
                    t.grad = None


# name: (phases of (passes, layers trained), layer decay, LoRA)
WAYS = {
    "head 6": ([(6, 0)], 1, False),
    "head 16": ([(16, 0)], 1, False),
    "head 50": ([(50, 0)], 1, False),
    "top 1": ([(6, 1)], 1, False),
    "top 2": ([(6, 2)], 1, False),
    "top 2, decay 0.7": ([(6, 2)], 0.7, False),
    "top 2, decay 0.5": ([(6, 2)], 0.5, False),
    "top 2, gradual 2+2+2": ([(2, 0), (2, 1), (2, 2)], 1, False),
    "top 2, gradual 10+3+3": ([(10, 0), (3, 1), (3, 2)], 1, False),
    "top 2, head first 10+6": ([(10, 0), (6, 2)], 1, False),
    "all 6": ([(6, 6)], 1, False),
    "all 6, decay 0.7": ([(6, 6)], 0.7, False),
    "all 6, LoRA": ([(6, 6)], 1, True),
    "top 2, LoRA": ([(6, 2)], 1, True),
    "top 1, 12 passes": ([(12, 1)], 1, False),
    "top 2, 12 passes": ([(12, 2)], 1, False),
}


def fit(way, rate, head_rate, seed, cache, targets, batch=32, warm=20):
    """Processor seconds of training; the student."""
    phases, decay, lora = WAYS[way]
    most, passes = max(n for _, n in phases), sum(p for p, _ in phases)
    torch.manual_seed(seed * 7919 + zlib.crc32(way.encode()) % 1000)
    order_of = torch.Generator().manual_seed(seed)
    s, adam = Student(targets.shape[1], most, lora, most > 0), Adam()
    for p, n in phases:
        cache.vectors() if n == 0 else cache.depth(LAYERS - n)
    begin, done, step, born = time.process_time(), 0, 0, {}
    for p, n in phases:
        low = LAYERS - n
        # From here on gradients are taken of these.
        live = [(s.of_layer(k), decay ** (LAYERS - 1 - k) * rate, k) for k in range(low, LAYERS)]
        live += [(s.dense, 3e-3 if lora else 10 * rate, "head")] if n > 0 else []
        live += [(s.labels, head_rate, "labels")]
        for ts, _, _ in live:
            for t in ts:
                t.requires_grad_(True)
        for _ in range(p):
            share = 1 - done / passes
            order = torch.randperm(len(targets), generator=order_of).tolist()
            for b in range(0, len(order), batch):
                some = order[b : b + batch]
                step += 1
                log_p = s.logits(cache, some, low, True).log_softmax(-1)
                (-(log_p * targets[some]).sum(-1).mean()).backward()
                groups = []
                for ts, size, k in live:
                    born.setdefault(k, step - 1)
                    groups.append((ts, size * share * min(1.0, (step - born[k]) / warm)))
                adam.step(groups)
            done += 1
    return time.process_time() - begin, s


def main():
    a = argparse.ArgumentParser()
    a.add_argument("model")
    a.add_argument("targets")
    a.add_argument("--only", default="", help="names of ways, between semicolons")
    a.add_argument("--seeds", default="0,1,2")
    a.add_argument("--rates", default="", help="step sizes to choose from, of the layers and of the head: 3e-4/3e-3,1e-3/3e-3")
    a.add_argument("--check", action="store_true")
    o = a.parse_args()
    pool = read(DATA / "pool.jsonl", 0, 5)
    lines = [json.loads(l) for l in pathlib.Path(o.targets).read_text().splitlines()]
    last = {l["id"]: l for l in lines}
    gold_rows = read(DATA / "heldout_gold.jsonl", 0, 1)
    names = sorted({r["label"] for r in gold_rows})
    at = {n: i for i, n in enumerate(names)}
    targets = torch.zeros(len(pool), len(names))
    for i, r in enumerate(pool):
        l = last[r["id"]]
        given = {at[l["label"]]: l["confidence"], **{at[x["label"]]: x["confidence"] for x in l["others"]}}
        rest = max(0.0, 1 - sum(given.values()))
        targets[i] = rest / (len(names) - len(given))
        for k, v in given.items():
            targets[i, k] = v
        targets[i] /= targets[i].sum()
    gold_pool = torch.tensor([at[r["label"]] for r in read(DATA / "pool_gold.jsonl", 0, 5)])
    print(
        f"# {len(pool)} texts; targets' accuracy {(targets.argmax(1) == gold_pool).float().mean():.4f}, mean confidence {targets.max(1).values.mean():.4f}",
        flush=True,
    )
    train = Cache(encode(pool))
    test_rows, val_rows = gold_rows[::10], gold_rows[5::20]
    # Three times as many, those among them: for a smaller error by chance.
    wide_rows = [r for i, r in enumerate(gold_rows) if i % 10 in (0, 2, 4)]
    test, val, wide = Cache(encode(test_rows)), Cache(encode(val_rows)), Cache(encode(wide_rows))
    gold = lambda rows: torch.tensor([at[r["label"]] for r in rows])
    gtest, gval, gwide = gold(test_rows), gold(val_rows), gold(wide_rows)
    print(f"# {len(test_rows)} test, {len(val_rows)} validation, {sum(train.lengths) / len(pool):.1f} tokens a text", flush=True)
    if o.check:
        from transformers import AutoModel

        m = AutoModel.from_pretrained(MODEL).eval()
        with torch.no_grad():
            worst = max((m(torch.tensor([train.ids[i]])).last_hidden_state[0] - train.depth(6)[i]).abs().max().item() for i in range(20))
        print("# largest difference from transformers:", worst)
        return

    def run(way, rate, head_rate, seed, final=False):
        seconds, s = fit(way, rate, head_rate, seed, train, targets)
        # One pass through the deepest depth that is read gives the others on the way.
        trunk = train.seconds[LAYERS - min(n for _, n in WAYS[way][0])]
        row = {"way": way, "rates": [rate, head_rate], "seed": seed, "val": s.accuracy(val, gval), "seconds": seconds, "trunk": trunk}
        if final:
            row |= {"test": s.accuracy(test, gtest), "wide": s.accuracy(wide, gwide)}
        print(json.dumps(row), file=sys.stderr, flush=True)
        return row

    only = [w for w in (o.only.split(";") if o.only else WAYS)]
    for way in only:
        phases, decay, lora = WAYS[way]
        if max(n for _, n in phases) == 0:
            grid = [(0, 1e-3), (0, 3e-3), (0, 1e-2)]
        elif lora:
            grid = [(1e-3, 3e-3), (3e-3, 3e-3), (1e-2, 3e-3)]
        else:
            grid = [(1e-4, 3e-3), (3e-4, 3e-3), (1e-3, 3e-3)]
        if o.rates:
            grid = [tuple(map(float, g.split("/"))) for g in o.rates.split(",")]
        seeds = list(map(int, o.seeds.split(",")))
        tuned = [(run(way, r, h, seeds[0]), r, h) for r, h in grid]
        best, r, h = max(tuned, key=lambda x: x[0]["val"])
        rows = [run(way, r, h, s, True) for s in seeds]
        broad = torch.tensor([100 * x["wide"] for x in rows], dtype=torch.float64)
        acc = torch.tensor([100 * x["test"] for x in rows], dtype=torch.float64)
        print(
            f"| {way} | {r:g} / {h:g} | {acc.mean():.2f} ± {acc.std() if len(rows) > 1 else 0:.2f} | {broad.mean():.2f} ± {broad.std() if len(rows) > 1 else 0:.2f} | {sum(x['seconds'] for x in rows) / len(rows):.1f} | {rows[0]['trunk']:.1f} |",
            flush=True,
        )


main()
