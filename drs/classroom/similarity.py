"""Which submissions have much code in common: a hint for a person who then reads both, never a proof.

The code of each question is compared without what was given, without comments, and with the names of variables replaced
by their order, so that renaming hides nothing. Short answers agree by chance; what is usual in the class is shown too.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

from drs.classroom.grading import Grade
from drs.classroom.submissions import code_of, read_notebook, text_of
from drs.errors import UsageError

__all__ = ["RUN", "SHORTEST", "answers", "overlap", "similar", "tokens"]

RUN = 4
"""Tokens in a row that are compared as one."""
SHORTEST = 20
"""Runs that an answer must have to be compared."""
_CHECK = re.compile(r"""grader\.check\(["'](\w+)["']\)""")
_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER}


def tokens(code: str) -> list[str]:
    """The tokens of some lines of Python, without comments and docstrings, each variable as its place of first use.

    >>> tokens("total = x + 1  # a sum") == tokens("s = y + 1")
    True
    """
    found, order, before = [], dict[str, str](), ""
    try:
        for one in tokenize.generate_tokens(io.StringIO(code).readline):
            if one.type in _SKIPPED or (one.type == tokenize.STRING and before in ("", ":")):
                continue
            word = one.string if one.type not in (tokenize.INDENT, tokenize.DEDENT) else str(one.type)
            if (
                one.type == tokenize.NAME
                and before != "."
                and not keyword.iskeyword(word)
                and not hasattr(builtins, word)
            ):
                word = order.setdefault(word, f"v{len(order)}")
            found.append(word)
            before = one.string.strip() or before
    except (tokenize.TokenError, SyntaxError):
        pass  # what came before it is compared
    return found


def answers(cells: Sequence[str], given: Iterable[str]) -> dict[str, Counter[tuple[str, ...]]]:
    """Question to the runs of tokens of its answer: the cells before its check, without the lines that were given.

    Args:
        cells: The code cells in their order.
        given: The code cells of the student version.
    """
    known = {line.strip() for cell in given for line in cell.splitlines()}
    found: dict[str, Counter[tuple[str, ...]]] = {}
    since: list[str] = []
    for cell in cells:
        check = _CHECK.search(cell)
        own = [line for line in cell.splitlines() if line.strip() not in known and not _CHECK.search(line)]
        since.append("\n".join(own))
        if check:
            words = [word for part in since for word in tokens(_outdented(part))]
            found[check[1]] = Counter(zip(*(words[place:] for place in range(RUN)), strict=False))
            since = []
    return found


def _outdented(code: str) -> str:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return "if 1:\n" + "\n".join(f" {line}" for line in code.splitlines())
    return code


def overlap(first: Counter[tuple[str, ...]], second: Counter[tuple[str, ...]]) -> float:
    """Shared runs over all runs, from 0 to 1."""
    return (first & second).total() / max(1, (first | second).total())


def _given(students: Path, assignment: str) -> list[str]:
    path = students / f"{assignment}.ipynb"
    if not path.exists():
        return []
    return [text_of(cell) for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]


def similar(grades: Sequence[Grade], students: Path, at_least: float = 0.8) -> list[list[str]]:
    """Pairs of submissions of different students whose answers have much in common, as rows with a header.

    Args:
        grades: Of all submissions.
        students: Folder of the student versions, whose code is left out.
        at_least: Overlap from which a pair is named.
    """
    head = ["assignment", "submission", "other", "questions", "overlap", "usual", "hint"]
    rows = [head]
    for assignment in sorted({one.submission.assignment for one in grades} - {""}):
        given = _given(students, assignment)
        texts: dict[str, tuple[str, Mapping[str, Counter[tuple[str, ...]]]]] = {}
        for one in grades:
            if one.submission.assignment == assignment and one.status != "not graded":
                try:
                    texts[one.submission.relative] = one.submission.student, answers(code_of(one.submission), given)
                except (UsageError, OSError):
                    continue
        pairs = []
        for (first, (who, a)), (second, (other, b)) in combinations(texts.items(), 2):
            shared = [q for q in a.keys() & b.keys() if min(a[q].total(), b[q].total()) >= SHORTEST]
            weights = [a[q].total() + b[q].total() for q in shared]
            if shared and who != other:
                score = sum(w * overlap(a[q], b[q]) for q, w in zip(shared, weights, strict=True)) / sum(weights)
                pairs.append((score, first, second, " ".join(sorted(shared))))
        usual = median(score for score, *_ in pairs) if pairs else 0.0
        for score, first, second, shared_names in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
            if score >= at_least:
                shown = [f"{score:.2f}", f"{usual:.2f}", "a hint, not a proof: read both"]
                rows.append([assignment, first, second, shared_names, *shown])
    return rows
