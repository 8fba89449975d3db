"""Compiles emitted Triton kernels for a card that is not there, and reads what the assembler says of them."""

import re
import subprocess
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from torchdyn_neuro.fused.triton import load_kernel

_POINTERS = {
    torch.float64: "*fp64",
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.uint8: "*u8",
}


def spills_and_registers(source: str, dtype: torch.dtype = torch.float32) -> tuple[int, int]:
    """Bytes spilled and registers used per thread on sm_90, all tensors being of one type and all flags set."""
    kernel = load_kernel(source)
    names = list(kernel.arg_names)
    sizes = names.index("T")
    constants = {name: True for name in names if name.startswith("HAS_") or name == "REPLAY"} | {"BLOCK": 128}
    signature = {name: _POINTERS[dtype] if k < sizes else "i32" for k, name in enumerate(names)}
    signature |= dict.fromkeys(constants, "constexpr")
    compiled = triton.compile(
        ASTSource(kernel, signature=signature, constexprs=constants),
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": 4, "enable_fp_fusion": False},
    )
    with tempfile.TemporaryDirectory() as folder:
        assembly = Path(folder, "kernel.ptx")
        assembly.write_text(compiled.asm["ptx"])
        target = re.search(r"^\.target (\w+)", compiled.asm["ptx"], re.MULTILINE).group(1)
        options = ["-v", "--fmad=false", "--gpu-name", target, "-o", Path(folder, "kernel.cubin")]
        command = [get_ptxas(90).path, *options, assembly]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    spilled = sum(int(number) for number in re.findall(r"(\d+) bytes spill", report))
    return spilled, int(re.search(r"Used (\d+) registers", report).group(1))
