#!/usr/bin/env python3
"""Writes a CSV of texts with their right labels: descriptions of Debian's packages and the section each is in.

    scripts/make-package-corpus.py packages.csv [--rows 5000]

Columns: package, title (the short description), description (the long one, or the short one once more where the
machine has no long ones), section. Needs a Debian or Ubuntu whose package lists are there (`apt-get update`). The same lists give the
same file.
"""

import argparse
import collections
import csv
import glob
import hashlib
import re
import subprocess
import sys

# Sections whose names say what a package is for. Others say what it is made of (libs, doc, python, debug, ...), which a
# description mostly does not tell.
SECTIONS = """admin comm database editors education electronics fonts games gnome graphics hamradio interpreters kde mail math
misc net news science shells sound text utils vcs video web""".split()


def paragraphs(text):
    """The fields of each package; lines that go on belong to the field before them."""
    for paragraph in text.split("\n\n"):
        fields = {}
        name = None
        for line in paragraph.split("\n"):
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line[1:]
            elif ":" in line:
                name, value = line.split(":", 1)
                fields[name] = value.strip()
        if "Package" in fields:
            yield fields


def long_descriptions():
    """By the checksum that packages name, where apt has them."""
    found = {}
    for path in sorted(glob.glob("/var/lib/apt/lists/*_Translation-en*")):
        command = ["/usr/lib/apt/apt-helper", "cat-file", path]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for fields in paragraphs(text):
            lines = fields.get("Description-en", "").split("\n")[1:]
            words = " ".join("" if line == "." else line.strip() for line in lines)
            found[fields.get("Description-md5")] = re.sub(r"\s+", " ", words).strip()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="the CSV file to write, or - for standard output")
    parser.add_argument("--rows", type=int, default=5000, help="rows, at most (default: 5000)")
    args = parser.parse_args()
    available = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    long = long_descriptions()
    rows, texts = {}, set()
    for fields in paragraphs(available):
        section = fields.get("Section", "").split("/")[-1]
        title = fields.get("Description", "").split("\n")[0]
        described = long.get(fields.get("Description-md5")) or title
        if section in SECTIONS and title and "transitional" not in title.lower() and described not in texts:
            texts.add(described)
            rows[fields["Package"]] = [fields["Package"], title, described, section]
    if not rows:
        sys.exit("there are no package lists: run `apt-get update` first")
    # A sample that does not depend on the order of the lists.
    chosen = sorted(rows.values(), key=lambda row: hashlib.sha256(row[0].encode()).digest())[: args.rows]
    out = sys.stdout if args.out == "-" else open(args.out, "w", newline="", encoding="utf-8")
    with out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["package", "title", "description", "section"])
        writer.writerows(chosen)
    counts = collections.Counter(row[3] for row in chosen)
    print(f"{len(chosen)} packages in {len(counts)} sections", file=sys.stderr)


if __name__ == "__main__":
    main()
