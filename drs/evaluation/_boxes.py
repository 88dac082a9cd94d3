"""Interval bound propagation: how each layer maps a box of values to a box that holds all its outputs.

Every rule also widens its box by what rounding may do to the network's own arithmetic, at the unit roundoff ``unit``.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from drs.attacks.models import Normalised
from drs.errors import UsageError


class NoRule(Exception):
    """A step without a rule."""


@dataclass(frozen=True)
class Box:
    """All tensors between two, (N, ...) float64; after a linear layer also what that layer was given."""

    low: Tensor
    high: Tensor
    made_by: tuple[Box, Tensor, Tensor] | None = None

    @property
    def shape(self) -> torch.Size:
        return self.low.shape

    @property
    def largest(self) -> Tensor:
        """The largest absolute value of each entry."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def replaced(self, other: Box) -> Box:
        """This box with the values of another one in its place, as an operation in place leaves it."""
        return Box(self.low.copy_(other.low), self.high.copy_(other.high))

    def widened(self, by: Tensor) -> Box:
        return Box(self.low - by, self.high + by)


Rule: TypeAlias = Callable[..., Any]


def rounding(terms: int, unit: float) -> float:
    """Relative error of a sum of so many products, in any order (Higham 2002, section 3.1).

    The bounds themselves are computed in float64, whose rounding is as large only where it is the network's own.
    """
    own = 2.0 if unit < 2.0**-40 else 1.0
    return own * 1.01 * (terms + 4) * unit


def _affine(box: Box, weight: Tensor, bias: Tensor | None, apply: Rule, terms: int, unit: float) -> Box:
    """A linear map: the centre goes through it, the radius through the absolute weights."""
    centre, radius = 0.5 * (box.low + box.high), 0.5 * (box.high - box.low)
    middle = apply(centre, weight, bias)
    size = apply(box.largest, weight.abs(), None if bias is None else bias.abs())
    reach = apply(radius, weight.abs(), None) + rounding(terms, unit) * size
    return Box(middle - reach, middle + reach)


def _linear(layer: nn.Linear, box: Box, unit: float) -> Box:
    bias = torch.zeros(layer.out_features, dtype=torch.float64, device=box.low.device)
    bias = bias if layer.bias is None else layer.bias
    found = _affine(box, layer.weight, bias, F.linear, layer.in_features, unit)
    return Box(found.low, found.high, (box, layer.weight, bias))


def _convolution(layer: nn.Conv1d | nn.Conv2d, box: Box, unit: float) -> Box:
    if layer.padding_mode != "zeros":
        raise NoRule(f"a convolution padded with {layer.padding_mode!r}")

    def apply(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        found: Tensor = layer._conv_forward(values, weight, bias)
        return found

    return _affine(box, layer.weight, layer.bias, apply, layer.weight[0].numel(), unit)


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, box: Box, unit: float) -> Box:
    if layer.running_mean is None or layer.running_var is None:
        raise NoRule("a batch norm without running statistics")
    scale = (layer.running_var + layer.eps).rsqrt() * (1.0 if layer.weight is None else layer.weight)
    shift = (0.0 if layer.bias is None else layer.bias) - layer.running_mean * scale
    size = (0.0 if layer.bias is None else layer.bias.abs()) + (layer.running_mean * scale).abs()
    shape = (1, -1, *[1] * (len(box.shape) - 2))
    scale, shift, size = scale.reshape(shape), shift.reshape(shape), size.reshape(shape)
    ends = (box.low * scale + shift, box.high * scale + shift)
    slack = rounding(8, unit) * (box.largest * scale.abs() + size)
    return Box(torch.minimum(*ends), torch.maximum(*ends)).widened(slack)


def _both_ends(function: Rule) -> Rule:
    """The rule of a function that grows with each of its inputs and rounds nothing."""

    def rule(box: Box, *args: Any, unit: float, **options: Any) -> Box:
        return Box(function(box.low, *args, **options), function(box.high, *args, **options))

    return rule


def _average(function: Rule) -> Rule:
    """The rule of a pooling that averages at most all places of a channel."""

    def rule(box: Box, *args: Any, unit: float, **options: Any) -> Box:
        found: Box = _both_ends(function)(box, *args, unit=unit, **options)
        slack: Tensor = function(box.largest, *args, **options)
        return found.widened(rounding(box.shape[2:].numel(), unit) * slack)

    return rule


def _leaky(box: Box, negative_slope: float = 0.01, inplace: bool = False, *, unit: float) -> Box:
    if negative_slope < 0.0:
        raise NoRule("a leaky ReLU with a negative slope")
    found = Box(F.leaky_relu(box.low, negative_slope), F.leaky_relu(box.high, negative_slope))
    found = found.widened(rounding(0, unit) * found.largest)
    return box.replaced(found) if inplace else found


def _pad(box: Box, pad: Any, mode: str = "constant", value: float | None = None, *, unit: float) -> Box:
    return Box(F.pad(box.low, pad, mode, value), F.pad(box.high, pad, mode, value))


def _add(a: Any, b: Any, *, unit: float) -> Box:
    low_a, high_a = (a.low, a.high) if isinstance(a, Box) else (a, a)
    low_b, high_b = (b.low, b.high) if isinstance(b, Box) else (b, b)
    found = Box(low_a + low_b, high_a + high_b)
    return found.widened(rounding(1, unit) * found.largest)


def _add_in_place(a: Any, b: Any, *, unit: float) -> Box:
    found = _add(a, b, unit=unit)
    return a.replaced(found) if isinstance(a, Box) else found


def _times(a: Any, b: Any, *, unit: float) -> Box:
    box, factor = (a, b) if isinstance(a, Box) else (b, a)
    if isinstance(factor, Box):
        raise NoRule("a product of two values that depend on the image")
    found = Box(torch.minimum(box.low * factor, box.high * factor), torch.maximum(box.low * factor, box.high * factor))
    return found.widened(rounding(1, unit) * found.largest)


def _negative(box: Box, *, unit: float) -> Box:
    made_by = box.made_by and (box.made_by[0], -box.made_by[1], -box.made_by[2])
    return Box(-box.high, -box.low, made_by)


def _minus(a: Any, b: Any, *, unit: float) -> Box:
    return _add(a, _negative(b, unit=unit) if isinstance(b, Box) else -b, unit=unit)


def _over(a: Any, b: Any, *, unit: float) -> Box:
    if isinstance(b, Box):
        raise NoRule("a division by a value that depends on the image")
    return _times(a, 1.0 / b, unit=unit)


def _dropout(box: Box, p: float = 0.5, training: bool = True, inplace: bool = False, *, unit: float) -> Box:
    if training:
        raise NoRule("a dropout that stays on in evaluation mode")
    return box


def _same(box: Box, *args: Any, unit: float, **options: Any) -> Box:
    return box


_FUNCTIONS: dict[Any, Rule] = {
    operator.add: _add,
    operator.iadd: _add_in_place,
    operator.sub: _minus,
    operator.mul: _times,
    operator.truediv: _over,
    operator.neg: _negative,
    torch.add: _add,
    torch.sub: _minus,
    torch.mul: _times,
    torch.div: _over,
    torch.neg: _negative,
    torch.relu: _both_ends(torch.relu),
    torch.flatten: _both_ends(torch.flatten),
    F.relu: _both_ends(F.relu),
    F.leaky_relu: _leaky,
    F.max_pool2d: _both_ends(F.max_pool2d),
    F.avg_pool2d: _average(F.avg_pool2d),
    F.adaptive_avg_pool2d: _average(F.adaptive_avg_pool2d),
    F.pad: _pad,
    F.dropout: _dropout,
}
_METHODS: dict[str, Rule] = {
    "relu": _both_ends(torch.relu),
    "flatten": _both_ends(torch.flatten),
    "view": _both_ends(Tensor.reshape),
    "reshape": _both_ends(Tensor.reshape),
    "contiguous": _same,
    "add": _add,
    "sub": _minus,
    "mul": _times,
    "div": _over,
    "neg": _negative,
}
_LAYERS: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LeakyReLU: lambda layer, box, unit: _leaky(box, layer.negative_slope, layer.inplace, unit=unit),
    **dict.fromkeys((nn.ReLU, nn.Flatten, nn.MaxPool2d), lambda layer, box, unit: _both_ends(layer)(box, unit=unit)),
    **dict.fromkeys((nn.AvgPool2d, nn.AdaptiveAvgPool2d), lambda layer, box, unit: _average(layer)(box, unit=unit)),
    **dict.fromkeys((nn.Dropout, nn.Dropout2d, nn.Identity), lambda layer, box, unit: box),
}


def _normalised(layer: Normalised, box: Box, unit: float) -> Box:
    shape = (1, -1, *[1] * (len(box.shape) - 2))
    moved = _over(_minus(box, layer.mean.reshape(shape), unit=unit), layer.std.reshape(shape), unit=unit)
    found: Box = Propagation(traced(layer.model), unit).run(moved)
    return found


_LAYERS[Normalised] = _normalised


class Propagation(fx.Interpreter):
    """Runs a traced network on a box."""

    def __init__(self, network: fx.GraphModule, unit: float) -> None:
        super().__init__(network)
        self.extra_traceback = False  # lest an error carry the whole graph
        self.unit = unit

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        layer = self.fetch_attr(target)
        if type(layer) not in _LAYERS:
            raise NoRule(f"the layer {type(layer).__name__}")
        return _LAYERS[type(layer)](layer, *args, self.unit)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if target is getattr or not any(isinstance(value, Box) for value in (*args, *kwargs.values())):
            return super().call_function(target, args, dict(kwargs))
        if target not in _FUNCTIONS:
            raise NoRule(f"the function {getattr(target, '__name__', target)}")
        return self._apply(_FUNCTIONS[target], f"the function {target.__name__}", args, kwargs)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if not isinstance(args[0], Box):
            return super().call_method(target, args, dict(kwargs))
        if target == "size":
            return args[0].shape if len(args) == 1 else args[0].shape[args[1]]
        if target not in _METHODS:
            raise NoRule(f"the method {target}")
        return self._apply(_METHODS[target], f"the method {target}", args, kwargs)

    def _apply(self, rule: Rule, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        try:
            return rule(*args, unit=self.unit, **kwargs)
        except TypeError as error:  # an option that no rule has, such as alpha of torch.add
            raise NoRule(f"{name} with {len(args)} arguments and {sorted(kwargs)}") from error


class _Tracer(fx.Tracer):
    """Looks at what is in every module but torch's own and :class:`Normalised`, whose forward checks shapes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Normalised) or super().is_leaf_module(m, module_qualified_name)


def traced(model: nn.Module) -> fx.GraphModule:
    """A copy in double precision, as a graph of layers and functions.

    Raises:
        UsageError: Forward hooks, or a forward that cannot be traced.
    """
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        raise UsageError("expected a network whose layers alone decide its outputs, got one with forward hooks")
    double = nn.Sequential(copy.deepcopy(model)).double().eval()  # in a shell: the outermost module is no layer
    try:
        return fx.GraphModule(double, _Tracer().trace(double))
    except Exception as error:  # whatever a forward does with a stand-in for its input
        raise UsageError(
            "expected a network whose layers can be listed, got one whose forward depends on its values: "
            f"torch.fx says {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
