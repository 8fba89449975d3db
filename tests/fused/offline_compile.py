"""Compiles the kernels that a module launches for a card that is not there, and reads what the assembler says."""

import contextlib
import functools
import inspect
import io
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource
from triton.runtime import JITFunction, driver

from torchdyn_neuro.core.state import leaves, map_state
from torchdyn_neuro.core.time_loop import backend
from torchdyn_neuro.fused.triton import kernels

from .cells import Example

_POINTERS = {
    torch.float64: "*fp64",
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.uint8: "*u8",
    torch.bool: "*i1",
    torch.int64: "*i64",
}


@dataclass(frozen=True)
class Launch:
    """A kernel as it would be started.

    Args:
        kernel: the jitted function.
        pointers: the types of its tensors.
        flags: its constants, but for the size of a block.
    """

    kernel: Callable
    pointers: tuple[str, ...]
    flags: tuple[tuple[str, bool], ...]

    @property
    def direction(self) -> str:
        """Forward or backward."""
        return "backward" if "place" in self.kernel.src else "forward"

    def key(self) -> tuple:
        """Equal for launches that run the same code."""
        return self.kernel.src, self.pointers, self.flags


@contextlib.contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Write launches down instead of doing them; the results are whatever the buffers held."""
    launches, launch = [], kernels._launch

    def write_down(
        known: dict,
        kernel: Callable,
        shape: Sequence[int],
        tensors: Sequence[Tensor | None],
        layout: Sequence[int],
        flags: dict[str, bool],
    ) -> None:
        present = next(tensor for tensor in tensors if tensor is not None)
        types = tuple(_POINTERS[(present if tensor is None else tensor).dtype] for tensor in tensors)
        launches.append(Launch(kernel, types, tuple(flags.items())))

    kernels._launch = write_down
    try:
        yield launches
    finally:
        kernels._launch = launch


def launches_of(example: Example, *, training: bool = True, **options: Any) -> list[Launch]:
    """The different kernels of ``scan``, called with ``options``, and in training of the backward pass after it."""
    module, x = example
    with recorded() as launches, backend("triton"), torch.set_grad_enabled(training):
        if training:
            x = map_state(lambda leaf: leaf.detach().requires_grad_(), x)
        results = leaves(module.scan(x, **options))
        ends = [result.double().sum() for result in results if result.requires_grad]
        if training:
            torch.autograd.grad(sum(ends), [*leaves(x), *module.parameters()], allow_unused=True)
    return list({launch.key(): launch for launch in launches}.values())


class NoCard:
    """A driver of Triton's that says there is an H100."""

    def get_current_target(self) -> GPUTarget:
        """What the kernels are compiled for."""
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        """The number of the card."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """Nothing is launched on it."""
        return 0


@contextlib.contextmanager
def launched() -> Iterator[list[Any]]:
    """Go through all of a launch as on a card, from the tensors to the machine code, but for the launch itself."""
    compiled, run, block = [], JITFunction.run, kernels._block

    def compile_only(self: JITFunction, *arguments: Any, warmup: bool, **options: Any) -> None:
        compiled.append(run(self, *arguments, warmup=True, **options))

    driver.set_active(NoCard())
    JITFunction.run = compile_only
    kernels._block = lambda elements, *, on_card: block(elements, on_card=True)
    try:
        yield compiled
    finally:
        # The driver stays: there is no other in this process.
        JITFunction.run, kernels._block = run, block


def _ptxas() -> str:
    # Triton 3.5 has one assembler for all cards.
    return get_ptxas(*([90] if inspect.signature(get_ptxas).parameters else [])).path


@functools.cache
def assembler() -> tuple[int, ...]:
    """The version of CUDA that the assembler is from."""
    said = subprocess.run([_ptxas(), "--version"], check=True, capture_output=True, text=True).stdout
    return tuple(map(int, re.search(r"release (\d+)\.(\d+)", said).groups()))


def spills_and_registers(launch: Launch) -> tuple[int, int]:
    """Bytes spilled and registers used per thread on sm_90, in blocks of 128 threads."""
    names = launch.kernel.arg_names
    constants = dict(launch.flags) | {"BLOCK": 128}
    signature = dict.fromkeys(names, "i32") | dict(zip(names, launch.pointers, strict=False))
    signature |= dict.fromkeys(constants, "constexpr")
    # What the assembler of the compilation itself says, so that each kernel is assembled once.
    said, before = io.StringIO(), triton.knobs.nvidia.dump_ptxas_log
    triton.knobs.nvidia.dump_ptxas_log = True
    try:
        with contextlib.redirect_stdout(said):
            triton.compile(
                ASTSource(launch.kernel, signature=signature, constexprs=constants),
                target=GPUTarget("cuda", 90, 32),
                options={"num_warps": 4, "enable_fp_fusion": False},
            )
    finally:
        triton.knobs.nvidia.dump_ptxas_log = before
    report = said.getvalue()
    spilled = sum(int(number) for number in re.findall(r"(\d+) bytes spill", report))
    return spilled, int(re.search(r"Used (\d+) registers", report).group(1))
