"""Ways to make one label a text of annotators' answers without gold labels: those of public packages, and PRODEN, which has none.

Answers are ranked lists of label numbers, one a text and teacher; `first` is an array of texts by teachers of the first label of
each, -1 where a teacher named none. Every method returns one label a text, -1 where nobody named any.
"""

import numpy

FOLDS, SEED = 5, 0
STRENGTHS = (1.0, 10.0, 100.0)  # C of the logistic regression
RATE, DECAY, EPOCHS, BATCH = 0.03, 1e-3, 40, 64  # PRODEN's; the best of some by gold, with all teachers of BANKING77


class NotApplicable(Exception):
    """A method that demands more teachers than there are."""


def several(first, least):
    """Of one teacher, every vote is that teacher: what weighs teachers is tried with several only."""
    if first.shape[1] < least:
        raise NotApplicable


def first_labels(answers):
    return numpy.array([[labels[0] if labels else -1 for labels in teacher] for teacher in answers]).T


def crowd_frame(first):
    import pandas

    texts, teachers = numpy.where(first >= 0)
    return pandas.DataFrame({"task": texts, "worker": teachers, "label": first[texts, teachers]})


def crowd(name, **options):
    """An aggregator of crowd-kit, with its own defaults."""

    def aggregate(first, _count):
        import crowdkit.aggregation

        several(first, 2)
        numpy.random.seed(SEED)
        found = getattr(crowdkit.aggregation, name)(**options).fit_predict(crowd_frame(first))
        labels = numpy.full(len(first), -1)
        labels[found.index] = found.to_numpy()
        return labels

    return aggregate


def majority(first, _count):
    """crowd-kit takes the label of the lowest number where there is a tie; here one of the tied is drawn."""
    from crowdkit.aggregation import MajorityVote

    shares = MajorityVote().fit(crowd_frame(first)).probas_
    labels = numpy.full(len(first), -1)
    draw = numpy.random.default_rng(SEED).random(shares.shape)
    labels[shares.index] = shares.columns.to_numpy()[(shares.to_numpy() + 1e-6 * draw).argmax(1)]
    return labels


def wawa(first, _count):
    """Votes weighed by agreement with the majority, as `Wawa.predict` has it, which scikit-learn 1.7 and later do not let run."""
    from crowdkit.aggregation import MajorityVote, Wawa

    several(first, 2)
    frame = crowd_frame(first)
    found = MajorityVote().fit_predict(frame, Wawa().fit(frame).skills_)
    labels = numpy.full(len(first), -1)
    labels[found.index] = found.to_numpy()
    return labels


def label_model(first, count):
    from snorkel.labeling.model import LabelModel

    several(first, 3)
    model = LabelModel(cardinality=count, verbose=False)
    model.fit(first, n_epochs=500, seed=SEED, progress_bar=False)
    return model.predict(first, tie_break_policy="random")


def folds(count):
    """The number of its fold, by text."""
    return numpy.random.default_rng(SEED).permutation(count) % FOLDS


def fitted(strength, features, labels, train, count):
    """The probabilities of all `count` labels for the rows that are not in `train`: 0 for labels that no row of it has."""
    from sklearn.linear_model import LogisticRegression

    found = numpy.zeros((int((~train).sum()), count))
    if len(set(labels[train])) == 1:
        found[:, labels[train][0]] = 1.0
        return found
    model = LogisticRegression(C=strength, max_iter=200).fit(features[train], labels[train])
    found[:, model.classes_] = model.predict_proba(features[~train])
    return found


def out_of_fold(features, labels, count):
    """Out-of-sample probabilities of a logistic regression, its strength chosen by the likelihood that they give `labels`."""
    fold, best = folds(len(labels)), None
    for strength in STRENGTHS:
        p = numpy.zeros((len(labels), count))
        for part in range(FOLDS):
            p[fold == part] = fitted(strength, features, labels, fold != part, count)
        likelihood = numpy.log(numpy.maximum(p[numpy.arange(len(labels)), labels], 1e-6)).mean()
        if best is None or likelihood > best[0]:
            best = likelihood, p
    return best[1]


def renumbered(first):
    """`first` of the texts that have an answer, with labels numbered anew without gaps, which cleanlab demands."""
    answered = (first >= 0).any(1)
    names, numbers = numpy.unique(first[answered], return_inverse=True)
    skipped = int(names[0] == -1)
    return answered, names[skipped:], numbers.reshape(first[answered].shape) - skipped


class Learned:
    """The methods that need a model, on one set of answers. The model learns the majority's labels once for both."""

    def __init__(self, answers, features, count):
        self.answers, self.features, self.count = answers, features, count
        self.first = first_labels(answers)
        self.answered, self.names, self.numbers = renumbered(self.first)
        self.learned = None

    def of_majority(self):
        """The majority's labels, in the numbers of cleanlab, and the model's out-of-sample probabilities."""
        if self.learned is None:
            labels = majority(self.numbers, len(self.names))
            self.learned = labels, out_of_fold(self.features[self.answered], labels, len(self.names))
        return self.learned

    def named(self, numbers):
        labels = numpy.full(len(self.first), -1)
        labels[self.answered] = self.names[numbers]
        return labels

    def crowdlab(self):
        from cleanlab.multiannotator import get_label_quality_multiannotator

        several(self.first, 2)
        answers = numpy.where(self.numbers < 0, numpy.nan, self.numbers.astype(float))
        options = {"return_detailed_quality": False, "return_annotator_stats": False, "verbose": False}
        found = get_label_quality_multiannotator(answers, self.of_majority()[1], consensus_method="best_quality", **options)
        return self.named(found["label_quality"]["consensus_label"].to_numpy().astype(int))

    def confident_learning(self):
        """Labels that cleanlab takes for issues become those of the model."""
        from cleanlab.filter import find_label_issues

        labels, p = self.of_majority()
        kept, numbers = numpy.unique(labels, return_inverse=True)
        p = p[:, kept]
        issues = find_label_issues(numbers, p / p.sum(1, keepdims=True), n_jobs=1)
        return self.named(kept[numpy.where(issues, p.argmax(1), numbers)])

    def proden(self):
        """The likeliest candidate by a linear model that never saw the text; all labels that anybody named are candidates."""
        allowed = numpy.zeros((len(self.first), self.count), bool)
        for teacher in self.answers:
            for text, labels in enumerate(teacher):
                allowed[text, labels] = True
        rows = allowed[self.answered]
        if rows.sum(1).max() > 1:
            rows = rows * proden_probabilities(self.features[self.answered], rows)
        labels = numpy.full(len(self.first), -1)
        labels[self.answered] = rows.argmax(1)
        return labels


def proden_probabilities(features, allowed):
    """Out-of-fold probabilities of PRODEN (Lv et al. 2020): each epoch learns the candidates' probabilities of the last."""
    import torch

    torch.manual_seed(SEED)
    fold = folds(len(features))
    p = numpy.zeros(allowed.shape, numpy.float32)
    all_x, all_candidates = torch.from_numpy(features), torch.from_numpy(allowed.astype(numpy.float32))
    for part in range(FOLDS):
        train = torch.from_numpy(fold != part)
        x, candidates = all_x[train], all_candidates[train]
        target = candidates / candidates.sum(1, keepdim=True)
        model = torch.nn.Linear(x.shape[1], allowed.shape[1])
        torch.nn.init.zeros_(model.weight)
        steps = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY / RATE)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x)).split(BATCH):
                steps.zero_grad()
                (-(target[rows] * model(x[rows]).log_softmax(1)).sum(1).mean()).backward()
                steps.step()
            with torch.no_grad():
                inside = model(x).softmax(1) * candidates + 1e-12 * candidates
                target = inside / inside.sum(1, keepdim=True)
        with torch.no_grad():
            p[fold == part] = model(all_x[~train]).softmax(1).numpy()
    return p


def tf_idf(texts):
    """TF-IDF of words and of letters, turned into as few columns as there are texts: every inner product stays what it is."""
    from scipy.linalg import eigh
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    sparse = hstack([words.fit_transform(texts), letters.fit_transform(texts)]).tocsr()
    values, vectors = eigh((sparse @ sparse.T).toarray())
    return (vectors * numpy.sqrt(numpy.maximum(values, 0))).astype(numpy.float32)


WITHOUT_MODEL = {
    "majority": majority,
    "Wawa": wawa,
    "Dawid-Skene": crowd("DawidSkene"),
    "one-coin": crowd("OneCoinDawidSkene"),
    "MACE": crowd("MACE"),
    "GLAD": crowd("GLAD"),
    "LabelModel": label_model,
}
WITH_MODEL = {"crowdlab": Learned.crowdlab, "confident learning": Learned.confident_learning, "PRODEN": Learned.proden}
