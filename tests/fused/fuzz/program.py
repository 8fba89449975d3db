"""A user's dynamics and what happens to them, as text that can be printed, shortened and pasted."""

import re
from dataclasses import dataclass

HEAD = """\
import functools
from decimal import Decimal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves

nan, inf = float("nan"), float("inf")


class Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, width):
        ctx.save_for_backward(x)
        ctx.width = width
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient / (1 + (ctx.width * x) ** 2), None


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Box:
    def __init__(self, value):
        self.value = value

    def get(self):
        return self.value

    def __call__(self, x):
        return x * self.value

"""


@dataclass(frozen=True)
class Program:
    """One class and the events of its life.

    Args:
        frame: sizes of a frame [B, \\*] where a call names no other.
        inputs: the names of the types of the inputs ``x0``, ``x1``, ...
        states: for each state its name, its type and the expression of the next.
        before: lines ahead of the class.
        setup: lines of ``__init__``.
        statements: lines of ``step``, each ``v... = ...``.
        outputs: expressions of the outputs.
        events: lines in which ``m`` is the module and ``call(...)`` runs it.
    """

    frame: tuple[int, ...]
    inputs: tuple[str, ...]
    states: tuple[tuple[str, str, str], ...]
    before: tuple[str, ...]
    setup: tuple[str, ...]
    statements: tuple[str, ...]
    outputs: tuple[str, ...]
    events: tuple[str, ...]

    def module_source(self) -> str:
        """The text of the class."""
        zeros = [f"torch.zeros_like(x_t[0], dtype=torch.{dtype})" for _, dtype, _ in self.states]
        inputs = ", ".join(f"x{k}" for k in range(len(self.inputs)))
        lines = [
            *self.before,
            "",
            "",
            "class Fuzzed(tdn.Dynamics):",
            "    def __init__(self):",
            "        super().__init__()",
            *(f"        {line}" for line in self.setup),
            "",
            "    def initial_state(self, x_t):",
            f"        return {_tuple(zeros)}",
            "",
            "    def step(self, x_t, state):",
            f"        ({inputs},) = x_t",
        ]
        if self.states:
            lines.append(f"        ({', '.join(name for name, _, _ in self.states)},) = state")
        lines += [f"        {line}" for line in self.statements]
        lines.append(f"        return {_tuple(self.outputs)}, {_tuple([after for _, _, after in self.states])}")
        return HEAD + "\n".join(lines) + "\n"

    def describe(self) -> str:
        """What is printed of a program, without the head that all share."""
        head = f"frame {self.frame}, inputs {self.inputs}"
        return "\n".join([head, self.module_source()[len(HEAD) :], "# events", *self.events])

    def names_used(self) -> set[str]:
        """All names in the step."""
        texts = [*self.statements, *self.outputs, *(after for _, _, after in self.states), *self.events]
        return set(re.findall(r"\b[A-Za-z_]\w*\b", " ".join(texts)))


def _tuple(items: list[str] | tuple[str, ...]) -> str:
    return "(" + "".join(f"{item}, " for item in items).rstrip(" ") + ")"
