"""A claim's rule as one hash of what it says and what it computes, read from source text and never executed.

The hash covers the rule's words, its quantity, the function that judges, and every constant, class and function of the
package of claims that this function reaches. Comments, docstrings, annotations, the layout, the order of definitions
and the names of modules do not count. Code outside the package (the intervals of :mod:`drs.statistics`, say) does not
count either; from which module a name of it comes is in ``Rule.origins``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import drs.study.claims
from drs.errors import UsageError
from drs.study.constants import Lookup, assigned, value
from drs.study.records import digest

if TYPE_CHECKING:
    from drs.study.claims.base import Claim

__all__ = ["Package", "Rule", "package", "rule_hash", "rule_now", "rules_of"]

_NOT_CODE = {"annotation", "ctx", "kind", "returns", "simple", "type_comment", "type_params"}
"""Fields of a syntax tree that decide nothing, or that only some versions of Python have."""
_Place: TypeAlias = tuple[str, str]
"""A module and a name in it; the name is empty for the module itself."""


@dataclass(frozen=True)
class Rule:
    """What decides a claim.

    Attributes:
        text: The rule in words.
        quantity: What its estimate is.
        code: SHA-256 of the code that judges, without the names of modules.
        origins: The module that holds the judge, under the empty name, and the modules outside the package from which
            the code takes its names.
    """

    text: str
    quantity: str
    code: str
    origins: Mapping[str, str]

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that change with the words, the quantity or the code."""
        return digest([self.text, self.quantity, self.code])[:16]


class Package:
    """Source text of a package of claims.

    >>> source = "LEAST = 0.5\\ndef judge(frame):\\n    return frame > LEAST\\n"
    >>> claim = "Claim('A1', rule=f'Above {LEAST:g}.', quantity='share', judge=judge)"
    >>> Package({"claims": source + claim}).rule("A1").text
    'Above 0.5.'

    Args:
        sources: The text of each module by its full name.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._trees = {name: ast.parse(text) for name, text in sources.items()}
        self._defined = {name: dict(_definitions(tree.body)) for name, tree in self._trees.items()}
        self._imported = {name: dict(self._imports(name)) for name in self._trees}
        self._claims = dict(self._written())
        self._forms: dict[_Place, _Form] = {}
        self._rules: dict[str, Rule | None] = {}

    def rule(self, claim_id: str) -> Rule | None:
        """The rule of a claim; None where no ``Claim`` of that id is written out.

        Raises:
            UsageError: Its words are put together in a way that cannot be read without running the code.
        """
        if claim_id not in self._rules:
            self._rules[claim_id] = self._read(claim_id) if claim_id in self._claims else None
        return self._rules[claim_id]

    def _read(self, claim_id: str) -> Rule:
        module, given = self._claims[claim_id]
        try:
            text, quantity = (str(value(given[name], partial(self._constant, module))) for name in ("rule", "quantity"))
        except UsageError:
            raise
        except (TypeError, ValueError, LookupError) as error:
            raise UsageError(f"the words of {claim_id} cannot be read without running the code") from error
        return Rule(text, quantity, *self.code(claim_id))

    def code(self, claim_id: str) -> tuple[str, dict[str, str]]:
        """``Rule.code`` and ``Rule.origins`` of a claim.

        Raises:
            UsageError: No ``Claim`` of that id is written out.
        """
        if claim_id not in self._claims:
            raise UsageError(f"expected a Claim with the id {claim_id!r} written out in drs/study/claims, got none")
        module, given = self._claims[claim_id]
        return self._code(module, given["judge"])

    def _written(self) -> Iterator[tuple[str, tuple[str, dict[str, ast.expr]]]]:
        """The id of every claim that is written out, with its module and its arguments by name."""
        fields = [name for defined in self._defined.values() for name in _fields(defined.get("Claim", []))]
        for module, tree in self._trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and "Claim" in (getattr(node.func, k, "") for k in ("id", "attr")):
                    given = dict(zip(fields or ["id"], node.args)) | {k.arg: k.value for k in node.keywords if k.arg}
                    first = given.get("id")
                    if isinstance(first, ast.Constant):
                        yield str(first.value), (module, given)

    def _imports(self, module: str) -> Iterator[tuple[str, _Place]]:
        """Every name that a module imports, anywhere in it, and where it comes from."""
        for node in ast.walk(self._trees[module]):
            if isinstance(node, ast.Import):
                for each in node.names:
                    first = each.name.split(".")[0]
                    yield each.asname or first, (each.name if each.asname else first, "")
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                if node.level:
                    origin = ".".join(filter(None, [*module.split(".")[: -node.level], origin]))
                for each in node.names:
                    inner = f"{origin}.{each.name}"
                    yield each.asname or each.name, (inner, "") if inner in self._trees else (origin, each.name)

    def _resolve(self, module: str, name: str) -> _Place | None:
        if name in self._defined[module]:
            return module, name
        place = self._imported[module].get(name)
        return self._resolve(*place) if place is not None and place[1] and self.holds(place) else place

    def holds(self, place: _Place) -> bool:
        """Whether a place is in the package."""
        return place[0] in self._trees

    def place(self, module: str, node: ast.AST) -> _Place | None:
        """Where a name in a module, or a name of a module of the package, is defined; None for local and built-in
        names and for whatever is no name."""
        if isinstance(node, ast.Name):
            return self._resolve(module, node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            whole = self._resolve(module, node.value.id)
            return self._resolve(whole[0], node.attr) if whole and not whole[1] and self.holds(whole) else None
        return None

    def _constant(self, module: str, name: ast.expr) -> tuple[ast.expr, Lookup]:
        """The expression that a name stands for, and how names in it are looked up."""
        place = self.place(module, name)
        statements = self._defined.get(place[0], {}).get(place[1], []) if place else []
        if place is None or len(statements) != 1 or not isinstance(statements[0], ast.Assign | ast.AnnAssign):
            raise UsageError(f"the value of {ast.unparse(name)} cannot be read without running the code")
        return assigned(statements[0], place[1]), partial(self._constant, place[0])

    def _code(self, module: str, judge: ast.expr) -> tuple[str, dict[str, str]]:
        """SHA-256 of an expression and of all it reaches, and the modules that names come from."""
        root = _Form(self, module, judge)
        origins = {"": root.inner[0][0] if root.content[0] == "Name" and root.inner else module} | root.outer
        reached: dict[_Place, str] = {}
        waiting = list(root.inner)
        while waiting:
            place = waiting.pop()
            if place not in reached:
                form = self._form(place)
                reached[place] = f"{place[1]} {form.digest}"
                waiting += form.inner
                origins |= form.outer
        return digest([root.content, sorted(reached.values())]), dict(sorted(origins.items()))

    def _form(self, place: _Place) -> _Form:
        """What the statements that define a name are made of."""
        if place not in self._forms:
            self._forms[place] = _Form(self, place[0], self._defined[place[0]].get(place[1], []))
        return self._forms[place]


class _Form:
    """A syntax tree as plain JSON values, without what decides nothing and with each name as it is defined.

    Attributes:
        content: The values.
        digest: Their SHA-256.
        inner: The definitions of the package that it names, in order.
        outer: The names that it takes from other modules, and which.
    """

    def __init__(self, package: Package, home: str, node: object) -> None:
        self._package, self._home = package, home
        self.inner: list[_Place] = []
        self.outer: dict[str, str] = {}
        self.content = self._of(node)
        self.digest = digest(self.content)

    def _of(self, node: Any) -> Any:
        if isinstance(node, list):
            kept = (n for n in node if not isinstance(n, ast.Import | ast.ImportFrom) and not _is_text(n))
            return [self._of(n) for n in kept]
        if not isinstance(node, ast.AST):
            return node if isinstance(node, str | int | float | None) else repr(node)
        place = self._package.place(self._home, node)
        if place is not None:
            name = place[1] or place[0]
            if self._package.holds(place):
                self.inner.append(place)
            else:
                self.outer[name] = place[0]
            return ["Name", {"id": name}]
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node = ast.Assign([node.target], node.value)
        fields = {k: self._of(v) for k, v in ast.iter_fields(node) if k not in _NOT_CODE}
        return [type(node).__name__, {k: v for k, v in fields.items() if v is not None and v != []}]


def _is_text(node: object) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _definitions(body: list[ast.stmt]) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Every name that statements define, with all the statements that define it."""
    found: dict[str, list[ast.stmt]] = {}
    for node in body:
        for name in _bound(node):
            found.setdefault(name, []).append(node)
    yield from found.items()


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement defines, those in its branches included, those of its comprehensions not."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
        case ast.For(target=ast.Name() as variable):
            own = {variable.id}
        case _:
            own = set()
    inner = (_bound(n) for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt | ast.excepthandler))
    return own.union(*inner)


def _fields(statements: list[ast.stmt]) -> list[str]:
    """The fields of a dataclass, in order."""
    body = [node for each in statements if isinstance(each, ast.ClassDef) for node in each.body]
    return [n.target.id for n in body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]


@cache
def package() -> Package:
    """The package of claims that is imported, from its files."""
    home = Path(drs.study.claims.__path__[0])
    names = {path: drs.study.claims.__name__ + f".{path.stem}" for path in sorted(home.glob("*.py"))}
    return Package({name.removesuffix(".__init__"): path.read_text("utf-8") for path, name in names.items()})


def rule_now(claim: Claim) -> Rule:
    """The rule of a claim in the code that runs.

    Raises:
        UsageError: The claim is not written out in drs/study/claims.
    """
    return Rule(claim.rule, claim.quantity, *package().code(claim.id))


def rule_hash(claim: Claim) -> str:
    """Sixteen hexadecimal digits that change with a claim's rule.

    >>> from drs.study.claims import get_claim
    >>> len(rule_hash(get_claim("A3")))
    16

    Raises:
        UsageError: The claim is not written out in drs/study/claims.
    """
    return rule_now(claim).hash


def rules_of(experiment: str) -> dict[str, str]:
    """The hash of each rule that an experiment's records decide, by the claim's id."""
    return {c.id: rule_hash(c) for c in drs.study.claims.CLAIMS.values() if c.experiment == experiment}
