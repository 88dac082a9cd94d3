"""The hash of a rule: what changes it and what does not, on modules written as text; the words read without running."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from drs.errors import UsageError
from drs.study.claims import CLAIMS, get_claim
from drs.study.constants import value
from drs.study.rules import Package, Rule, package, rule_hash, rules_of

BASE = '''"""Parts that rules share."""

from numpy import mean
from dataclasses import dataclass

@dataclass(frozen=True)
class Claim:
    """A claim."""
    id: str
    quantity: str
    rule: str
    judge: object
    counts: str = "seeds"

NAMES = ("fgsm", "pgd")
UNUSED = 1

def middle(values: list[float]) -> float:
    """The mean."""
    return float(mean(values))
'''
RULES = '''from claims.base import Claim, NAMES, middle

LEAST, MOST = 0.5, 0.9
"""What is enough."""
SEEDS = "over seeds"

def judge(frame: dict[str, float]) -> str:
    """A1: the share."""
    share: float = middle([frame[name] for name in NAMES])  # of both
    return "reproduced" if share >= LEAST else "not reproduced"

WORDS = f"Reproduced if {SEEDS} " f"{len(NAMES)} shares reach {LEAST:g}."
A1 = Claim("A1", f"share at {LEAST:g}", WORDS, judge, counts="runs")
'''


def rule(base: str = BASE, rules: str = RULES) -> Rule:
    found = Package({"claims.base": base, "claims.rules": rules}).rule("A1")
    assert found is not None
    return found


def test_the_words_are_read_with_the_numbers_filled_in() -> None:
    assert (rule().text, rule().quantity) == ("Reproduced if over seeds 2 shares reach 0.5.", "share at 0.5")
    assert Package({"claims.rules": RULES}).rule("A2") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LEAST, MOST = 0.5, 0.9", "LEAST, MOST = 0.6, 0.9"),
        ("share >= LEAST", "share > LEAST"),
        ('SEEDS = "over seeds"', 'SEEDS = "over runs"'),
        ('f"share at', 'f"part at'),
        ("name in NAMES", "name in sorted(NAMES)"),
        ('("fgsm", "pgd")', '("fgsm", "bim")'),
        ("float(mean(values))", "float(mean(values[1:]))"),
        ("import mean\n", "import median as mean\n"),
    ],
)
def test_what_decides_changes_the_hash(old: str, new: str) -> None:
    assert (BASE + RULES).count(old) == 1
    assert rule(BASE.replace(old, new), RULES.replace(old, new)).hash != rule().hash


def test_a_constant_that_is_made_in_steps_counts_whole_and_has_no_words() -> None:
    found = Package({"claims.base": BASE.replace("UNUSED = 1", "NAMES += ('cw',)"), "claims.rules": RULES})
    assert found.code("A1")[0] != rule().code
    wrong = RULES.replace("{len(NAMES)}", "{NAMES[7]}")
    with pytest.raises(UsageError, match=r"^the words of A1 cannot be read without running the code$"):
        rule(rules=wrong)
    with pytest.raises(UsageError, match=r"^the value of NAMES cannot be read without running the code$"):
        found.rule("A1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UNUSED = 1", "UNUSED = 2\n\ndef other():\n    return UNUSED"),
        ("  # of both", "  # of the two"),
        ('"""The mean."""', '"""Their mean."""'),
        ('    """A1: the share."""\n', ""),
        ('"""What is enough."""', '"""Enough."""'),
        ("share: float = ", "share = "),
        ("(values: list[float]) -> float:", "(values):"),
        ("0.5, 0.9", "5e-1, .9"),
        ('"reproduced" if share >= LEAST else', "(\n        'reproduced'\n        if share >= LEAST\n        else"),
        ("import Claim, NAMES, middle", "import Claim, NAMES, middle as centre"),
        ("from claims.base import Claim, NAMES, middle", "from claims import base\nfrom claims.base import Claim"),
        ("from claims.base import", "from .base import"),
    ],
)
def test_what_does_not_decide_leaves_it(old: str, new: str) -> None:
    base, rules = BASE.replace(old, new), RULES.replace(old, new)
    assert (base, rules) != (BASE, RULES)
    if "centre" in new:
        rules = rules.replace("middle([", "centre([")
    if "import base" in new:
        rules = (
            rules.replace("middle([", "base.middle([").replace("NAMES]", "base.NAMES]").replace("(NAMES", "(base.NAMES")
        )
    if "'reproduced'" in new:
        rules = rules.replace('"not reproduced"', '"not reproduced"\n    )')
    assert rule(base, rules) == rule()


def test_the_order_of_definitions_does_not_matter() -> None:
    parts = RULES.split("\n\n")
    assert len(parts) == 4
    assert rule(rules="\n\n".join([parts[0], parts[2], parts[1], parts[3]])) == rule()


def test_the_names_of_modules_are_origins_and_no_part_of_the_hash() -> None:
    here = rule()
    there = Package(
        {"old.claims.base": BASE, "old.claims.rules": RULES.replace("claims.base", "old.claims.base")}
    ).rule("A1")
    assert there is not None
    assert (there.hash, there.code) == (here.hash, here.code)
    assert here.origins == {"": "claims.rules", "mean": "numpy"}
    assert there.origins == {"": "old.claims.rules", "mean": "numpy"}
    other = rule(BASE.replace("from numpy", "from statistics"))
    assert (other.hash, other.origins) == (here.hash, {"": "claims.rules", "mean": "statistics"})
    one = RULES.replace("from claims.base import Claim, NAMES, middle", BASE)
    whole = Package({"claims": one}).rule("A1")
    assert whole is not None
    assert whole.hash == here.hash


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a' 'b' + 'c'", "abc"),
        ("f'{N:.2f} and {-N!r}'", "0.25 and -0.25"),
        ("', '.join(f'{n}@{N:g}' for n in ('a', *PAIR))", "a@0.25, b@0.25, c@0.25"),
        ("WORDS[len(PAIR)].upper()", "TWO"),
        ("'{} of {}'.format(*PAIR)", "b of c"),
        ("f'{N:{WIDTH}}'", "  0.25"),
        ("max(PAIR) + str(2 * N)", "c0.5"),
        ("' '.join(map(str, (1, N)))", "1 0.25"),
    ],
)
def test_constant_expressions(expression: str, expected: str) -> None:
    constants = {"N": "0.25", "PAIR": "['b', 'c']", "WORDS": "{2: 'two'}", "WIDTH": "6"}

    def lookup(name: ast.expr) -> tuple[ast.expr, object]:
        return ast.parse(constants[ast.unparse(name)], mode="eval").body, lookup

    assert value(ast.parse(expression, mode="eval").body, lookup) == expected


@pytest.mark.parametrize("expression", ["open('x')", "(lambda: 1)()", "'a'.encode()", "[x for x in 'ab' if x]"])
def test_code_is_not_run(expression: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be read without running the code$"):
        value(ast.parse(expression, mode="eval").body, lambda name: (name, None))


def test_the_words_of_every_claim_are_read_as_they_are() -> None:
    """The text that is read without running the code is the text that the code makes."""
    for claim in CLAIMS.values():
        try:
            found = package().rule(claim.id)
        except UsageError:  # then only the hash that its records carry can show when it was fixed
            continue
        assert found is not None, claim.id
        assert (found.text, found.quantity, found.hash) == (claim.rule, claim.quantity, rule_hash(claim)), claim.id
    assert len({rule_hash(claim) for claim in CLAIMS.values()}) == len(CLAIMS)


def test_the_rules_of_an_experiment() -> None:
    a1 = get_claim("A1")
    assert rules_of("correlation") == {"A1": rule_hash(a1), "A2": rule_hash(get_claim("A2"))}
    assert rules_of("nothing") == {}
    assert rule_hash(replace(a1, rule=a1.rule + " Or so.")) != rule_hash(a1) != rule_hash(replace(a1, quantity="r"))
    assert rule_hash(replace(a1, statement="Another.", amended="Why.")) == rule_hash(a1)
    with pytest.raises(
        UsageError, match=r"^expected a Claim with the id 'Z9' written out in drs/study/claims, got none$"
    ):
        rule_hash(replace(a1, id="Z9"))
