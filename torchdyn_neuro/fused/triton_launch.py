"""From the source of a Triton kernel to a call of it."""

import hashlib
import linecache
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_FEW_ELEMENTS = 1 << 16
"""Below it a card has threads to spare: a block of one warp spreads them over more of it."""


def load_kernel(source: str) -> Callable:
    """The jitted function ``run`` of a module, which exists in memory only; Triton keeps what it compiles on disk."""
    name = f"<torchdyn_neuro {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
    # Triton reads the source of a function again by its file name.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    module: dict = {"__name__": name}
    exec(compile(source, name, "exec"), module)
    return module["run"]


class TritonKernel:
    """One loop over time, ready to be called with tensors and sizes as the C++ one is.

    Args:
        source: what :mod:`torchdyn_neuro.fused.triton` has emitted.
    """

    def __init__(self, source: str):
        self.run = load_kernel(source)
        names = list(self.run.arg_names)
        self.flags = [name for name in names if name.startswith("HAS_")]
        self.replays = "REPLAY" in names
        self.rooms = [name for name in names if name.startswith("w") and name[1:].isdigit()]
        self.tensors = [name for name in names[: names.index("T")] if name not in self.rooms]

    def __call__(self, tensors: Sequence[Tensor | None], sizes: Sequence[int]) -> None:
        """Run on the stream in force; ``None`` stands for a tensor that is absent."""
        steps, elements, every, threads, *layout = sizes
        given = dict(zip(self.tensors, tensors, strict=True))
        present = next(tensor for tensor in tensors if tensor is not None)
        constants = {flag: given[flag.removeprefix("HAS_")] is not None for flag in self.flags}
        rooms = []
        if self.replays:
            # With a checkpoint at every step nothing is left to be computed again: one segment, whose states they are.
            constants["REPLAY"] = every > 1
            for name in self.rooms:
                saved = given["saved" + name[1:]]
                rooms.append(saved.new_empty(min(every, steps) * elements) if every > 1 else saved)
            every = every if every > 1 else steps
        block = 32 if elements < _FEW_ELEMENTS else 128
        if present.device.type == "cpu":
            block = 1 << (elements - 1).bit_length()  # the interpreter takes a block at a time, whatever its size
        # An absent tensor is a pointer that the flag keeps from being followed.
        pointers = [present if tensor is None else tensor for tensor in tensors]
        with torch.cuda.device_of(present):
            self.run[(-(-elements // block),)](
                *pointers,
                *rooms,
                *(steps, elements, every, threads, *layout),
                **constants,
                BLOCK=block,
                **({} if present.device.type == "cpu" else {"num_warps": block // 32, "enable_fp_fusion": False}),
            )
