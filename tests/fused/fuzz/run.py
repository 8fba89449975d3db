"""The events of a program under one backend, and what the default backend does otherwise than the eager one."""

import contextlib
import gc
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves

from .program import Program
from .rounding import Rounded

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 255.0)
# What was changed before a backward pass that would need it: the fused loop keeps all of a step together, and refuses
# where the eager one may not meet what was changed, or takes it as it is now.
TOO_LATE = ("modified by an inplace operation", "to be in the backward pass what they were in the forward pass")
VIOLENT = (float("inf"), -float("inf"), float("nan"), 3e38, -1e-38, 1e-45, 40.0)


class Outcome(NamedTuple):
    """What came of one event: a name and a tensor for each result, or an exception; why it did not fuse.

    ``changed``: whether something happened between its forward and its backward pass.
    """

    results: list[tuple[str, Tensor | None]]
    raised: str | None = None
    refusal: str | None = None
    changed: bool = False


def run(program: Program, backend: str, rounded: Rounded | None = None) -> list[Outcome]:
    """The outcomes of all events."""
    space: dict[str, Any] = {"__name__": "fuzzed"}
    outcomes: list[Outcome] = []
    default = torch.get_default_dtype()
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        stack.callback(torch.set_default_dtype, default)
        exec(compile(program.module_source(), "<fuzzed>", "exec"), space)
        space["m"] = space["Fuzzed"]()
        space["call"] = lambda T=3, **options: outcomes.append(
            _Call(program, space, backend, rounded).run(T, **options)
        )
        for event in program.events:
            try:
                exec(event, space)
            except Exception as error:
                outcomes.append(Outcome([], f"{type(error).__name__}: {error}"))
    return outcomes


class _Call:
    def __init__(self, program: Program, space: dict, backend: str, rounded: Rounded | None):
        self.program, self.space, self.backend, self.rounded = program, space, backend, rounded
        self.refusal: str | None = None

    def run(self, T: int, **options: Any) -> Outcome:
        """One call; an exception is a result."""
        changed = bool(options.get("between"))
        try:
            results = self._results(T, **options)
        except Exception as error:
            return Outcome([], f"{type(error).__name__}: {error}", self.refusal, changed)
        return Outcome(results, None, self.refusal, changed)

    def _results(
        self,
        T: int,
        *,
        frame: tuple[int, ...] | None = None,
        seed: int = 0,
        violent: bool = False,
        layout: str = "plain",
        grad: bool = True,
        use: tuple[int, ...] | None = None,
        state: bool = False,
        output_dtype: torch.dtype | None = None,
        second: bool = False,
        jacobian: bool = False,
        between: str = "",
        gone: bool = False,
        context: str = "",
    ) -> list[tuple[str, Tensor | None]]:
        module = self.space["m"]
        frame = frame or self.program.frame
        made = _Numbers(seed, violent)
        xs = [laid_out(made((T, *frame), dtype), layout) for dtype in self.program.inputs]
        start = tuple(made(frame, dtype) for _, dtype, _ in self.program.states) if state else None
        if grad:
            xs = [x.requires_grad_() for x in xs]
            start = start and tuple(s.requires_grad_(s.is_floating_point()) for s in start)
        operands = [x for x in xs if grad]
        operands += [leaf for leaf in (*(start or ()), *module.parameters()) if grad and leaf.requires_grad]
        around = eval(context, self.space) if context else contextlib.nullcontext()
        watching = self.rounded or contextlib.nullcontext()
        with torch.set_grad_enabled(grad), around, watching:
            ys, last = self._scan(module, tuple(xs), start, output_dtype)
            found = [*leaves(ys), *leaves(last)]
            results = [(f"result {k}", y.detach()) for k, y in enumerate(found)]
            if not grad:
                return results
            exec(between, self.space)
            if gone:
                del module
                self.space.pop("m")
                gc.collect()
            wanted = [y for k, y in enumerate(found) if (use is None or k in use) and y.requires_grad]
            if not wanted or not operands:
                # As gradients of zero count those of a result that does not know that it has none.
                return [*results, *((f"gradient {k}", torch.zeros_like(o)) for k, o in enumerate(operands))]
            with self._backward():
                results += self._gradients(wanted, operands, second)
                if jacobian:
                    results += self._jacobian(wanted[0], operands)
        return results

    @contextlib.contextmanager
    def _backward(self):
        if self.rounded is not None:
            self.rounded.backward = True
        yield
        if self.rounded is not None:
            self.rounded.backward = False

    def _scan(self, module: Any, xs: tuple, start: Any, output_dtype: Any) -> tuple:
        if self.backend == "eager":
            with tdn.backend("eager"):
                return module.scan(xs, start, output_dtype=output_dtype)
        try:
            with tdn.backend("cpp"):
                return module.scan(xs, start, output_dtype=output_dtype)
        except tdn.NotPointwise as error:
            self.refusal = str(error)
        return module.scan(xs, start, output_dtype=output_dtype)

    def _gradients(self, wanted: list[Tensor], operands: list[Tensor], second: bool) -> list:
        given = [_weights(y, 1) for y in wanted]
        options = {"allow_unused": True, "materialize_grads": not second, "create_graph": second}
        first = torch.autograd.grad(wanted, operands, given, retain_graph=True, **options)
        results = [
            (f"gradient {k}", torch.zeros_like(o) if g is None else g.detach())
            for k, (g, o) in enumerate(zip(first, operands, strict=True))
        ]
        again = [g for g in first if g is not None and g.requires_grad]
        if second:
            seconds: Any = [None] * len(operands)
            if again:
                given = [_weights(g, 2) for g in again]
                seconds = torch.autograd.grad(again, operands, given, allow_unused=True, retain_graph=True)
            for k, (g, o) in enumerate(zip(seconds, operands, strict=True)):
                results.append((f"second {k}", torch.zeros_like(o) if g is None else g.detach()))
        return results

    def _jacobian(self, y: Tensor, operands: list[Tensor]) -> list:
        rows = torch.eye(y.numel(), dtype=y.dtype)[:4].reshape(-1, *y.shape)
        found = torch.autograd.grad(
            y, operands, rows, is_grads_batched=True, allow_unused=True, materialize_grads=True, retain_graph=True
        )
        return [(f"rows {k}", g.detach()) for k, g in enumerate(found)]


class _Numbers:
    def __init__(self, seed: int, violent: bool):
        self.generator = torch.Generator().manual_seed(seed)
        self.special = torch.tensor(SPECIAL + (VIOLENT if violent else ()), dtype=torch.float64)

    def __call__(self, shape: tuple[int, ...], dtype: str) -> Tensor:
        plain = 1.5 * torch.randn(shape, generator=self.generator, dtype=torch.float64)
        chosen = self.special[torch.randint(len(self.special), shape, generator=self.generator)]
        mixed = torch.where(torch.rand(shape, generator=self.generator) < 0.2, chosen, plain)
        kind = getattr(torch, dtype)
        return (mixed if kind.is_floating_point else mixed.nan_to_num(0, 3, 3).clamp(0, 3)).to(kind)


def laid_out(x: Tensor, layout: str) -> Tensor:
    """Equal numbers (but for ``expanded``), otherwise in memory."""
    if layout == "strided":
        return torch.stack([x, x], dim=-1)[..., 0].detach()
    if layout == "reversed axes":
        axes = [0, *range(x.ndim - 1, 0, -1)]
        back = sorted(range(x.ndim), key=axes.__getitem__)
        return x.permute(axes).contiguous().permute(back).detach()
    if layout == "channels last":
        return torch.stack([frame.movedim(1, -1).contiguous().movedim(-1, 1) for frame in x]).detach()
    if layout == "constant in time":
        return x[:1].expand(x.shape).detach()
    if layout == "constant in a frame":
        return x[..., :1].expand(x.shape).detach()
    return x


def _weights(like: Tensor, shift: int) -> Tensor:
    count = torch.arange(like.numel(), dtype=torch.float64).reshape(like.shape)
    return torch.sin(shift * count + shift).to(like.dtype)


def fuses(program: Program) -> bool:
    """Whether a step is recorded, with gradients wanted; nothing is compiled."""
    space: dict[str, Any] = {"__name__": "fuzzed"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(program.module_source(), "<fuzzed>", "exec"), space)
        xs = [_Numbers(0, False)((1, *program.frame), dtype) for dtype in program.inputs]
        with tdn.backend("cpp"):
            return tdn.why_eager(space["Fuzzed"](), tuple(x.requires_grad_() for x in xs)) is None


def difference(program: Program, reasons: Counter | None = None) -> str | None:
    """How the default backend differs from the eager one, if it does; ``reasons`` counts fused calls and refusals."""
    exact = run(program, "eager")
    fused = run(program, "auto")
    if reasons is not None:
        reasons.update(outcome.refusal or "fused" for outcome in fused if outcome.raised is None)
    for moved in (3, 24):
        trials = [run(program, "eager", Rounded(seed)) for seed in range(moved)]
        found = _compared(exact, fused, trials)
        if found is None:
            return None
        if found.startswith("raises"):
            return found
    return found


def _compared(exact: list[Outcome], fused: list[Outcome], trials: list[list[Outcome]]) -> str | None:
    for k, (one, other) in enumerate(zip(exact, fused, strict=False)):
        if (one.raised is None) != (other.raised is None):
            if one.raised is None and other.changed and any(text in other.raised for text in TOO_LATE):
                continue
            return f"raises in event {k}: eager {one.raised}, fused {other.raised}"
        moved = [dict(trial[k].results) for trial in trials]
        assert all(trial[k].raised is None for trial in trials) or one.raised, [trial[k].raised for trial in trials]
        theirs = dict(other.results)
        for name, expected in one.results:
            got = theirs.get(name, torch.zeros_like(expected))
            found = compare(expected, got, [m[name] for m in moved if name in m])
            if found:
                return f"{name} of call {k} {found}"
    return None if len(exact) == len(fused) else "raises: another number of events"


def compare(expected: Tensor, got: Tensor, moved: list[Tensor]) -> str | None:
    """How ``got`` is not what was expected, nor what the moved runs allow."""
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return f"is {got.dtype} {tuple(got.shape)}, eager {expected.dtype} {tuple(expected.shape)}"
    a, b = expected.double(), got.double()
    others = torch.stack([expected, *moved]).double()
    low, high = others.nan_to_num(0, 0, 0).amin(0), others.nan_to_num(0, 0, 0).amax(0)
    # Where rounding decides whether there is a number at all, nothing is said.
    unsure = (others.isfinite() != a.isfinite()).any(0) | ((others != a) & ~others.isfinite() & ~others.isnan()).any(0)
    eps = torch.finfo(expected.dtype).eps if expected.dtype in (torch.float32, torch.float64) else 0.0
    tiny = torch.finfo(torch.float32).tiny if expected.is_floating_point() else 0.0
    slack = 8 * (high - low) + 8 * eps * a.abs() + tiny
    equal = (a == b) | (a.isnan() & b.isnan()) | ((a - b).abs() <= slack) | unsure
    if equal.all():
        return None
    places = (~equal).nonzero().tolist()
    first = tuple(places[0])
    return f"{list(first)} is {got[first].item()!r}, eager {expected[first].item()!r} ({len(places)} of {a.numel()})"


def interesting(kind: str) -> Callable[[Program], bool]:
    """Whether a program still shows a difference of this kind: the first word of what differs."""

    def still(program: Program) -> bool:
        try:
            found = difference(program)
        except Exception:
            return False
        return found is not None and found.split()[0] == kind

    return still
