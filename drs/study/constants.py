"""The value of a constant expression from its syntax tree: text, numbers, f-strings, tuples. Nothing is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from drs.errors import UsageError

__all__ = ["Lookup", "assigned", "value"]

Lookup: TypeAlias = Callable[[ast.expr], tuple[ast.expr, Any]]
"""From a name, dotted or not, to the expression that defines it and the look-up of the names in that expression."""

_SIGNS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CALLS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (abs, int, len, max, min, range, round, sorted, str, sum)
}
_OF_TEXT = {"capitalize", "format", "join", "lower", "replace", "title", "upper"}
_CONVERSIONS: dict[int, Callable[[Any], Any]] = {-1: lambda v: v, 97: ascii, 114: repr, 115: str}


def value(node: ast.expr, lookup: Lookup, bound: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression.

    >>> value(ast.parse("f'at most {2 * 0.05:g}'", mode="eval").body, lambda name: (ast.Constant(0), None))
    'at most 0.1'

    Args:
        node: The expression.
        lookup: Where its names are defined.
        bound: Values of the variables of a comprehension around it.

    Raises:
        UsageError: It is more than text, numbers, containers, sums and products, f-strings and comprehensions.
    """
    known = bound or {}

    def of(part: ast.expr) -> Any:
        return value(part, lookup, known)

    def each(parts: list[ast.expr]) -> list[Any]:
        return [v for p in parts for v in (of(p.value) if isinstance(p, ast.Starred) else [of(p)])]

    match node:
        case ast.Constant():
            return node.value
        case ast.JoinedStr():
            return "".join(str(of(part)) for part in node.values)
        case ast.FormattedValue():
            spec = "" if node.format_spec is None else of(node.format_spec)
            return format(_CONVERSIONS[node.conversion](of(node.value)), spec)
        case ast.Name() if node.id in known:
            return known[node.id]
        case ast.Name() | ast.Attribute():
            expression, further = lookup(node)
            return value(expression, further)
        case ast.UnaryOp(op=ast.USub()):
            return -of(node.operand)
        case ast.BinOp() if type(node.op) in _SIGNS:
            return _SIGNS[type(node.op)](of(node.left), of(node.right))
        case ast.Tuple() | ast.List():
            return tuple(each(node.elts))
        case ast.Dict():
            return {of(k): of(v) for k, v in zip(node.keys, node.values) if k is not None}
        case ast.Subscript() if not isinstance(node.slice, ast.Slice):
            return of(node.value)[of(node.slice)]
        case ast.GeneratorExp() | ast.ListComp() if len(node.generators) == 1 and not node.generators[0].ifs:
            loop = node.generators[0]
            if isinstance(loop.target, ast.Name):
                return tuple(value(node.elt, lookup, {**known, loop.target.id: item}) for item in of(loop.iter))
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _CALLS:
            return _CALLS[name](*each(given))
        case ast.Call(func=ast.Name("map"), args=[ast.Name(id=name), items], keywords=[]) if name in _CALLS:
            return tuple(_CALLS[name](item) for item in of(items))
        case ast.Call(func=ast.Attribute(value=whole, attr=name), args=given, keywords=[]) if name in _OF_TEXT:
            if isinstance(text := of(whole), str):
                return getattr(text, name)(*each(given))
    raise UsageError(f"the words '{ast.unparse(node)}' cannot be read without running the code")


def assigned(statement: ast.Assign | ast.AnnAssign, name: str) -> ast.expr:
    """What an assignment gives to one of its names.

    Raises:
        UsageError: It gives no single value.
    """
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    pairs = [(target, statement.value)]
    if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
        pairs = [*zip(target.elts, statement.value.elts)]
    for each, given in pairs:
        if isinstance(each, ast.Name) and each.id == name and given is not None:
            return given
    raise UsageError(f"the value of {name} cannot be read without running the code")
