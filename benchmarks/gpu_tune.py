"""The block sizes and segment lengths of the Triton kernels: a small sweep, and the line to change if one is better."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from gpu_measure import Setting, measured
from time_loop_cells import AdaptiveSynapticLIF
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.triton import kernels as triton
from torchdyn_neuro.native.compiler import CompilerUnavailableError

_WHERE = "torchdyn_neuro/fused/triton/kernels.py"

GAIN = 1.05
"""How many times faster a choice must be before it is recommended."""
BLOCKS = ((32, 1), (64, 2), (128, 4), (256, 8), (128, 2), (256, 4))
"""Elements of a block and its warps."""
SEGMENTS = (4, 16, 32)


def cases(setting: Setting) -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]]:
    """A model, the shape of its input and the name of its block size: of few elements and of many, small and large."""
    return {
        "LIF, few": (lambda: tdn.LIF(tau_mem=20.0), setting.size((500, 16, 512), (9, 1, 6)), "_FEW"),
        "LIF, many": (lambda: tdn.LIF(tau_mem=20.0), setting.size((100, 256, 4096), (9, 2, 5)), "_MANY"),
        "four states, many": (AdaptiveSynapticLIF, setting.size((100, 64, 4096), (9, 2, 5)), "_MANY"),
    }


def tune(setting: Setting) -> None:
    """Sweep the blocks of each case, then the segments with the best block."""
    if setting.dry:
        setting = replace(setting, backend=_interpreter())
    rows: list[dict[str, Any]] = []
    advice: list[str] = []
    for name, (build, shape, place) in cases(setting).items():
        x = (3 * torch.rand(shape, device=setting.device)).requires_grad_()
        blocks = BLOCKS[:1] if setting.dry else BLOCKS
        current = getattr(triton, place)

        def timed(block: tuple[int, int], segment: int, name=name, build=build, x=x, place=place) -> float:
            kernels = mock.patch.object(triton.TritonKernels, "replayed_rows", segment)
            # Forget the loops, which have chosen their segments.
            known = mock.patch.dict("torchdyn_neuro.fused.operators.registry._loops", clear=True)
            with mock.patch.object(triton, place, block), kernels, known:
                model = build().to(setting.device)
                found = measured(setting, model, x, setting.fused, 1 if setting.dry else 20)
            rows.append(
                {
                    "case": name,
                    "backend": setting.fused,
                    "block": block[0],
                    "warps": block[1],
                    "segment": segment,
                    **found,
                }
            )
            setting.write({"advice": advice, "rows": rows})
            return found["forward ms"] + found["backward ms"]

        rows_now = triton.TritonKernels.replayed_rows
        by_block = {block: timed(block, rows_now) for block in dict.fromkeys((current, *blocks))}
        best = chosen(by_block, current)
        if best != current:
            advice.append(f"{name}: {_WHERE}: {place} = {best}, {_gain(by_block, current, best)}")
        segments = {segment: timed(best, segment) for segment in (SEGMENTS[:1] if setting.dry else SEGMENTS)}
        segments[rows_now] = by_block[best]
        rows_best = chosen(segments, rows_now)
        if rows_best != rows_now:
            gain = _gain(segments, rows_now, rows_best)
            advice.append(f"{name}: {_WHERE}: TritonKernels.replayed_rows = {rows_best}, {gain}")
    setting.write({"advice": advice or ["nothing to change: no choice is 5 % better"], "rows": rows})


def _interpreter() -> str:
    """What a dry run sweeps with: Triton's interpreter, which the newest NumPy breaks in some versions, or C++."""
    try:
        with tdn.backend("triton"):
            tdn.LIF()(torch.zeros(1, 1, 1))
    except CompilerUnavailableError:
        return "cpp"
    return "triton"


def chosen(times: dict[Any, float], current: Any) -> Any:
    """The fastest, if it is so much faster than what is in force that it is worth a change."""
    best = min(times, key=times.__getitem__)
    return best if times[current] > GAIN * times[best] else current


def _gain(times: dict[Any, float], current: Any, best: Any) -> str:
    return f"in place of {current}: {times[current] / times[best]:.2f} times as fast"
