"""candist from Python: annotate texts with LLMs, keep every paid answer, distil one label per text.

This module starts the ``candist`` program, which the package carries, and reads what it writes. Nothing is computed in
this process, and no libtorch is loaded into it: it goes well beside any version of torch.

* :func:`annotate` takes texts or a DataFrame and gives labels back.
* :func:`run` runs a configuration, a file or a ``dict``.
* :func:`labels` reads the labels of a run as a table, :func:`tail` one by one as they come.
* :class:`Student` labels new text without any LLM.
"""

from ._annotate import annotate
from ._labels import LabelEvent, labels, tail
from ._program import CandistError, program
from ._run import Incomplete, Run, run
from ._student import Prediction, Student

__all__ = [
    "CandistError",
    "Incomplete",
    "LabelEvent",
    "Prediction",
    "Run",
    "Student",
    "annotate",
    "labels",
    "program",
    "run",
    "tail",
]
