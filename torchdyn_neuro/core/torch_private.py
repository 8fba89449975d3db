"""Every private name of torch that the package uses, with what it is taken for.

Torch may change such a name in any release. A test keeps them out of all other files, and one test for each checks that
it still does what is said here; so a new version of torch is met in this file first. All of them hold from torch 2.9
on, the oldest that is supported; one that does not must say its version here.
"""

from functools import partial
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.autograd.graph import _engine_run_backward as run_backward
from torch.nn.modules import module as _module
from torch.nn.modules.batchnorm import _NormBase as NormBase
from torch.nn.modules.conv import _ConvNd as ConvNd
from torch.nn.modules.dropout import _DropoutNd as DropoutNd
from torch.overrides import _get_current_function_mode_stack as function_modes
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import _register_namedtuple as register_namedtuple
from torch.utils._pytree import tree_leaves, tree_map

__all__ = [
    "CLAMP_IGNORES_ONE_NAN",
    "COMPILER_READS_CONTEXT_VARIABLES",
    "COMPILER_RETURNS_REPLACED",
    "COMPILES_SCANS",
    "MODULE_ATTRIBUTES",
    "TENSOR_ATTRIBUTES",
    "ConvNd",
    "DeviceContext",
    "DisableTorchFunction",
    "DropoutNd",
    "FunctionBase",
    "NormBase",
    "TorchDispatchMode",
    "VariableFunctions",
    "any_global_hook",
    "assume_constant_result",
    "backward_in_progress",
    "dispatch_mode_count",
    "forward_mode_level",
    "func_level",
    "func_transform_active",
    "function_mode_count",
    "function_modes",
    "global_backward_hooks",
    "global_backward_pre_hooks",
    "global_forward_hooks",
    "global_forward_pre_hooks",
    "inductor",
    "is_batched",
    "is_old_batched",
    "is_wrapped",
    "jit_tracer",
    "register_namedtuple",
    "run_backward",
    "scan_operator",
    "tree_leaves",
    "tree_map",
]

# Classes and trees, in the imports above:
# NormBase, ConvNd, DropoutNd: common bases of the batch and instance norms, the convolutions, the dropouts.
# register_namedtuple: makes a named tuple known to torch.export, under a name of its own.
# tree_map, tree_leaves: trees of any containers; what torch itself takes for a tree.
# TorchDispatchMode: sees every operator below autograd. Documented, in a private module.
# DeviceContext: what ``with torch.device(...)`` puts on the stack of function modes.
# function_modes: the modes on that stack, the innermost last.
# run_backward: what torch.autograd.grad calls after its checks of shapes, which import sympy.

DisableTorchFunction = torch._C.DisableTorchFunction
"""Inside it no mode and no subclass sees the functions of torch."""
FunctionBase = torch._C._FunctionBase
"""The class in C under every node of a custom ``autograd.Function``, so that of its ``ctx``."""
VariableFunctions: Any = torch._C._VariableFunctions
"""Holds the functions of C that ``torch`` shows as its own, such as ``torch.add``."""

backward_in_progress = torch._C._current_graph_task_id
"""The number of the backward pass that this thread works for, -1 outside one."""
jit_tracer = torch._C._get_tracing_state
"""What ``torch.jit.trace`` keeps while it traces, else ``None``."""
dispatch_mode_count = torch._C._len_torch_dispatch_stack
"""How many modes see the operators below autograd: fake tensors, the recorder."""
function_mode_count = torch._C._len_torch_function_stack
"""How many modes see the functions of torch."""

func_transform_active = torch._C._are_functorch_transforms_active
"""Whether ``torch.func`` is at work: ``vmap``, ``grad``, ``jvp``."""
func_level = torch._C._functorch.maybe_current_level
"""How deep those are nested, ``None`` outside; unlike the stack of interpreters, also while torch compiles."""
is_batched = torch._C._functorch.is_batchedtensor
"""Whether a tensor stands for many inside ``vmap``."""
is_old_batched = torch._C._functorch.is_legacy_batchedtensor
"""The same inside ``torch.autograd.grad(is_grads_batched=True)``, which has a ``vmap`` of its own."""

is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
"""Whether a tensor was made inside ``torch.func`` and stands for another, also when that is over."""

forward_mode_level = partial(getattr, forward_ad, "_current_level")
"""How many levels of ``torch.autograd.forward_ad`` are open, less one; ``torch.func.jvp`` opens one too."""

any_global_hook = _module._has_any_global_hook
"""Whether hooks are set on all modules at once."""
global_forward_hooks = _module._global_forward_hooks
global_forward_pre_hooks = _module._global_forward_pre_hooks
global_backward_hooks = _module._global_backward_hooks
global_backward_pre_hooks = _module._global_backward_pre_hooks
"""Those hooks, in dictionaries that stay the same objects: quicker to ask than the function above."""


def assume_constant_result(function: Any) -> Any:
    """``torch.compiler.assume_constant_result`` without the import of the compiler, and of Triton with it."""
    function._dynamo_marked_constant = True
    return function


def scan_operator() -> Any:
    """The operator that runs a function over the first axis of tensors, imported on first use with the compiler."""
    from torch._higher_order_ops.scan import scan

    return scan


def inductor() -> Any:
    """The compiler of exported programs into libraries, imported on first use."""
    import torch._inductor

    return torch._inductor


_VERSION = tuple(map(int, torch.__version__.split(".")[:2]))
COMPILER_READS_CONTEXT_VARIABLES = _VERSION >= (2, 14)
"""Whether ``torch.compile`` follows ``ContextVar.get``, and compiles anew where it gives something else."""

COMPILER_RETURNS_REPLACED = _VERSION >= (2, 14)
"""Whether a compiled function may return a named tuple that is the ``_replace`` of one that it has made."""

COMPILES_SCANS = _VERSION >= (2, 14)
"""Whether a library can be made of a program with a scan in it; torch 2.9 and 2.11 end in an assertion."""

CLAMP_IGNORES_ONE_NAN = not torch.zeros(1, device="cpu").clamp(min=float("nan")).isnan().item()
"""Whether ``clamp`` with a NaN, a number, as its only bound gives what it is given (torch 2.9 and 2.11), else NaN."""

MODULE_ATTRIBUTES = {
    "_parameters": "the parameters by name; None for one that is left out",
    "_buffers": "the same of the buffers",
    "_modules": "the same of the modules inside",
    "_forward_hooks": "by number; empty if nobody listens",
    "_forward_pre_hooks": "the same before the forward pass",
    "_backward_hooks": "the same for its gradient",
    "_backward_pre_hooks": "the same before its gradient",
    "_apply": "what .to(), .double() and .cuda() do to each module",
    "_save_to_state_dict": "what one module writes into a checkpoint",
    "_load_from_state_dict": "what one module reads from it",
    "_compiled_call_impl": "if not None, called in the place of the module's forward pass and hooks",
}
"""Attributes of modules, with what they hold; they cannot be given other names here."""
TENSOR_ATTRIBUTES = {
    "_cdata": "of a storage: its address in C, one for all tensors that share it",
    "_version": "how often a tensor's memory has been written to, by which autograd knows of changes in place",
    "_schema": "of an operator: its arguments and its full name, with its namespace",
    "_should_skip_dynamo": "of a dispatch mode: whether the compiler is told to stay out of it; not asked by torch 2.9",
}
"""The same of tensors' storages, operators and modes."""
