"""Cells that read what may change, and the changes: each function gives a cell and changes, one after the other."""

import collections
import enum
import functools
import math
import operator
import types
from decimal import Decimal

import numpy as np
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import zeros_state


class Cell(tdn.Dynamics):
    """v <- v / 2 + f(x); the output is v. ``f`` is called with the cell and x."""

    def __init__(self, f=None, **attributes):
        super().__init__()
        self.f = f
        for name, value in attributes.items():
            setattr(self, name, value)

    def initial_state(self, x_t):
        return (zeros_state(x_t),)

    def step(self, x_t, state):
        v = state[0] * 0.5 + self.f(self, x_t)
        return v, (v,)


class Box:
    """An object of a user."""

    def __init__(self, gain):
        self.gain = gain

    def __call__(self, x):
        return x * self.gain

    def apply(self, x):
        return x * self.gain


def sets(owner, name, *values):
    """Changes of one attribute."""
    return [functools.partial(setattr, owner, name, value) for value in values]


def attribute(read, first, *values):
    """A cell that reads its attribute ``a``, of the values given in turn."""

    def make():
        cell = Cell(lambda m, x: x * read(m.a), a=first)
        return cell, sets(cell, "a", *values)

    return make


def inside(read, start, *changes):
    """A cell whose attribute ``a`` is changed in place."""

    def make():
        a = start()
        return Cell(lambda m, x: x * read(m.a), a=a), [functools.partial(change, a) for change in changes]

    return make


def of_input(read):
    """A cell whose step reads of its input more than its elements."""
    return lambda: (Cell(lambda m, x: x * read(x)), [])


class Mode(enum.Enum):
    """A choice."""

    ONE = 1
    TWO = 2


ATTRIBUTES = {
    "float": attribute(lambda a: a, 2.0, 3.0, 2, True, 2.0),
    "signed zero": attribute(lambda a: math.copysign(1.0, a), 0.0, -0.0),
    "bool or one": attribute(lambda a: 2.0 if a is True else 3.0, True, 1, 1.0),
    "string": attribute(lambda a: 2.0 if a == "a" else 3.0, "a", "b"),
    "none": attribute(lambda a: 2.0 if a is None else a, None, 1.0),
    "tuple": attribute(lambda a: a[-1], (1.0, 2.0), (1.0, 3.0), (1,), (True,)),
    "list": inside(lambda a: sum(a), lambda: [1.0], lambda a: a.append(2.0), lambda a: a.__setitem__(0, 3.0)),
    "dict": inside(lambda a: a["k"][0], lambda: {"k": [1.0]}, lambda a: a["k"].__setitem__(0, 2.0)),
    "ordered dict": inside(lambda a: a["k"], lambda: collections.OrderedDict(k=1.0), lambda a: a.update(k=2.0)),
    "set": inside(lambda a: float(len(a)), lambda: {1}, lambda a: a.add(2)),
    "enum": attribute(lambda a: 2.0 if a is Mode.ONE else 3.0, Mode.ONE, Mode.TWO),
    "numpy scalar": attribute(float, np.float32(2), np.float32(3), np.float64(0.1)),
    "numpy array replaced": attribute(lambda a: float(a[0]), np.ones(2), np.zeros(2), np.full(2, 3.0)),
    "numpy array in place": inside(lambda a: float(a[0]), lambda: np.ones(2), lambda a: a.fill(3.0)),
    "numpy array of no axes": inside(float, lambda: np.array(2.0), lambda a: a.fill(3.0)),
    "decimal": attribute(float, Decimal("2"), Decimal("3"), Decimal("0.1")),
    "partial": attribute(lambda a: a(2.0), functools.partial(pow, 2.0), functools.partial(pow, 3.0)),
    "bound method": inside(lambda a: a(1.0), lambda: Box(2.0).apply, lambda a: setattr(a.__self__, "gain", 3.0)),
    "object": inside(lambda a: a.gain, lambda: Box(2.0), lambda a: setattr(a, "gain", 3.0)),
    "nested object": inside(lambda a: a.gain.gain, lambda: Box(Box(2.0)), lambda a: setattr(a.gain, "gain", 3.0)),
    "callable object": inside(lambda a: a(1.0), lambda: Box(2.0), lambda a: setattr(a, "gain", 3.0)),
    "namespace": inside(lambda a: a.g, lambda: types.SimpleNamespace(g=2.0), lambda a: setattr(a, "g", 3.0)),
    "attribute getter": inside(operator.attrgetter("gain"), lambda: Box(2.0), lambda a: setattr(a, "gain", 3.0)),
    "tensor by item": inside(lambda a: a.item(), lambda: torch.tensor(2.0), lambda a: a.fill_(3.0)),
    "tensor by list": inside(lambda a: a.tolist()[0], lambda: torch.ones(2), lambda a: a.fill_(3.0)),
    "tensor by float": inside(float, lambda: torch.tensor(2.0), lambda a: a.fill_(3.0)),
    "tensor as operand": inside(lambda a: a, lambda: torch.tensor(2.0).double(), lambda a: a.fill_(3.0)),
}
INPUTS = {
    "rows": of_input(lambda x: 1 / x.shape[0]),
    "length": of_input(len),
    "neurons": of_input(lambda x: x.size(-1)),
    "all numbers": of_input(lambda x: x.numel()),
    "a branch on rows": of_input(lambda x: 2.0 if len(x) > 3 else 3.0),
    "a branch on many rows": of_input(lambda x: 2.0 if len(x) > 5 else 3.0),
    "a branch on a value": of_input(lambda x: 2.0 if x.sum() > 1e3 else 3.0),
    "a branch on all": of_input(lambda x: 2.0 if bool((x > -9).all()) else 3.0),
    "the largest": of_input(lambda x: x.max().item()),
    "a list": of_input(lambda x: x.tolist()[0][0]),
    "an array": of_input(lambda x: float(x.detach().numpy().max())),
    "whether contiguous": of_input(lambda x: 2.0 if x.is_contiguous() else 3.0),
    "stride": of_input(lambda x: float(x.stride(0))),
    "whether it wants a gradient": of_input(lambda x: 2.0 if x.requires_grad else 3.0),
    "ones of its shape": of_input(lambda x: torch.ones(x.shape, dtype=x.dtype) * 2),
    "less than the mean": lambda: (Cell(lambda m, x: x - x.mean(-1, keepdim=True)), []),
}


class Scale(nn.Module):
    """A child."""

    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def forward(self, x):
        return x * self.gain


def with_child():
    """A cell with a child and a quantity."""
    return Cell(lambda m, x: m.child(x) * m.q(), child=Scale(2.0), q=tdn.Real(tdn.Learned(0.9))).double()


def _hooks(put):
    def make():
        cell = with_child()
        handles = []
        return cell, [lambda: handles.append(put(cell)), lambda: handles.pop().remove()]

    return make


def _twice(*arguments):
    return arguments[-1] * 2


HOOKS = {
    "on a child": _hooks(lambda m: m.child.register_forward_hook(_twice)),
    "before a child": _hooks(lambda m: m.child.register_forward_pre_hook(lambda child, given: (given[0] + 1,))),
    "on a quantity": _hooks(lambda m: m.q.register_forward_hook(_twice)),
    "on the gradient of a child": _hooks(
        lambda m: m.child.register_full_backward_hook(lambda child, given, arriving: (given[0] * 2,))
    ),
    "on every module": _hooks(lambda m: nn.modules.module.register_module_forward_hook(_twice)),
}
