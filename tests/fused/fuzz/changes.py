"""What a step may read besides its operands, and how that changes between two calls."""

import random
from typing import NamedTuple


class Change(NamedTuple):
    """Something that a step reads.

    Args:
        before: lines ahead of the class.
        setup: lines of ``__init__``.
        use: the template of a statement.
        events: lines that change it; ``m`` is the module.
        number: an expression for use where a constant stands, if it is one.
    """

    before: list[str]
    setup: list[str]
    use: str
    events: list[str]
    number: str | None = None


# name: (before, setup, number, events); # stands for a number of its own.
ATTRIBUTES = {
    "float": ([], ["self.a# = 2.0"], "self.a#", ["m.a# = 3.0", "m.a# = -0.0", "m.a# = 0.1", "m.a# = inf"]),
    "int": ([], ["self.a# = 2"], "self.a#", ["m.a# = 3", "m.a# = True", "m.a# = 2.0"]),
    "bool": ([], ["self.a# = True"], "(2.0 if self.a# is True else 3.0)", ["m.a# = False", "m.a# = 1"]),
    "str": ([], ["self.a# = 'a'"], "(2.0 if self.a# == 'a' else 3.0)", ["m.a# = 'b'"]),
    "none": ([], ["self.a# = None"], "(2.0 if self.a# is None else self.a#)", ["m.a# = 1.0"]),
    "tuple": ([], ["self.a# = (1.0, 2.0)"], "self.a#[-1]", ["m.a# = (1.0, 3.0)", "m.a# = (1.0,)"]),
    "list": ([], ["self.a# = [1.0]"], "sum(self.a#)", ["m.a#.append(2.0)", "m.a#[0] = 3.0"]),
    "dict": ([], ["self.a# = {'k': [1.0]}"], "self.a#['k'][0]", ["m.a#['k'][0] = 2.0", "m.a# = {'k': (3.0,)}"]),
    "numpy scalar": (
        [],
        ["self.a# = np.float32(2)"],
        "float(self.a#)",
        ["m.a# = np.float32(3)", "m.a# = np.float64(0.1)"],
    ),
    "numpy number": ([], ["self.a# = np.array(2.0)"], "float(self.a#)", ["m.a# = np.array(3.0)", "m.a#[()] = 4.0"]),
    "numpy array": ([], ["self.a# = np.ones(2)"], "float(self.a#[0])", ["m.a#[0] = 3.0", "m.a# = np.zeros(1)"]),
    "decimal": ([], ["self.a# = Decimal('2')"], "float(self.a#)", ["m.a# = Decimal('3')", "m.a# = Decimal('0.1')"]),
    "object": ([], ["self.a# = Box(2.0)"], "self.a#.value", ["m.a#.value = 3.0", "m.a# = Box(0.5)"]),
    "nested": ([], ["self.a# = Box([Box(2.0)])"], "self.a#.value[0].value", ["m.a#.value[0].value = 3.0"]),
    "bound method": ([], ["self.b# = Box(2.0)", "self.a# = self.b#.get"], "self.a#()", ["m.b#.value = 3.0"]),
    "callable": ([], ["self.a# = Box(2.0)"], "self.a#(1.5)", ["m.a#.value = 3.0"]),
    "partial": ([], ["self.a# = functools.partial(pow, 2.0)"], "self.a#(2)", ["m.a# = functools.partial(pow, 3.0)"]),
    "tensor by item": (
        [],
        ["self.a# = torch.tensor(2.0)"],
        "self.a#.item()",
        ["m.a#.fill_(3.0)", "m.a# = torch.ones(())"],
    ),
    "tensor by list": ([], ["self.a# = torch.ones(2)"], "self.a#.tolist()[0]", ["m.a#[0] = 3.0"]),
    "buffer by float": ([], ["self.register_buffer('a#', torch.ones(()))"], "float(self.a#)", ["m.a#.fill_(3.0)"]),
    "closure": (
        ["def make#(k):\n    def get():\n        return k[0]\n    return get, k\nget#, cell# = make#([2.0])"],
        ["self.a# = get#"],
        "self.a#()",
        ["cell#[0] = 3.0"],
    ),
    "default": (["def f#(k=2.0):\n    return k"], ["self.a# = f#"], "self.a#()", ["f#.__defaults__ = (3.0,)"]),
    "keyword default": (
        ["def f#(*, k=2.0):\n    return k"],
        ["self.a# = f#"],
        "self.a#()",
        ["f#.__kwdefaults__ = {'k': 3.0}"],
    ),
    "code": (["def f#():\n    return 2.0"], [], "f#()", ["f#.__code__ = (lambda: 3.0).__code__"]),
    "function attribute": (["def f#():\n    return f#.k\nf#.k = 2.0"], [], "f#()", ["f#.k = 3.0"]),
    "global": (["G# = 2.0"], [], "G#", ["G# = 3.0", "G# = -0.0"]),
    "global list": (["G# = [2.0]"], [], "G#[0]", ["G#[0] = 3.0"]),
    "class attribute": ([], [], "getattr(type(self), 'c#', 2.0)", ["Fuzzed.c# = 3.0"]),
    "method": (
        ["class Mixed#:\n    def get(self):\n        return 2.0"],
        ["self.a# = Mixed#()"],
        "self.a#.get()",
        ["Mixed#.get = lambda self: 3.0", "m.a#.get = lambda: 4.0"],
    ),
    "dynamic name": (
        [],
        ["self.a# = 2.0", "self.b# = 3.0", "self.n# = 'a#'"],
        "getattr(self, self.n#)",
        ["m.n# = 'b#'", "m.a# = 0.5"],
    ),
    "property": (
        [],
        ["type(self).r# = property(lambda self: 2.0)"],
        "self.r#",
        ["Fuzzed.r# = property(lambda self: 3.0)"],
    ),
}
# name: (setup, use, events)
HOOKS = {
    "quantity": (
        ["self.h# = tdn.Real(tdn.Learned(0.9)).to(torch.WIDE)"],
        "{f} * self.h#()",
        ["handle = m.h#.register_forward_hook(lambda m, i, o: o * 2)", "m.h#.raw.requires_grad_(False)"],
    ),
    "child": (
        ["self.h# = Scale(2.0)"],
        "self.h#({f})",
        [
            "handle = m.h#.register_forward_hook(lambda m, i, o: o * 2)",
            "handle = m.h#.register_forward_hook(lambda m, i, o: o * 2); call(2); handle.remove()",
            "handle = m.h#.register_forward_pre_hook(lambda m, i: (i[0] + 1,))",
            "handle = m.h#.register_full_backward_hook(lambda m, i, o: (i[0] * 2,))",
            "m.h#.factor = 3.0",
            "m.h# = Scale(0.5)",
            "m.h# = nn.ReLU()",
            "m.h#.forward = lambda x: x * 4",
        ],
    ),
    "parameter": (
        ["self.h# = nn.Parameter(torch.tensor(0.7))"],
        "{f} * self.h#",
        [
            "parametrize.register_parametrization(m, 'h#', Scale(3.0))",
            "m.h#.requires_grad_(False)",
            "m.h#.data.fill_(0.3)",
            "m.h# = nn.Parameter(torch.tensor(0.2))",
            "handle = m.h#.register_hook(lambda g: g * 2)",
        ],
    ),
    "buffer": (
        ["self.register_buffer('h#', torch.tensor(0.7))"],
        "{f} * self.h#",
        ["m.h# = torch.tensor(0.2)", "m.h# = torch.tensor(0.1, dtype=torch.float64)", "m.h#.requires_grad_(True)"],
    ),
}
SHAPES = [
    "{f} / x0.shape[0]",
    "{f} * len(x0)",
    "{f} + x0.numel()",
    "{f} * x0.size(-1)",
    "{f} * (2.0 if x0.shape[0] > 2 else 3.0)",
    "{f} * (2.0 if x0.ndim > 2 else 3.0)",
    "{f} * (2.0 if x0.sum() > 0 else 3.0)",
    "{f} * (2.0 if bool((x0 > -9).all()) else 3.0)",
    "{f} * x0.max().item()",
    "{f} * x0.tolist()[0][0]",
    "{f} * float(x0.detach().float().numpy().max())",
    "{f} * (2.0 if x0.is_contiguous() else 3.0)",
    "{f} * x0.stride(0)",
    "{f} * (2.0 if x0.requires_grad else 3.0)",
    "{f} - {f}.mean()",
    "{f} * torch.ones(x0.shape, dtype=x0.dtype)",
    "{f} * (2.0 if x0.flatten()[0] > 0 else 3.0)",
]
# (use, events)
MODES = [
    ("{f} * (2.0 if self.training else 3.0)", ["m.eval()", "m.train(not m.training)"]),
    ("{f} * (2.0 if torch.is_grad_enabled() else 3.0)", ["m.train()"]),
    ("{f} * (2.0 if torch.get_default_dtype() == torch.float32 else 3.0)", ["torch.set_default_dtype(torch.float64)"]),
    ("{f} * torch.tensor(0.1)", ["torch.set_default_dtype(torch.float64)", "torch.set_default_dtype(torch.bfloat16)"]),
    ("{f} * (2.0 if torch.is_autocast_enabled('cpu') else 3.0)", ["m.train()"]),
    ("{f} * (2.0 if torch.is_inference_mode_enabled() else 3.0)", ["m.train()"]),
]


def change(choose: random.Random, k: int, group: str, wide: str) -> Change:
    """A random thing that a step reads; its names carry the number ``k``. ``wide`` is the type of quantities."""
    if group == "attributes":
        before, setup, number, events = choose.choice(list(ATTRIBUTES.values()))
        return _numbered(k, before, setup, "{f} * " + number, events, number)
    if group == "hooks":
        setup, use, events = choose.choice(list(HOOKS.values()))
        setup = [line.replace("WIDE", wide) for line in setup]
        return _numbered(k, [], setup, use, events)
    if group == "shapes":
        return _numbered(k, [], [], choose.choice(SHAPES), ["m.train()"])
    use, events = choose.choice(MODES)
    return _numbered(k, [], [], use, events)


def _numbered(k: int, before: list, setup: list, use: str, events: list, number: str | None = None) -> Change:
    def fill(lines: list[str]) -> list[str]:
        return [line.replace("#", str(k)) for line in lines]

    return Change(
        fill(before), fill(setup), use.replace("#", str(k)), fill(events), number and number.replace("#", str(k))
    )


def number(choose: random.Random, changes: list[Change]) -> str | None:
    """Now and then one of the numbers that change."""
    numbers = [found.number for found in changes if found.number]
    return choose.choice(numbers) if numbers and choose.random() < 0.15 else None
