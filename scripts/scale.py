#!/usr/bin/env python3
"""How candist goes on growing corpora: docs/src/explanation/performance.md, "From ten thousand texts to ten million".

    scripts/scale.py FOLDER [--sizes 10000,100000,1000000] [--small 10000000] [--encoder FOLDER]

`make sizes` is this with a release build that is up to date, and all sizes; first it measures what there is without candist (scripts/limits.py).

Runs the release build (or CANDIST, which names another program) over corpora of growing size: texts of examples/banking77, each
with a number before it, and the recorded answers of one teacher. With the default settings for --sizes, and a small student that
passes over nothing at the end for --small (and for all of --sizes too). FOLDER keeps what was measured, in scale.jsonl and limits.json, and
what is there is not measured again: begin with an empty one; corpora and runs are deleted when they were measured. The page's tables and plot are written anew.

Measured of each run: wall and processor time, the most memory, and bytes on disk; and of the run as it stands then, how long the
program takes to find that nothing is left to do, the same where corpus and recording have one text (which is opening the run, and no more),
to tell the status, to print all final labels, and to export them as CSV. A million texts need some 2 GB of disk, ten million ten times that.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import time

import limits

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "banking77"
CANDIST = os.environ.get("CANDIST", str(ROOT / "target" / "release" / "candist"))
PAGE = ROOT / "docs" / "src" / "explanation"
SMALL = "[student]\ndimension = 8\nbuckets = 16384\n[distill]\nfolds = 2\nblock = 512\nreplay = 0\nmax_passes = 0\n"


def write_corpus(folder, size):
    pool = [json.loads(line) for line in (EXAMPLES / "pool.jsonl").open()]
    said = {row["id"]: row["labels"] for row in map(json.loads, (EXAMPLES / "teacher_gpt-4.jsonl").open())}
    with (folder / "corpus.jsonl").open("w") as corpus, (folder / "teacher.jsonl").open("w") as teacher:
        for number in range(size):
            row = pool[number % len(pool)]
            corpus.write(json.dumps({"id": f"r{number}", "text": f"Message {number}: {row['text']}"}) + "\n")
            teacher.write(json.dumps({"id": f"r{number}", "teacher": "gpt-4", "labels": said[row["id"]]}) + "\n")


def cut_to_one(folder):
    for name in ("corpus.jsonl", "teacher.jsonl"):
        with (folder / name).open() as lines:
            first = lines.readline()
        (folder / name).write_text(first)


def write_configuration(folder, settings):
    text = (ROOT / "configs" / "quickstart.toml").read_text()
    task = text[text.index("[task]") : text.index("[corpus]")]
    teacher = '[[teachers]]\nkind = "recorded"\nname = "gpt-4"\npath = "teacher.jsonl"\n'
    path = folder / "config.toml"
    path.write_text(f'{task}[corpus]\npath = "corpus.jsonl"\n{teacher}{settings}[run]\ndir = "run"\n')
    return path


def timed(*arguments):
    """Wall and processor seconds, and the most memory in MB, of the program with these arguments."""
    began = time.monotonic()
    child = subprocess.Popen([CANDIST, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    if status:
        raise SystemExit(f"{arguments}: {said.decode()}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measured(folder, size, settings):
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_corpus(work, size)
    config, run = write_configuration(work, SMALL if settings == "small" else ""), work / "run"
    found = {"size": size, "settings": settings, "run": timed("run", config, "--quiet")}
    found["logs"] = sum(file.stat().st_size for file in run.glob("*.jsonl"))
    found["store"] = size_of(run / "store")
    found["again"] = timed("run", config, "--quiet")
    found["status"] = timed("status", run)
    found["tail"] = timed("tail", run, "--final")
    found["export"] = timed("export", run, "--labels", work / "labels.csv")
    cut_to_one(work)
    found["opening"] = timed("run", config, "--quiet")
    shutil.rmtree(work)
    return found


HEAD = ["texts", "texts a second", "processor ms a text", "MB at most", "bytes a text, logs", "and store", "run again, s", "opening, s", "status, s", "all labels, s", "MB", "as CSV, s", "MB"]


def row(found):
    size, run = found["size"], found["run"]
    cells = [f"{size:,}", f"{size / run['wall']:,.0f}", f"{1e3 * run['cpu'] / size:.2f}", f"{run['memory']:,.0f}"]
    cells += [f"{found['logs'] / size:,.0f}", f"{found['store'] / size:,.0f}", f"{found['again']['wall']:.1f}", f"{found['opening']['wall']:.1f}", f"{found['status']['wall']:.2f}"]
    for verb in ("tail", "export"):
        cells += [f"{found[verb]['wall']:.1f}", f"{found[verb]['memory']:,.0f}"]
    return cells


def table(founds):
    lines = [HEAD, ["---:"] * len(HEAD), *map(row, founds)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


PANELS = [
    ("texts a second", lambda f: f["size"] / f["run"]["wall"]),
    ("MB of memory at most", lambda f: f["run"]["memory"]),
    ("bytes on disk a text", lambda f: (f["logs"] + f["store"]) / f["size"]),
    ("seconds to run again", lambda f: f["again"]["wall"]),
]
COLOURS = {"default": "#3b6fb6", "small": "#c05f2b"}


def plot(founds):
    """Four panels side by side, both axes logarithmic."""
    wide, high, left, top = 232, 150, 54, 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {4 * (wide + left) + 20} {high + 90}" font-family="sans-serif" font-size="11" fill="#777">'
    ]
    sizes = sorted({f["size"] for f in founds})
    x_of = lambda size: wide * (math.log10(size) - 4 + 0.15) / (math.log10(sizes[-1]) - 4 + 0.3)
    for panel, (name, value) in enumerate(PANELS):
        x0 = panel * (wide + left) + left
        values = [value(f) for f in founds]
        low, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
        y_of = lambda v: top + high * (1 - (math.log10(v) - low) / max(most - low, 1))
        parts.append(f'<text x="{x0}" y="{top - 12}" font-size="12" fill="#555">{name}</text>')
        for power in range(low, most + 1):
            y = y_of(10.0**power)
            parts.append(f'<path d="M{x0} {y:.1f}h{wide}" stroke="#999" stroke-opacity=".35"/>')
            parts.append(f'<text x="{x0 - 5}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>' if power >= 0 else f'<text x="{x0 - 5}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
        for size in sizes:
            parts.append(f'<text x="{x0 + x_of(size):.1f}" y="{top + high + 16}" text-anchor="middle">{label(size)}</text>')
        for settings, colour in COLOURS.items():
            points = [(x0 + x_of(f["size"]), y_of(value(f))) for f in founds if f["settings"] == settings]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    for place, (settings, colour) in enumerate(COLOURS.items()):
        x, y = left + 150 * place, top + high + 42
        what = {"default": "default settings", "small": "small student, no passes"}[settings]
        parts.append(f'<circle cx="{x + 4}" cy="{y - 4}" r="4" fill="{colour}"/><text x="{x + 14}" y="{y}">{what}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def label(size):
    return f"{size // 1_000_000}M" if size >= 1_000_000 else f"{size // 1000}k"


def processor():
    """What all figures are of: its name alone tells little, for hosts of one name differ."""
    lines = dict(line.split(":", 1) for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    lines = {name.strip(): value.strip() for name, value in lines.items()}
    known = [name for flag, name in {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "bf16"}.items() if flag in lines.get("flags", "").split()]
    return f"{os.cpu_count()} processors, {lines.get('model name', 'unknown')} (family {lines.get('cpu family')}, model {lines.get('model')}; {', '.join(known)})"


def between(page, name, text):
    """The page with this text between the marks of this name."""
    before, rest = page.split(f"<!-- {name} -->")
    return f"{before}<!-- {name} -->\n\n{text}\n\n<!-- end of {name} -->{rest.split(f'<!-- end of {name} -->')[1]}"


def write_page(founds, without):
    both = [("Default settings", "default"), ("A small student (dimension 8, 16,384 buckets, two copies, no passes at the end)", "small")]
    text = "\n\n".join(f"{name}:\n\n{table([f for f in founds if f['settings'] == settings])}" for name, settings in both)
    (PAGE / "performance.svg").write_text(plot(founds))
    path = PAGE / "performance.md"
    page = between(path.read_text(), "scale", f"![By the number of texts](performance.svg)\n\n{processor()}.\n\n{text}")
    # Figures that were measured before are better than none.
    if without.keys() == limits.PARTS.keys():
        page = between(page, "limits", limits.table(without))
    else:
        print(f"the page's table of limits stays as it was: {', '.join(limits.PARTS.keys() - without.keys())} missing", flush=True)
    path.write_text(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--sizes", default="10000,100000,1000000", help="texts (default: %(default)s)")
    parser.add_argument("--small", default="", help="texts, for the small student alone")
    parser.add_argument("--encoder", type=pathlib.Path, help="of a classifier, for onnxruntime beside it")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",") if size]
    small = sizes + [int(size) for size in args.small.split(",") if size]
    args.folder.mkdir(parents=True, exist_ok=True)
    limits_kept = args.folder / "limits.json"
    known = json.loads(limits_kept.read_text()) if limits_kept.exists() else {}
    without = limits.measure(known, args.encoder, lambda known: limits_kept.write_text(json.dumps(known)))
    kept = args.folder / "scale.jsonl"
    # What an older one measured does not have all of it.
    founds = [found for found in map(json.loads, kept.open()) if "opening" in found] if kept.exists() else []
    for settings, wanted in (("small", small), ("default", sizes)):
        for size in wanted:
            if any(f["size"] == size and f["settings"] == settings for f in founds):
                continue
            founds.append(measured(args.folder, size, settings))
            with kept.open("a") as file:
                file.write(json.dumps(founds[-1]) + "\n")
            print(settings, " ".join(row(founds[-1])), flush=True)
    founds.sort(key=lambda f: f["size"])
    write_page(founds, without)


if __name__ == "__main__":
    main()
