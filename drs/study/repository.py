"""The rules of claims in the history of the repository: what they were at a commit, and which commits changed them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from drs.errors import UsageError
from drs.study.rules import Package, Rule

__all__ = ["HOMES", "Change", "Kind", "Repository", "differences"]

HOMES = ("drs/study/claims", "drs/claims")
"""Where the claims live and have lived, newest first."""
Kind: TypeAlias = Literal["written", "code", "wording", "moved"]
_DIGITS = 7


@dataclass(frozen=True)
class Change:
    """A commit that changed a rule.

    Attributes:
        commit: Its first digits; empty for a change that is not committed.
        kind: What it changed: it wrote the rule, or changed its code, its words, or only where it stands.
        subject: The first line of its message.
    """

    commit: str
    kind: Kind
    subject: str

    def __str__(self) -> str:
        return f'"{self.subject}" ({self.commit})' if self.commit else self.subject


def differences(then: Rule | None, now: Rule) -> tuple[Kind, ...]:
    """What tells two versions of a rule apart; ``moved`` where nothing does but the names of modules."""
    if then is None:
        return ("written",)
    found: list[Kind] = []
    if then.code != now.code:
        found += ["code"]
    if (then.text, then.quantity) != (now.text, now.quantity):
        found += ["wording"]
    if not found and then.origins != now.origins:
        found += ["moved"]
    return tuple(found)


class Repository:
    """A checkout with its history.

    Args:
        root: Folder of the checkout.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _git(self, *words: str) -> str:
        try:
            found = subprocess.run(["git", *words], cwd=self.root, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"git {words[0]} does not answer in {self.root}") from error
        return found.stdout

    @cached_property
    def complete(self) -> bool:
        """Whether git is there and knows the whole history of this very folder."""
        try:
            top, shallow = self._git("rev-parse", "--show-toplevel", "--is-shallow-repository").splitlines()
        except UsageError:
            return False
        return Path(top).resolve() == self.root.resolve() and shallow == "false"

    def require(self, commit: str) -> None:
        """Refuse a commit that is no part of what is checked out.

        Raises:
            UsageError: There is no history here, or the commit is not in it.
        """
        if not self.complete:
            raise UsageError("the whole history is not here")
        try:
            self._git("merge-base", "--is-ancestor", commit, "HEAD")
        except UsageError:
            raise UsageError(f"commit {commit} is not in the history") from None

    @cache  # noqa: B019  # a repository lives as long as a command
    def package(self, commit: str) -> Package:
        """The package of claims at a commit; empty before there were any."""
        listed = [line.split() for line in self._git("ls-tree", "-r", commit, *(f"{h}/" for h in HOMES)).splitlines()]
        blobs = {path: blob for _, _, blob, path in listed if path.endswith(".py")}
        home = next((home for home in HOMES if any(path.startswith(f"{home}/") for path in blobs)), HOMES[0])
        return self._parsed(tuple(sorted((p, blob) for p, blob in blobs.items() if p.startswith(f"{home}/"))))

    @cache  # noqa: B019
    def _parsed(self, blobs: tuple[tuple[str, str], ...]) -> Package:
        names = {path: path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path, _ in blobs}
        return Package({names[path]: self._text(blob) for path, blob in blobs})

    @cache  # noqa: B019
    def _text(self, blob: str) -> str:
        return self._git("cat-file", "blob", blob)

    def rule(self, claim_id: str, commit: str) -> Rule | None:
        """The rule of a claim at a commit; None where the claim was not written yet.

        Raises:
            UsageError: No such commit, or a rule that cannot be read without running the code.
        """
        return self.package(commit).rule(claim_id)

    @cache  # noqa: B019
    def _since(self, commit: str) -> list[tuple[str, tuple[str, ...], str]]:
        """The commits after one that touch claims, oldest first: each with its parents and its subject."""
        asked = ("--reverse", "--topo-order", "--full-history", "--format=%H%x00%P%x00%s")
        lines = self._git("log", *asked, f"{commit}..HEAD", "--", *HOMES).splitlines()
        parts = (line.split("\0") for line in lines)
        return [(each, tuple(parents.split()), subject) for each, parents, subject in parts]

    @cache  # noqa: B019
    def _changed(self, claim_id: str, commit: str, parents: tuple[str, ...]) -> tuple[Kind, ...]:
        """What a commit changed of a rule, against every one of its parents; nothing where a rule cannot be read."""
        try:
            after, before = self.rule(claim_id, commit), [self.rule(claim_id, parent) for parent in parents]
        except UsageError:
            return ()
        if after is None:
            return ()
        found = [differences(rule, after) for rule in before or [None]]
        return tuple(kind for kind in found[0] if all(kind in other for other in found))

    def changes(self, claim_id: str, commit: str, now: Rule) -> list[Change]:
        """What changed a claim's rule after a commit, oldest first.

        Args:
            claim_id: The claim.
            commit: Where to start.
            now: The rule in the files, which may be ahead of the last commit.

        Raises:
            UsageError: No such commit.
        """
        found = [
            Change(each[:_DIGITS], kind, subject)
            for each, parents, subject in self._since(commit)
            for kind in self._changed(claim_id, each, parents)
        ]
        try:
            ahead = differences(self.rule(claim_id, "HEAD"), now)
        except UsageError:
            ahead = ()
        return found + [Change("", kind, "a change that is not committed yet") for kind in ahead]
