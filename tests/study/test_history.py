"""When a rule was fixed: small repositories whose history is known, and the committed answers for our own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drs.errors import UsageError
from drs.paths import project_root, rules_history
from drs.study import history
from drs.study.claims import CLAIMS, get_claim
from drs.study.claims.base import Claim, no_records
from drs.study.history import COMMAND, Entry, as_json, compute, known, load, said, standing, words
from drs.study.profiles import PROFILES
from drs.study.records import Record, Run
from drs.study.repository import Change, Repository
from drs.study.results import Results
from drs.study.rules import Package, Rule, rule_hash

RULE = """from dataclasses import dataclass
from drs.statistics import mean

@dataclass
class Claim:
    id: str
    quantity: str
    rule: str
    judge: object

LEAST = 0.5

def judge(frame):
    return mean(frame) >= LEAST

X1 = Claim("X1", "the mean", f"Reproduced if the mean reaches {LEAST:g}.", judge)
"""
CLAIM = Claim(
    "X1", "ours", "A statement.", "", "the mean", "", "losses", "notebooks/x", lambda frame: no_records("none")
)


class Checkout:
    """A repository in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        told = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", *words)
        found = subprocess.run(["git", *told], cwd=self.root, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    def write(self, text: str, path: str = "drs/study/claims/mean.py") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def commit(self, subject: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "--short=12", "HEAD")

    def now(self) -> Rule:
        """The rule in the files."""
        (path,) = self.root.glob("drs/**/*.py")
        found = Package({"drs.study.claims.mean": path.read_text()}).rule("X1")
        assert found is not None
        return found

    def standing(self, *commits: str, carried: str = "", claim: Claim = CLAIM) -> Entry:
        rules = {"X1": carried} if carried else {}
        records = [
            Record(Run("losses", 1, {}), "quick", {}, 1.0, "", {}, commit, "", rules=rules) for commit in commits
        ]
        return standing(claim, self.now(), records, Repository(self.root))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    found = Checkout(tmp_path)
    found.write(RULE)
    return found


def test_a_rule_that_is_left_alone_was_fixed_before_the_run(checkout: Checkout) -> None:
    first = checkout.commit("The rule")
    checkout.write(RULE.replace("LEAST = 0.5", "# the middle\nLEAST = 0.50"))
    checkout.commit("A comment")
    found = checkout.standing(first)
    assert found.sentence == "fixed before the run"
    assert found == Entry("fixed before the run", "", {first: checkout.now().hash}, checkout.now().hash)


def test_a_changed_threshold_names_its_commit(checkout: Checkout) -> None:
    first = checkout.commit("The rule")
    before = checkout.now()
    checkout.write(RULE.replace("0.5", "0.6"))
    second = checkout.commit("A stricter threshold")
    checkout.commit("Something else")
    found = checkout.standing(first)
    assert found.sentence == f'code and wording changed since: "A stricter threshold" ({second[:7]})'
    assert (dict(found.records), found.now) == ({first: before.hash}, checkout.now().hash)
    assert before.hash != found.now
    assert checkout.standing(second).sentence == "fixed before the run"
    assert words(Repository(checkout.root), "X1", first) == "Reproduced if the mean reaches 0.5."
    assert words(Repository(checkout.root), "X1", f"{second}+changes") == "Reproduced if the mean reaches 0.6."


def test_code_and_words_are_told_apart(checkout: Checkout) -> None:
    first = checkout.commit("The rule")
    checkout.write(RULE.replace(">= LEAST", "> LEAST"))
    second = checkout.commit("Strictly above")
    assert checkout.standing(first).sentence == f'code changed since: "Strictly above" ({second[:7]})'
    checkout.write(RULE.replace(">= LEAST", "> LEAST").replace("reaches", "is above"))
    third = checkout.commit("The words too")
    assert checkout.standing(second).sentence == f'wording changed since: "The words too" ({third[:7]})'
    both = checkout.standing(first).sentence
    assert both == (f'code and wording changed since: "Strictly above" ({second[:7]}); "The words too" ({third[:7]})')
    assert checkout.standing(first, second).sentence == both  # the worst of the two decides
    checkout.write(RULE)
    checkout.commit("Back again")
    assert checkout.standing(first).sentence == "fixed before the run"


def test_a_rule_that_only_moved_says_so(checkout: Checkout) -> None:
    checkout.git("rm", "-q", "--cached", "-r", "--ignore-unmatch", ".")
    (checkout.root / "drs/study/claims/mean.py").unlink()
    checkout.write(RULE.replace("drs.statistics", "drs.numbers"), "drs/claims/x.py")
    first = checkout.commit("The rule")
    (checkout.root / "drs/claims/x.py").unlink()
    checkout.write(RULE)
    second = checkout.commit("Everything has another place")
    found = checkout.standing(first)
    assert found.sentence == f'fixed before the run, moved since: "Everything has another place" ({second[:7]})'
    assert dict(found.records) == {first: found.now}


def test_a_claim_younger_than_its_records_says_so(checkout: Checkout) -> None:
    (checkout.root / "drs/study/claims/mean.py").unlink()
    first = checkout.commit("Records")
    checkout.write(RULE)
    second = checkout.commit("A claim about them")
    found = checkout.standing(first)
    assert found.sentence == f'written after the run: "A claim about them" ({second[:7]})'
    assert dict(found.records) == {first: ""}
    assert words(Repository(checkout.root), "X1", first) == "no such claim yet"


def test_a_merge_changes_nothing_that_its_parents_have(checkout: Checkout) -> None:
    first = checkout.commit("The rule")
    checkout.git("checkout", "-q", "-b", "side")
    checkout.write(RULE.replace(">= LEAST", "> LEAST"))
    side = checkout.commit("On a branch")
    checkout.git("checkout", "-q", "main")
    checkout.write("text", "README")
    checkout.commit("On main")
    checkout.git("merge", "-q", "--no-ff", "-m", "Merged", "side")
    assert checkout.standing(first).sentence == f'code changed since: "On a branch" ({side[:7]})'


def test_an_amended_rule_gives_its_reason(checkout: Checkout) -> None:
    first = checkout.commit("The rule")
    found = checkout.standing(first, claim=replace(CLAIM, amended="It was too lax."))
    assert found.sentence == "amended after results were seen: It was too lax."


def test_what_is_not_committed_is_told(checkout: Checkout) -> None:
    first = checkout.commit("The rule")
    assert checkout.standing(f"{first}+changes").sentence == (
        f"cannot be shown: the records were computed with changes to commit {first} that were not committed"
    )
    here = checkout.now().hash
    assert checkout.standing(f"{first}+changes", carried=here).sentence == "fixed before the run"
    checkout.write(RULE.replace(">= LEAST", "> LEAST"))
    assert checkout.standing(first).sentence == "code changed since: a change that is not committed yet"
    assert checkout.standing(f"{first}+changes", carried="0" * 16).sentence == (
        f"cannot be shown: the records carry the rule {'0' * 16}, which commit {first} does not have"
    )


def test_records_carry_their_rule_where_git_does_not_know_it(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit("The rule")
    here, gone = checkout.now().hash, "0123456789ab"
    assert checkout.standing(gone).sentence == f"cannot be shown: commit {gone} is not in the history"
    assert checkout.standing(gone, carried=here).sentence == "fixed before the run"
    assert words(Repository(tmp_path), "X1", gone) == f"cannot be shown: commit {gone} is not in the history"
    checkout.git("checkout", "-q", "-b", "side")
    other = checkout.commit("Not merged")
    checkout.git("checkout", "-q", "main")
    assert checkout.standing(other).sentence == f"cannot be shown: commit {other} is not in the history"


def test_without_the_whole_history_nothing_is_shown(
    checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = checkout.commit("The rule")
    checkout.commit("Another")
    shallow = tmp_path_factory.mktemp("shallow") / "clone"
    checkout.git("clone", "-q", "--depth", "1", f"file://{checkout.root}", str(shallow))
    record = Record(Run("losses", 1, {}), "quick", {}, 1.0, "", {}, first, "")
    for root in (shallow, tmp_path_factory.mktemp("no-git")):
        assert not Repository(root).complete
        found = standing(CLAIM, checkout.now(), [record], Repository(root))
        assert found.sentence == "cannot be shown: the whole history is not here"
    assert not Repository(checkout.root / "drs").complete  # a folder of somebody else's repository
    assert Repository(checkout.root).complete


def test_words_that_only_code_can_make_are_not_guessed(checkout: Checkout) -> None:
    checkout.write(RULE.replace('f"Reproduced', 'open("x").read() + f"Reproduced'))
    first = checkout.commit("The rule")
    checkout.write(RULE)
    checkout.commit("Plain words")
    why = "the words 'open('x').read()' cannot be read without running the code"
    assert checkout.standing(first).sentence == f"cannot be shown: {why}"


def entries(*, now: str | None = None, **changes: Any) -> dict[str, dict[str, Entry]]:
    """The entries of B1 under two profiles that decide and of C4 under one."""
    here = {name: rule_hash(get_claim(name)) for name in ("B1", "C4")}
    fixed = Entry("fixed before the run", "", {"abc": here["B1"]}, now or here["B1"])
    change = Change("1a2b3c4", "code", "Another mean")
    changed = replace(fixed, outcome="code changed since", changes=(change,), **changes)
    amended = Entry("amended after results were seen", get_claim("C4").amended, {"abc": "0" * 16}, here["C4"])
    return {"B1": {"quick": fixed, "paper": changed, "smoke": fixed}, "C4": {"quick": amended}}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "history.json"
        path.write_text(text)
        monkeypatch.setattr(history, "rules_history", lambda: path)
        return path

    return write


def test_the_pages_say_what_is_kept(kept: Callable[[str], Path]) -> None:
    path = kept(as_json(entries()))
    assert said(get_claim("B1")) == (
        'under quick fixed before the run; under paper code changed since: "Another mean" (1a2b3c4)'
    )
    amended = get_claim("C4").amended
    assert amended not in path.read_text()  # it is told in one place, the claim
    assert said(get_claim("C4")) == f"amended after results were seen: {amended}"
    assert said(get_claim("B8")) == "no records yet"
    assert known(get_claim("B1")) == entries()["B1"]
    assert load()["C4"]["quick"].records == {"abc": "0" * 16}
    path.unlink()
    assert said(get_claim("B1")) == "no records yet"


def test_an_edited_rule_is_never_printed_as_fixed(kept: Callable[[str], Path]) -> None:
    kept(as_json(entries(now="1" * 16)))
    assert said(get_claim("B1")) == (
        "cannot be shown: the rule was edited after data/rules/history.json was written; "
        "'drs claims --history --save' brings it up to date"
    )


@pytest.mark.parametrize("text", ["", "[]", '{"B1": {"quick": {}}}', '{"B1": {"quick": {"changes": [], "more": 1}}}'])
def test_a_damaged_file_is_named(kept: Callable[[str], Path], text: str) -> None:
    path = kept(text)
    with pytest.raises(
        UsageError, match=r"^.*history\.json is damaged: .*; 'drs claims --history --save' writes it anew$"
    ):
        load()
    assert path.exists()


def test_every_claim_with_records_has_an_entry_for_the_rule_as_it_is_now() -> None:
    """Without git: whoever edits a rule or adds records is told what to run."""
    found, results = load(), Results(project_root() / "data" / "results")
    lasting = [profile for profile in PROFILES.values() if not profile.scratch]
    for claim in CLAIMS.values():
        scales = results.complete(claim.experiment, lasting)
        commits = {
            profile: {r.commit for s in scales if s.profile == profile
                      for r in results.records(claim.experiment, profile, dataset=s.dataset)}
            for profile in {scale.profile for scale in scales}
        }  # fmt: skip
        kept = {profile: set(entry.records) for profile, entry in found.get(claim.id, {}).items()}
        assert kept == commits, f"{claim.id} has other records than data/rules/history.json says: run '{COMMAND}'"
        for entry in found.get(claim.id, {}).values():
            assert entry.now == rule_hash(claim), f"the rule of {claim.id} was edited: commit it, then run '{COMMAND}'"
    assert set(found) <= set(CLAIMS), f"data/rules/history.json has claims that are gone: run '{COMMAND}'"


def test_the_committed_file_is_what_git_shows_now() -> None:
    repository = Repository(project_root())
    if not repository.complete:
        pytest.skip("the whole history is not here")
    fresh, kept = json.loads(as_json(compute(repository))), json.loads(rules_history().read_text())
    differing = [claim for claim in fresh.keys() | kept.keys() if fresh.get(claim) != kept.get(claim)]
    assert differing == [], f"run '{COMMAND}'"
