"""Kernels of the cells, compiled for sm_90 without a card; ``test_triton.py`` starts this with an empty cache.

The test suite compiles the longest kernels and one of each type of numbers, ``benchmarks/gpu.sh`` all of them.
"""

import os

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves, map_state

from .cells import Example, composed, shipped
from .offline_compile import assembler, launched, launches_of, spills_and_registers
from .operations import FUNCTIONS
from .test_products import CASES as NETWORKS
from .test_products import drive

EVERY = "TORCHDYN_NEURO_EVERY_KERNEL" in os.environ
LONGEST = 6
"""Kernels by the length of their text: registers hold what a kernel computes, and a short one computes little."""
ALWAYS = (
    "LIF",
    "bfloat16 LIF",
    "float16 SynapticLIF",
    "float64 LIF",
    "LIF without gradient, output torch.bool",
    "gated",
)
"""One for each type of numbers, both ways, without a gradient, and beside products."""


def narrow(dtype, module):
    return Example(module, (3 * torch.rand(9, 2, 5)).to(dtype))


EXAMPLES = {
    **shipped(torch.float32),
    **composed(torch.float32),
    "bfloat16 LIF": narrow(torch.bfloat16, tdn.LIF(tau_mem=tdn.Learned(5.0))),
    "bfloat16 ALIF": narrow(torch.bfloat16, tdn.ALIF()),
    "bfloat16 LeakyIntegrator": narrow(torch.bfloat16, tdn.LeakyIntegrator(tau_mem=tdn.Learned(5.0))),
    "float16 SynapticLIF": narrow(torch.float16, tdn.SynapticLIF()),
    "float64 LIF": narrow(torch.float64, tdn.LIF().double()),
}
# Their segments have no backward loop of their own.
SEGMENTS = {
    name: Example(NETWORKS[name]().float(), drive(name, 9, 2, 13).float()) for name in ("rate, rk4", "noise", "gated")
}
LAUNCHES = {name: launches_of(example) for name, example in EXAMPLES.items()}
BOTH_WAYS = ("LIF", "HodgkinHuxley", "GLIF", "noise that a user wrote", "bfloat16 LIF", "float64 LIF")
KERNELS = {}
"""By the code that they run: cells of one equation share kernels. A backward pass holds the forward one: of most cells
it is enough."""
for name, launches in LAUNCHES.items():
    for launch in launches:
        if launch.direction == "backward" or name in BOTH_WAYS:
            KERNELS.setdefault(launch.key(), (name, launch))
for name, example in SEGMENTS.items():
    for launch in launches_of(example):
        KERNELS.setdefault(launch.key(), (name, launch))
for name, output_dtype in (("LIF", None), ("HodgkinHuxley", None), ("LIF", torch.bool), ("LIF", torch.uint8)):
    options = {} if output_dtype is None else {"output_dtype": output_dtype}
    for launch in launches_of(EXAMPLES[name], training=False, **options):
        KERNELS.setdefault(launch.key(), (f"{name} without gradient, output {output_dtype}", launch))


SHORTEST = sorted(len(launch.kernel.src) for _, launch in KERNELS.values())[-LONGEST]
CHOSEN = [
    (name, launch) for name, launch in KERNELS.values() if EVERY or name in ALWAYS or len(launch.kernel.src) >= SHORTEST
]


@pytest.mark.parametrize("launch", [pytest.param(launch, id=f"{name}, {launch.direction}") for name, launch in CHOSEN])
def test_no_kernel_spills(launch):
    spilled, registers = spills_and_registers(launch)
    # The assembler of CUDA 12.8, which triton 3.5 and 3.6 bring, keeps up to two numbers in memory for one more block
    # on a processor: each is 4 bytes stored and 4 loaded.
    assert spilled <= (16 if assembler() < (12, 9) else 0)
    assert registers <= 168  # three blocks of 128 threads on a processor at least


def test_every_cell_is_there_in_both_directions():
    for name, launches in LAUNCHES.items():
        # A recurrent layer is cut into segments, which have no backward loop of their own.
        assert {launch.direction for launch in launches} == {"forward", *["backward"] * (name != "Recurrent")}
    assert len(LAUNCHES) > 35
    assert len(LAUNCHES["Recurrent"]) > 2
    assert all(len(launches_of(example)) > 2 for example in SEGMENTS.values())
    assert {"LIF", "HodgkinHuxley", "TwoCompartment", "Recurrent", "Chain"} <= LAUNCHES.keys()


FEW = [(name, 10) for name in ("LIF", "TwoCompartment", "bfloat16 LIF", "rate, rk4", "Recurrent")]


@pytest.mark.parametrize(("name", "elements"), [*FEW, ("Recurrent", 1 << 17)])
def test_a_launch_as_on_a_card(name, elements):
    """Everything that Triton checks before it launches: arguments and options, blocks for few elements and many."""
    module, x = (EXAMPLES | SEGMENTS)[name]
    if elements > 10:
        x = map_state(lambda leaf: leaf.repeat(1, elements // leaf[0].numel() + 1, *[1] * (leaf.ndim - 2)), x)
    x = map_state(lambda leaf: leaf.detach().requires_grad_(), x)
    with launched() as compiled, tdn.backend("triton"):
        results = leaves(module.scan(x))
        ends = [result.double().sum() for result in results if result.requires_grad]
        torch.autograd.grad(sum(ends), [*leaves(x), *module.parameters()], allow_unused=True)
    assert len({kernel.hash for kernel in compiled}) > 1
    assert all("cubin" in kernel.asm for kernel in compiled)
    assert {kernel.metadata.num_warps for kernel in compiled} == {1 if elements == 10 else 4}


def test_a_launch_with_strides_beyond_32_bits():
    stride = 2**31 + 8
    x = torch.empty(2 * stride + 4, dtype=torch.bfloat16).as_strided((3, 1, 4), (stride, 4, 1))
    with launched() as compiled, tdn.backend("triton"), torch.no_grad():
        tdn.LIF()(x)
    assert "i64" in str(compiled[0].src.signature.values())


class Everything(tdn.Dynamics):
    """Half of the operations of the table in one step; a card has functions for them that the interpreter has not."""

    def __init__(self, part: int):
        super().__init__()
        self.p, self.part = tdn.core.Real(tdn.Learned(1.5)), part

    def initial_state(self, x_t: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.zeros_like(x_t),)

    def step(self, x_t: torch.Tensor, state: tuple[torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        functions = list(FUNCTIONS.values())[self.part :: 2]
        y = sum(function(x_t + state[0], self.p()) for function, _ in functions)
        return y, (torch.tanh(y),)


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_operation_compiles_for_a_card(dtype, part):
    x = torch.rand(3, 2, 5, dtype=dtype, requires_grad=True)
    with launched() as compiled, tdn.backend("triton"):
        Everything(part).to(dtype)(x).sum().backward()
    assert len(compiled) == 2
    assert all("cubin" in kernel.asm for kernel in compiled)
