"""Cells that read a global, a closure, a class or a child that changes; see :mod:`.adversary`."""

import functools
import random
import types

import torch
from torch import nn
from torch.nn.utils import parametrize

from .adversary import ATTRIBUTES, HOOKS, INPUTS, Box, Cell, Scale, sets, with_child

GAIN, TABLE, OBJECT = 2.0, [2.0], Box(2.0)
CONFIG = types.ModuleType("config")
CONFIG.GAIN = 2.0


def _global(name, *values):
    return [functools.partial(globals().__setitem__, name, value) for value in values]


def global_number():
    return Cell(lambda m, x: x * GAIN), _global("GAIN", 3.0, -0.0, 2.0)


def global_list():
    return Cell(lambda m, x: x * TABLE[0]), [functools.partial(TABLE.__setitem__, 0, value) for value in (3.0, 2.0)]


def global_object():
    return Cell(lambda m, x: OBJECT.apply(x)), sets(OBJECT, "gain", 3.0, 2.0)


def module_of_constants():
    return Cell(lambda m, x: x * CONFIG.GAIN), sets(CONFIG, "GAIN", 3.0, 2.0)


def closure():
    gain = 2.0

    def change(value):
        nonlocal gain
        gain = value

    return Cell(lambda m, x: x * gain), [functools.partial(change, 3.0)]


def closure_object():
    box = Box(2.0)
    return Cell(lambda m, x: x * box.gain), sets(box, "gain", 3.0)


def default():
    def f(m, x, gain=2.0):
        return x * gain

    return Cell(f), sets(f, "__defaults__", (3.0,))


def keyword_default():
    def f(m, x, *, gain=2.0):
        return x * gain

    return Cell(f), sets(f, "__kwdefaults__", {"gain": 3.0})


def code():
    def f(m, x):
        return x * 2.0

    return Cell(f), sets(f, "__code__", (lambda m, x: x * 3.0).__code__)


def function_attribute():
    def f(m, x):
        return x * f.gain

    f.gain = 2.0
    return Cell(f), sets(f, "gain", 3.0)


def class_attribute():
    class Own(Cell):
        gain = 2.0

    return Own(lambda m, x: x * m.gain), sets(Own, "gain", 3.0)


def class_attribute_by_type():
    class Own(Cell):
        gain = 2.0

    return Own(lambda m, x: x * type(m).gain), sets(Own, "gain", 3.0)


def class_as_attribute():
    class Own:
        gain = 2.0

    return Cell(lambda m, x: x * m.a.gain, a=Own), sets(Own, "gain", 3.0)


def inherited_property():
    class Base(Cell):
        gain = property(lambda m: 2.0)

    class Own(Base):
        pass

    return Own(lambda m, x: x * super(Own, m).gain), sets(Base, "gain", property(lambda m: 3.0))


def method_replaced():
    class Own(Cell):
        def g(self, x):
            return x * 2.0

    return Own(lambda m, x: m.g(x)), sets(Own, "g", lambda m, x: x * 3.0)


def method_shadowed():
    class Own(Cell):
        def g(self, x):
            return x * 2.0

    cell = Own(lambda m, x: m.g(x))
    return cell, sets(cell, "g", lambda x: x * 3.0)


def name_by_name():
    cell = Cell(lambda m, x: x * getattr(m, m.which), which="a", a=2.0, b=3.0)
    return cell, [*sets(cell, "which", "b"), *sets(cell, "b", 0.5)]


def name_that_appears():
    cell = Cell(lambda m, x: x * getattr(m, "boost", 1.0))
    return cell, sets(cell, "boost", 3.0)


def name_in_the_dictionary():
    cell = Cell(lambda m, x: x * vars(m)["gain"], gain=2.0)
    return cell, sets(cell, "gain", 3.0)


def name_by_get_attribute():
    class Own(Cell):
        def __getattr__(self, name):
            return self.gain * 2 if name == "twice" else super().__getattr__(name)

    cell = Own(lambda m, x: x * m.twice, gain=2.0)
    return cell, sets(cell, "gain", 3.0)


def cached_function():
    @functools.lru_cache
    def cached():
        return GAIN

    return Cell(lambda m, x: x * cached()), []


def swallowed_value():
    def f(m, x):
        try:
            return x * float(x.max())
        except Exception:
            return x

    return Cell(f), []


def swallowed_length():
    def f(m, x):
        try:
            return x * (2.0 if len(x) > 3 else 3.0)
        except BaseException:
            return x

    return Cell(f), []


def calls_counted():
    class Own(Cell):
        def step(self, x_t, state):
            self.count = (self.count + 1) % 4  # the four steps of a call: every call is alike
            return super().step(x_t, state)

    return Own(lambda m, x: x * float(m.count), count=0), []


def chance():
    def f(m, x):
        random.seed(x.shape[0])
        return x * random.random()

    return Cell(f), []


def child_replaced():
    cell = with_child()
    return cell, [*sets(cell, "child", Scale(3.0), nn.ReLU()), *sets(cell, "child", Scale(0.5))]


def child_changed():
    cell = with_child()
    return cell, [*sets(cell.child, "gain", 3.0), *sets(cell.child, "forward", lambda x: x * 4)]


def child_appended():
    cell = Cell(lambda m, x: m.child(x), child=nn.Sequential(nn.Tanh()))
    return cell, [lambda: cell.child.append(nn.Sigmoid()), lambda: cell.child.insert(0, nn.Softplus(beta=3.0))]


def training():
    cell = Cell(lambda m, x: x * (2.0 if m.training else 3.0))
    return cell, [cell.eval, cell.train]


def parameter():
    cell = Cell(lambda m, x: x * m.w, w=nn.Parameter(torch.tensor(2.0).double()))
    return cell, [
        lambda: cell.w.data.fill_(3.0),
        lambda: cell.w.requires_grad_(False),
        *sets(cell, "w", nn.Parameter(torch.tensor(0.5).double())),
        lambda: parametrize.register_parametrization(cell, "w", Scale(4.0)),
        lambda: parametrize.remove_parametrizations(cell, "w"),
    ]


def parameter_in_a_list():
    w = nn.Parameter(torch.tensor(2.0).double())
    return Cell(lambda m, x: x * m.held[0], w=w, held=[w]), [lambda: w.data.fill_(3.0)]


def default_dtype():
    cell = Cell(lambda m, x: x * (2.0 if torch.get_default_dtype() == torch.float32 else 3.0))
    return cell, [
        functools.partial(torch.set_default_dtype, torch.float64),
        functools.partial(torch.set_default_dtype, torch.float32),
    ]


FUNCTIONS = (
    global_number, global_list, global_object, module_of_constants, closure, closure_object, default, keyword_default,
    code, function_attribute, class_attribute, class_attribute_by_type, class_as_attribute, inherited_property,
    method_replaced, method_shadowed, name_by_name, name_that_appears, name_in_the_dictionary, name_by_get_attribute,
    cached_function, swallowed_value, swallowed_length, calls_counted, chance, child_replaced, child_changed,
    child_appended, training, parameter, parameter_in_a_list, default_dtype,
)  # fmt: skip
CASES = (
    {f"attribute: {name}": make for name, make in ATTRIBUTES.items()}
    | {f"input: {name}": make for name, make in INPUTS.items()}
    | {f"hook: {name}": make for name, make in HOOKS.items()}
    | {make.__name__.replace("_", " "): make for make in FUNCTIONS}
)
