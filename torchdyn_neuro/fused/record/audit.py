"""Sees which code runs while a step is recorded, and refuses what may read or change anything unseen."""

import gc
import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...core.torch_private import FunctionBase, VariableFunctions
from .builder import Refusal

_FUSED = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_FOLDERS = (
    (_FUSED, "recorder"),
    (os.path.dirname(_FUSED.rstrip(os.sep)) + os.sep, "own"),
    (os.path.dirname(os.path.abspath(torch.__file__)) + os.sep, "torch"),
    (os.path.join(sysconfig.get_path("purelib"), ""), "user"),
    (os.path.join(sysconfig.get_path("stdlib"), ""), "library"),
)
_MODULE_FILES = (
    ("nn", "modules"),
    ("nn", "functional.py"),
    ("nn", "parameter.py"),
    ("nn", "utils", "parametrize.py"),
    ("autograd", "function.py"),
    ("autograd", "grad_mode.py"),
    ("utils", "_contextlib.py"),
    ("utils", "_pytree.py"),
    ("_tensor.py",),
    ("functional.py",),
    ("overrides.py",),
)
"""The files of torch whose functions, called by a step, compute from their arguments and the modules' attributes."""
_CALLABLE_TORCH = tuple(os.path.join(os.path.dirname(os.path.abspath(torch.__file__)), *file) for file in _MODULE_FILES)
_CALLABLE_LIBRARY = frozenset(
    ("abc.py", "collections/__init__.py", "contextlib.py", "dataclasses.py", "enum.py", "operator.py", "typing.py")
)
_PURE_BUILTINS = frozenset(
    [
        "abs",
        "all",
        "any",
        "callable",
        "divmod",
        "format",
        "getattr",
        "hasattr",
        "isinstance",
        "issubclass",
        "iter",
        "len",
        "max",
        "min",
        "next",
        "pow",
        "round",
        "sorted",
        "sum",
        "repr",
    ]
)
_PURE_TORCH = frozenset(("is_grad_enabled", "get_default_dtype", "is_tensor", "promote_types", "result_type"))
"""What torch says of itself that is part of the kind of a call."""
_PURE_MODULES = frozenset(("math", "cmath", "_operator"))
_VALUES = (str, bytes, list, dict, tuple, set, frozenset, int, float, bool, complex, range, slice)


def kind_of(code: types.CodeType, code_globals: dict[str, Any]) -> str:
    """Whose code it is: ``"own"``, ``"recorder"``, ``"torch"``, ``"library"`` (of Python), or ``"user"``."""
    name = code.co_filename
    if name.startswith("<"):
        # Generated: methods of named tuples, of dataclasses. What a user writes in a notebook has no file.
        if str(code_globals.get("__name__")).startswith("namedtuple_"):
            return "library"
        name = code_globals.get("__file__") or name
        if name.startswith("<frozen"):
            return "library"
    return next((kind for folder, kind in _FOLDERS if name.startswith(folder)), "user")


class Audit:
    """A profiler for the time of a recording.

    Args:
        deaf: whether it sees nothing, for what has been heard before.

    Attributes:
        ran: the code that ran, each with its globals and whose it is.
        refused: the first thing that a step may not do, if it did any. Once set it stays, whatever the step catches.
    """

    def __init__(self, *, deaf: bool = False) -> None:
        self.is_deaf = deaf
        self.ran: dict[types.CodeType, tuple[dict[str, Any], str]] = {}
        self.refused: str | None = None

    def refuse(self, reason: str) -> None:
        self.refused = self.refused or reason

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Sees the code that runs inside the block, in this thread."""
        if self.is_deaf:
            yield
            return
        before, collects = sys.getprofile(), gc.isenabled()
        # What a collection of garbage ends, generators and finalizers, would be taken for code of the step.
        gc.disable()
        sys.setprofile(self._see)
        try:
            yield
        finally:
            # A profiler in C, as cProfile's up to Python 3.11, is no function and starts itself.
            sys.setprofile(before) if before is None or callable(before) else before.enable()
            if collects:
                gc.enable()

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Sees nothing inside the block: no code of the step runs in it."""
        if self.is_deaf:
            yield
            return
        listener = sys.getprofile()
        sys.setprofile(None)
        try:
            yield
        finally:
            sys.setprofile(listener)

    def _see(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event == "call":
            code = frame.f_code
            kind = self._kind(frame)
            if kind in ("torch", "library") and frame.f_back is not None and self._asks(frame.f_back) == "user":
                self._check_call(code, kind)
        elif event == "c_call" and self._asks(frame) == "user" and not _is_pure(arg):
            name = getattr(arg, "__qualname__", str(arg))
            self.refuse(f"a call of {name} in {frame.f_code.co_qualname}, which may read or change anything")

    def _kind(self, frame: types.FrameType) -> str:
        known = self.ran.get(frame.f_code)
        if known is None:
            known = self.ran[frame.f_code] = frame.f_globals, kind_of(frame.f_code, frame.f_globals)
        return known[1]

    def _asks(self, frame: types.FrameType) -> str:
        """Whose affair the code in a frame is: that of Python's library is its caller's."""
        kind = self._kind(frame)
        while kind == "library" and frame.f_back is not None:
            frame = frame.f_back
            kind = self._kind(frame)
        return kind

    def _check_call(self, code: types.CodeType, kind: str) -> None:
        name = code.co_filename
        if kind == "torch":
            pure = code.co_name in _PURE_TORCH or name.startswith(_CALLABLE_TORCH)
        else:
            pure = name.startswith("<") or name.removeprefix(_FOLDERS[-1][0]) in _CALLABLE_LIBRARY
        if not pure:
            self.refuse(f"a call of {code.co_qualname} of {os.path.basename(name)}, which may read or change anything")


def _is_pure(function: Any) -> bool:
    """Whether a function of C, called by a step, depends on its arguments only."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if isinstance(owner, types.ModuleType):
        module = owner.__name__
        if module == "builtins":
            return name in _PURE_BUILTINS
        # Of torch's, the watch below sees the result; what takes and gives no tensor is listed.
        return module in _PURE_MODULES or module.startswith("torch._C._") or (name in _PURE_TORCH)
    if isinstance(owner, type):
        return issubclass(owner, (torch.autograd.Function, *_VALUES))
    if owner is None:
        if function is getattr(VariableFunctions, name, None):
            return True
        return type(function) in (types.MethodDescriptorType, types.WrapperDescriptorType)
    return isinstance(owner, (Tensor, FunctionBase, torch.dtype, torch.finfo, torch.Size, *_VALUES))


_FREE = frozenset(("dtype", "ndim", "layout", "is_sparse", "is_nested", "is_quantized", "itemsize", "real", "data"))
"""What a tensor tells of itself that is part of the kind of a call."""
_VIEWS = frozenset(("T", "mT", "H", "mH"))
_DEVICE = frozenset(("device", "is_cuda", "is_cpu"))
_FREE_CALLS = frozenset(
    (
        "dim",
        "ndimension",
        "is_floating_point",
        "is_complex",
        "is_signed",
        "element_size",
        "promote_types",
        "can_cast",
        "result_type",
        "is_tensor",
        "is_inference",
        "get_default_dtype",
        "__hash__",
        "__deepcopy__",
    )
)


class Watch(TorchFunctionMode):
    """Refuses what looks into a tensor or at its shape: the elements alone may decide.

    Args:
        audit: who keeps what was refused.
        on_cpu: whether the loop will run where the recording does, so that a step may ask for the device.
    """

    def __init__(self, audit: Audit, on_cpu: bool):
        super().__init__()
        self.audit, self.on_cpu = audit, on_cpu

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__", "__delete__"):
            attribute = func.__self__.__name__
            if name != "__get__":
                self._refuse(f"a setting of .{attribute} of a tensor")
            if attribute not in _FREE and attribute not in _VIEWS and not (attribute in _DEVICE and self.on_cpu):
                self._refuse(f"a dependence on the shapes or the values of the operands: .{attribute} of a tensor")
            return func(*args)
        result = func(*args, **(kwargs or {}))
        if name in _FREE_CALLS or isinstance(result, Tensor):
            return result
        if isinstance(result, (tuple, list)) and all(isinstance(item, Tensor) for item in result):
            return result
        if name in _HARMLESS:
            return result
        return self._refuse(f"a dependence on the shapes or the values of the operands: {name}() of a tensor")

    def _refuse(self, reason: str) -> Any:
        # Noted, for a step may catch what is raised here.
        self.audit.refuse(reason)
        raise Refusal(reason)


_HARMLESS = frozenset(("register_hook", "_set_grad_enabled"))
