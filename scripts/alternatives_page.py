"""Writes docs/src/explanation/alternatives.md below its mark, from what scripts/alternatives.py measured."""

from aggregators import WITH_MODEL, WITHOUT_MODEL
from corpora import write_below_mark

# By the features that a method's model gets, candist's student that gets about the same.
FEATURES = {"words": "ngram", "vectors": "encoder"}
TITLES = {
    "words": "Models and student on words and letters",
    "vectors": "Models and student on the vectors of all-MiniLM-L6-v2",
}
CLOSE = 0.5  # Points of accuracy that are no difference.
OTHER = {"not applicable": "", "too slow": "slow"}


def percent(row):
    return None if row is None or row["accuracy"] is None else 100 * row["accuracy"]


class Line:
    """One set's figures with one kind of features, in percent."""

    def __init__(self, one, rows, kind):
        self.one, self.rows, self.kind = one, rows, kind
        runs = rows.get(f"candist {FEATURES[kind]}", {}).get("orders", [])
        self.orders, self.errors = [percent(run) for run in runs], [100 * run["ece"] for run in runs]
        self.candist = self.orders[0] if self.orders else None
        self.teacher = max(percent(rows[name]) for name in rows if name.startswith("teacher "))
        self.alternatives = {name: percent(self.row(name)) for name in [*WITHOUT_MODEL, *WITH_MODEL]}

    def row(self, method):
        return self.rows.get(f"{method}, {self.kind}" if method in WITH_MODEL else method)

    @property
    def best(self):
        return max(value for value in self.alternatives.values() if value is not None)

    def cell(self, method):
        value = self.alternatives[method]
        if value is None:
            return OTHER.get((self.row(method) or {}).get("why"), "")
        return f"**{value:.2f}**" if round(value, 2) == round(self.best, 2) else f"{value:.2f}"

    def cells(self):
        orders = self.orders
        candist = f"{orders[0]:.2f}" if orders else ""
        spread = f"{max(orders) - min(orders):.2f}" if len(orders) > 1 else ""
        return [f"{self.one.corpus}: {', '.join(self.one.teachers)}", self.one.kind, candist, spread, f"{self.teacher:.2f}"]


def table(head, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def compared(name, differences):
    """On how many sets candist is ahead and behind, and by how much."""
    ahead, behind = [sum(sign * one > CLOSE for one in differences) for sign in (1, -1)]
    close = len(differences) - ahead - behind
    mean = f"{sum(differences) / len(differences):+.2f}"
    return [name, len(differences), ahead, close, behind, mean, f"{min(differences):+.2f}", f"{max(differences):+.2f}"]


def summary(lines):
    """candist against the best alternative of each set, and against each alternative on all sets where it is defined."""
    lines = [line for line in lines if line.candist is not None]
    if not lines:
        return "candist was not run with this student."
    rows = []
    for title, some in {
        "the best of all on each set, chosen by gold": lines,
        "the same, sets of one teacher": [line for line in lines if len(line.one.teachers) == 1],
        "the same, sets of several teachers": [line for line in lines if len(line.one.teachers) > 1],
    }.items():
        rows += [compared(title, [line.candist - line.best for line in some])] if some else []
    for method in [*WITHOUT_MODEL, *WITH_MODEL]:
        some = [line.candist - line.alternatives[method] for line in lines if line.alternatives[method] is not None]
        rows += [compared(method, some)] if some else []
    best = rows[0]
    several = [line for line in lines if len(line.orders) > 1]
    text = f"Against the best alternative of each of {best[1]} sets, candist is ahead by more than {CLOSE} points on {best[2]}, "
    text += f"within {CLOSE} on {best[3]}, behind by more on {best[4]}."
    if several:
        accuracy, error = [
            max(max(some(line)) - min(some(line)) for line in several)
            for some in (lambda line: line.orders, lambda line: line.errors)
        ]
        text += f" Over the orders of the teachers, its accuracy differs by {accuracy:.2f} points at most, its calibration error"
        text += f" (ECE) by {error:.2f} ({len(several)} sets)."
    head = ["candist minus", "sets", f"ahead > {CLOSE}", f"within {CLOSE}", f"behind > {CLOSE}", "mean", "least", "most"]
    return f"{text}\n\n{table(head, rows)}"


def block(measured, kind):
    lines = [Line(one, rows, kind) for one, rows in measured]
    methods = [*WITHOUT_MODEL, *WITH_MODEL]
    head = ["set", "labels an answer", f"candist `{FEATURES[kind]}`", "spread over orders", "best teacher, by gold", *methods]
    rows = [line.cells() + [line.cell(method) for method in methods] for line in lines]
    return f"## {TITLES[kind]}\n\n{summary(lines)}\n\n{table(head, rows)}"


def write(measured):
    """`measured`: each set with its rows, by method."""
    write_below_mark("alternatives.md", "\n\n".join(block(measured, kind) for kind in FEATURES))
