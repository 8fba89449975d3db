"""A random program, tried out line by line, so that it runs."""

import random
import re
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from .changes import Change, change, number
from .expressions import DTYPES, constant, template
from .program import HEAD, Program
from .run import fuses

KINDS = ("special", "layouts", "absent", "second", "attributes", "hooks", "shapes", "modes", "refused")
"""What may be in a program besides operations; a search can do without each. ``refused``: what cannot fuse."""


def generate(seed: int, dtype: str, kinds: tuple[str, ...] = KINDS) -> Program:
    """The program of a seed."""
    return _Generator(random.Random(f"{seed} {dtype}"), dtype, kinds).program()


class _Generator:
    def __init__(self, choose: random.Random, dtype: str, kinds: tuple[str, ...]):
        self.choose, self.dtype, self.kinds = choose, dtype, kinds
        self.wide = "float64" if dtype == "float64" else "float32"
        self.space: dict = {}
        exec(HEAD, self.space)
        self.tensors: list[str] = []
        self.before: list[str] = []
        self.setup: list[str] = []
        self.statements: list[str] = []
        self.changes: list[Change] = []
        self.rows = False  # whether an operand has a number for each row

    def program(self) -> Program:
        choose = self.choose
        frame = choose.choice([(3, 5)] * 4 + [(2, 3, 2, 2), (1, 4), (2, 130), (4,)])
        inputs = [self.dtype]
        while choose.random() < 0.35:
            inputs.append(choose.choice([self.dtype, self.wide, "bfloat16", "float32", "float64"]))
        states = [self._state_dtype() for _ in range(choose.choice([0, 1, 1, 2, 2, 3]))]
        self.holder = self.space["self"] = torch.nn.Module()
        self.begun = Program(
            frame, tuple(inputs), tuple((f"s{k}", kind, f"s{k}") for k, kind in enumerate(states)), (), (), (), (), ()
        )
        generator = torch.Generator().manual_seed(0)
        for name, kind in [(f"x{k}", d) for k, d in enumerate(inputs)] + [(f"s{k}", d) for k, d in enumerate(states)]:
            start = torch.randn(frame, generator=generator, dtype=torch.float64)
            self._know(name, start.to(getattr(torch, kind)))
        self.operands = [self._operand(k, frame) for k in range(choose.choice([0, 1, 2, 3]))]
        wanted = choose.randint(6, 22)
        for part in (wanted // 2, wanted):
            for _ in range(8 * wanted):
                if len(self.statements) < part:
                    self._statement()
            if part < wanted:
                seen = self._captured()
        results = [name for name in self.tensors if self.space[name].shape == frame]
        fresh = [name for name in results if name.startswith("v")] or results
        outputs = choose.sample(fresh, min(len(fresh), choose.choice([1, 1, 2, 3])))
        outputs += [name for name in seen if name in results and name not in outputs]
        after = [(f"s{k}", kind, self._next(k, kind, fresh)) for k, kind in enumerate(states)]
        program = Program(
            frame=frame,
            inputs=tuple(inputs),
            states=tuple(after),
            before=tuple(self.before),
            setup=tuple(self.setup),
            statements=tuple(self.statements),
            outputs=tuple(outputs),
            events=(),
        )
        return replace(program, events=tuple(self._events(program)))

    def _state_dtype(self) -> str:
        return self.choose.choice([self.wide] * 8 + ["float64", "float32", "bfloat16", "bool", "uint8", self.dtype])

    def _know(self, name: str, value: Tensor) -> None:
        self.space[name] = value
        self.tensors.append(name)

    def _operand(self, k: int, frame: tuple[int, ...]) -> str:
        """A parameter, a buffer or a quantity of the module."""
        choose = self.choose
        shapes = [(), (1,), frame[-1:], (1, frame[-1]), frame, (*frame[:1], *[1] * (len(frame) - 1)), (*frame[1:-1], 1)]
        shape = choose.choice(shapes)
        self.rows |= len(shape) == len(frame) and shape[0] > 1
        kind = choose.choice([self.wide] * 4 + [self.dtype, "float64", "float32", "bfloat16"])
        numbers = f"torch.linspace({choose.choice([0.3, -0.8])}, 1.4, {torch.Size(shape).numel()}).reshape({shape})"
        value = f"{numbers}.to(torch.{kind})"
        if choose.random() < 0.2:
            value = f"torch.tensor({constant(choose)}, dtype=torch.{kind})"
        how = choose.random()
        if how < 0.15:
            self.setup.append(
                f"self.q{k} = tdn.Real(tdn.Learned({choose.choice([0.9, 0.1, -1.7])}, )).to(torch.{self.wide})"
            )
            name = f"self.q{k}()"
        else:
            line = f"self.p{k} = nn.Parameter({value})" if how < 0.7 else f'self.register_buffer("p{k}", {value})'
            self.setup.append(line)
            name = f"self.p{k}"
        exec(self.setup[-1], self.space)
        return name

    def _captured(self) -> list[str]:
        """Statements that read what may change; their names."""
        seen: list[str] = []
        groups = [kind for kind in ("attributes", "hooks", "shapes", "modes") if kind in self.kinds]
        for k in range(self.choose.choice([0, 1, 1, 2]) if groups else 0):
            found = change(self.choose, k, self.choose.choice(groups), self.wide)
            self.changes.append(found)
            self.before += found.before
            self.setup += found.setup
            for line in found.before:
                exec(line, self.space)
            for line in found.setup:
                exec(line, self.space)
            seen.append(f"v{len(self.statements)}")
            self._try(seen[-1], found.use)
        return seen

    def _statement(self) -> None:
        name = f"v{len(self.statements)}"
        self._try(name, template(self.choose))

    def _try(self, name: str, text: str) -> None:
        for _ in range(4):
            line = re.sub(r"\{(\w)\}", lambda slot: self._fill(slot.group(1), name), text)
            if "?" in line:
                return
            line = line if line.startswith(f"{name} =") else f"{name} = {line}"
            space = dict(self.space)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    exec(line, space)
            except Exception:
                continue
            value = space.get(name)
            if not isinstance(value, Tensor) or value.is_complex():
                continue
            bad = value.is_floating_point() and value.isfinite().double().mean() < 0.5
            if bad and self.choose.random() < 0.8:
                continue
            if "refused" not in self.kinds and not self._fuses(name, line, value):
                continue
            self._know(name, value)
            self.statements.append(line)
            return

    def _fuses(self, name: str, line: str, value: Tensor) -> bool:
        """Whether the step so far fuses with one more line."""
        lines = {"before": self.before, "setup": self.setup, "statements": [*self.statements, line]}
        outputs = (name if value.shape == self.begun.frame else "x0",)
        return fuses(replace(self.begun, outputs=outputs, **{k: tuple(found) for k, found in lines.items()}))

    def _fill(self, slot: str, name: str) -> str:
        choose = self.choose
        if slot == "c":
            return number(choose, self.changes) or constant(choose)
        if slot == "d":
            return choose.choice(DTYPES)
        if slot == "v":
            return name
        if slot == "p":
            return choose.choice(self.operands) if self.operands else self._fill("f", name)
        fits = [n for n in self.tensors if slot == "t" or (self.space[n].dtype == torch.bool) == (slot == "b")]
        if slot == "f":
            fits = [n for n in fits if self.space[n].is_floating_point()]
        if not fits:
            return "?"
        return fits[max(choose.randrange(len(fits)), choose.randrange(len(fits)))]

    def _next(self, k: int, kind: str, names: list[str]) -> str:
        """The next value of a state: something bounded, or a state passed through."""
        choose = self.choose
        if choose.random() < 0.12:
            return f"s{k}"
        name = choose.choice(names)
        if kind in ("bool", "uint8"):
            return f"({name} > 0.1).to(torch.{kind})"
        if self.space[name].dtype == getattr(torch, kind) and choose.random() < 0.3:
            return name
        return f"torch.tanh({name} * 1.0).to(torch.{kind})"

    def _events(self, program: Program) -> list[str]:
        events = []
        for k in range(self.choose.randint(1, 3)):
            events.append(self._call(program, k))
            if self.changes and self.choose.random() < 0.9:
                event = self.choose.choice(self.choose.choice(self.changes).events)
                events += [event, self._call(program, k)]
        return events

    def _call(self, program: Program, seed: int) -> str:
        choose, options = self.choose, {"seed": seed}
        if choose.random() < 0.3:
            options["state"] = bool(program.states)
        if choose.random() < 0.2:
            options["grad"] = False
        if "special" in self.kinds and choose.random() < 0.3:
            options["violent"] = True
        if "layouts" in self.kinds and choose.random() < 0.3:
            layouts = ["strided", "reversed axes", "channels last", "constant in time", "constant in a frame"]
            options["layout"] = choose.choice(layouts)
        if choose.random() < 0.1:
            options["output_dtype"] = f"torch.{choose.choice(DTYPES)}"
        if "layouts" in self.kinds and choose.random() < 0.1 and not self.rows:
            options["frame"] = (choose.choice([0, 1, 7]), *program.frame[1:])
        if options.get("grad", True) and not options.get("violent"):
            if "absent" in self.kinds and choose.random() < 0.2:
                options["use"] = (choose.randrange(2),)
            if "second" in self.kinds and choose.random() < 0.35:
                options["second"] = True
                if choose.random() < 0.3:
                    options["gone"] = True
                elif self.changes and choose.random() < 0.5:
                    options["between"] = choose.choice(choose.choice(self.changes).events)
            if "second" in self.kinds and choose.random() < 0.15:
                options["jacobian"] = True
        if "modes" in self.kinds and choose.random() < 0.15:
            contexts = ["torch.autocast('cpu', torch.bfloat16)", "torch.inference_mode()"]
            options["context"] = choose.choice(contexts)
            if "inference" in options["context"]:
                options["grad"] = False
        text = ", ".join(f"{k}={v if k == 'output_dtype' else repr(v)}" for k, v in options.items())
        return f"call({choose.choice([1, 2, 3, 11])}, {text})"
