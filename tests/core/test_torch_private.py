"""Private names of torch: all in one file, and each does what it is taken for there."""

import ast
import io
from collections import namedtuple
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode

import torchdyn_neuro as tdn
from torchdyn_neuro.core import torch_private as private

PACKAGE = Path(tdn.__file__).parent
HERE = Path(private.__file__)


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return owner and f"{owner}.{node.attr}"
    return None


def private_names(text: str) -> set[str]:
    """The private names of torch that a text imports, or reads from what it imports."""
    tree, torchs, found = ast.parse(text), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "torch":
                    torchs[alias.asname or "torch"] = alias.name if alias.asname else "torch"
                    found |= {alias.name} if is_private(alias.name) else set()
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "torch":
            for alias in node.names:
                torchs[alias.asname or alias.name] = name = f"{node.module}.{alias.name}"
                found |= {name} if is_private(name) else set()
    for node in ast.walk(tree):
        name = dotted(node) if isinstance(node, ast.Attribute) else None
        root, _, rest = (name or "").partition(".")
        if root in torchs and is_private(rest):
            found.add(f"{torchs[root]}.{rest}")
    return found


def private_attributes(text: str) -> set[str]:
    """The private attributes that a text reads or sets, and the private methods that it writes."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "name", None)
        if isinstance(node, (ast.Attribute, ast.FunctionDef)) and is_private(name):
            found.add(name)
    return found


def test_private_names_of_torch_stand_in_one_file():
    names = {path: private_names(path.read_text()) for path in PACKAGE.rglob("*.py") if path != HERE}
    wrong = [f"{path.relative_to(PACKAGE)}: {name}" for path, found in names.items() for name in sorted(found)]
    assert not wrong, "\n".join(wrong)


def test_private_attributes_of_torch_are_listed():
    """What modules, tensors, storages, operators and modes call their own, and no class of ours defines."""
    listed = {*private.MODULE_ATTRIBUTES, *private.TENSOR_ATTRIBUTES}
    operator = torch.ops.aten.add.Tensor
    theirs = {*dir(nn.Module()), *dir(torch.zeros(1)), *dir(torch.zeros(1).untyped_storage()), *dir(operator)}
    theirs |= {
        *dir(private.TorchDispatchMode),
        *dir(torch.nn.modules.module),
        "_dynamo_marked_constant",
        "_should_skip_dynamo",
    }
    used = {path: private_attributes(path.read_text()) for path in PACKAGE.rglob("*.py") if path != HERE}
    wrong = [
        f"{path.relative_to(PACKAGE)}: .{name}"
        for path, found in used.items()
        for name in sorted((found & theirs) - listed)
    ]
    assert not wrong, "\n".join(wrong)
    assert listed <= theirs | set(vars(nn.Module)), listed - theirs


def test_private_names_are_found():
    """What the tests above rely on."""
    text = """
import torch
import torch._dynamo
import torch.utils._pytree as pytree
from torch import nn, _C as c
from torch.nn.modules import module as inner
from torch.autograd import forward_ad as ad
from . import _own
def f(self, module):
    torch._C._functorch.get(); inner._has_any_global_hook(); c.thing; self._mine; torch.__version__
    module._modules; ad._current_level; nn.Module.__call__
"""
    assert private_names(text) == {
        "torch._dynamo",
        "torch.utils._pytree",
        "torch._C",
        "torch._C._functorch",
        "torch._C._functorch.get",
        "torch.nn.modules.module._has_any_global_hook",
        "torch.autograd.forward_ad._current_level",
    }
    assert {"_modules", "_mine"} <= private_attributes(text)


def test_each_name_has_a_test():
    given = {name for name in vars(private) if not name.startswith("_")} - {"Any", "torch", "forward_ad", "partial"}
    assert given == {*private.__all__}
    text = Path(__file__).read_text()
    untested = [name for name in private.__all__ if f"private.{name}" not in text]
    assert not untested, untested


def test_bases_of_layers():
    assert issubclass(nn.BatchNorm2d, private.NormBase)
    assert issubclass(nn.SyncBatchNorm, private.NormBase)
    assert issubclass(nn.InstanceNorm1d, private.NormBase)
    assert not issubclass(nn.LayerNorm, private.NormBase)
    for layer in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d):
        assert issubclass(layer, private.ConvNd)
    for layer in (nn.Dropout, nn.Dropout2d, nn.AlphaDropout):
        assert issubclass(layer, private.DropoutNd)


def test_trees():
    Pair = namedtuple("Pair", ["a", "b"])
    tree = {"x": [1, (2, None)], "y": Pair(3, ())}
    assert private.tree_leaves(tree) == [1, 2, None, 3]
    assert private.tree_map(lambda leaf: leaf, tree) == tree
    assert type(private.tree_map(lambda leaf: leaf, tree)["y"]) is Pair


class _Pair(NamedTuple):
    v: torch.Tensor
    w: torch.Tensor


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # torch below 2.14, at loading
def test_a_registered_named_tuple_can_be_exported_and_saved():
    private.register_namedtuple(_Pair, serialized_type_name="tests.a_pair")

    class Swap(nn.Module):
        def forward(self, pair):
            return _Pair(pair.w, pair.v)

    file = io.BytesIO()
    torch.export.save(torch.export.export(Swap(), (_Pair(torch.zeros(1), torch.ones(1)),)), file)
    assert b"tests.a_pair" in file.getvalue()
    file.seek(0)
    with torch.serialization.safe_globals([_Pair]):
        loaded = torch.export.load(file)
    swapped = loaded.module()(_Pair(torch.zeros(1), torch.ones(1)))
    assert type(swapped) is _Pair
    assert swapped == (1, 0)


def test_a_function_runs_over_the_first_axis_of_tensors():
    class Sums(nn.Module):
        def forward(self, start, x):
            return private.scan_operator()(lambda total, x_t: (total + x_t, total * x_t), start, x)

    x = torch.arange(6.0).reshape(3, 2)
    program = torch.export.export(Sums(), (torch.ones(2), x), dynamic_shapes=(None, {0: torch.export.Dim("steps")}))
    last, seen = program.module()(torch.ones(2), x[:2])
    assert last.tolist() == [3, 5]
    assert seen.tolist() == [[0, 1], [2, 6]]


def test_the_compiler_of_exported_programs():
    for name in ("aoti_compile_and_package", "aoti_load_package"):
        assert callable(getattr(private.inductor(), name))


def test_a_dispatch_mode_sees_operators_and_their_names():
    assert {"_schema", "_cdata", "_should_skip_dynamo", "_version"} == {*private.TENSOR_ATTRIBUTES}
    seen = []

    class Mode(private.TorchDispatchMode):
        @classmethod
        def _should_skip_dynamo(cls):
            seen.append("asked")
            return False

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append((func._schema.name, private.dispatch_mode_count()))
            return func(*args, **(kwargs or {}))

    x = torch.ones(2)
    assert private.dispatch_mode_count() == 0
    with Mode():
        assert private.dispatch_mode_count() == 1
        y = x.mul(2.0)
    asked = ["asked"] if hasattr(private.TorchDispatchMode, "_should_skip_dynamo") else []
    assert seen == [*asked, ("aten::mul", 0)]
    assert torch.equal(y, torch.full((2,), 2.0))
    # One storage, one number.
    before = x._version
    x[1:].add_(1)
    assert x._version == before + 1
    assert x.untyped_storage()._cdata == x[1:].untyped_storage()._cdata != y.untyped_storage()._cdata


def test_function_modes_are_seen_and_disabled():
    seen = []

    class Mode(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    assert private.function_mode_count() == 0
    with Mode() as mode:
        assert private.function_mode_count() == 1
        assert private.function_modes()[-1] is mode
        torch.ones(1)
        count = len(seen)
        assert count
        with private.DisableTorchFunction():
            torch.ones(1).add(1)
        assert len(seen) == count
    with torch.device("cpu"):
        assert private.function_mode_count() == 1
        assert all(isinstance(mode, private.DeviceContext) for mode in private.function_modes())


def test_functions_of_c_and_their_nodes():
    assert torch.add is private.VariableFunctions.add
    assert torch.where is private.VariableFunctions.where
    contexts = []

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            contexts.append(ctx)
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            return 2 * gradient

    Twice.apply(torch.ones(1, requires_grad=True))
    assert isinstance(contexts[0], private.FunctionBase)
    assert isinstance(contexts[0].save_for_backward.__self__, private.FunctionBase)


def test_the_backward_pass_is_that_of_autograd():
    x = torch.tensor([2.0], requires_grad=True)
    unused = torch.ones(1, requires_grad=True)
    y, gradient = x**3, torch.tensor([0.5])
    found = private.run_backward((y,), (gradient,), False, False, (x, unused), True, accumulate_grad=False)
    assert [None if g is None else g.item() for g in found] == [6.0, None]
    assert x.grad is None


def test_a_backward_pass_has_a_number():
    numbers = []
    x = torch.ones(1, requires_grad=True)
    y = 2 * x
    y.register_hook(lambda gradient: numbers.append(private.backward_in_progress()))
    assert private.backward_in_progress() == -1
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert numbers[0] >= 0
    assert numbers[0] != numbers[1]
    assert private.backward_in_progress() == -1


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_tracer_is_seen():
    seen = []

    def function(x):
        seen.append(private.jit_tracer())
        return x + 1

    function(torch.ones(1))
    torch.jit.trace(function, torch.ones(1), check_trace=False)
    assert seen[0] is None
    assert seen[1] is not None


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")  # torch's own forward mode
def test_transforms_are_seen():
    def look():
        return private.func_transform_active(), private.func_level() is not None, private.forward_mode_level() >= 0

    def seen_in(transform, *args):
        seen = []
        transform(lambda x: (seen.append(look()), x.sin().sum())[1], *args)
        return seen[0]

    x = torch.ones(3)
    assert look() == (False, False, False)
    assert seen_in(lambda f, x: torch.func.grad(f)(x), x) == (True, True, False)
    assert seen_in(lambda f, x: torch.func.vmap(f)(x), x) == (True, True, False)
    assert seen_in(lambda f, x: torch.func.jvp(f, (x,), (x,)), x) == (True, True, True)
    with forward_ad.dual_level():
        assert look() == (False, False, True)
    assert look() == (False, False, False)


def test_batched_tensors_are_seen():
    seen = []

    class Identity(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            seen.append((private.is_batched(gradient), private.is_old_batched(gradient)))
            return gradient

    x = torch.ones(2, requires_grad=True)
    assert not private.is_batched(x)
    assert not private.is_old_batched(x)
    torch.func.vmap(lambda row: seen.append((private.is_batched(row), private.is_old_batched(row))) or row)(x.detach())
    torch.autograd.grad(Identity.apply(x), x, torch.eye(2), is_grads_batched=True)
    assert seen == [(True, False), (False, True)]


def test_what_is_left_of_a_transform_is_seen():
    left = []
    torch.func.vjp(lambda x: left.append(x) or x, torch.ones(2))
    assert private.is_wrapped(left[0])
    assert not private.is_wrapped(torch.ones(2))


def test_global_hooks_are_seen():
    ours = (
        private.global_forward_hooks,
        private.global_forward_pre_hooks,
        private.global_backward_hooks,
        private.global_backward_pre_hooks,
    )
    register = torch.nn.modules.module
    ways = (
        register_module_forward_hook,
        register.register_module_forward_pre_hook,
        register.register_module_full_backward_hook,
        register.register_module_full_backward_pre_hook,
    )
    assert not any(ours)
    assert not private.any_global_hook()
    for hooks, way in zip(ours, ways, strict=True):
        handle = way(lambda *_: None)
        try:
            assert [bool(each) for each in ours] == [each is hooks for each in ours]
            assert private.any_global_hook()
        finally:
            handle.remove()
    assert not any(ours)


def test_the_mark_of_a_constant_result_is_that_of_the_compiler():
    def ours():
        return 1

    def theirs():
        return 1

    before = dict(vars(ours))
    assert private.assume_constant_result(ours) is ours
    torch.compiler.assume_constant_result(theirs)
    assert before == {}
    assert vars(ours) == vars(theirs)


def test_attributes_of_modules():
    module = nn.Linear(2, 2, bias=False)
    module.register_buffer("number", torch.zeros(1))
    module.inner = nn.Identity()
    assert [*module._parameters] == ["weight", "bias"]
    assert module._parameters["bias"] is None
    assert [*module._buffers] == ["number"]
    assert [*module._modules] == ["inner"]
    ways = {
        "_forward_hooks": module.register_forward_hook,
        "_forward_pre_hooks": module.register_forward_pre_hook,
        "_backward_hooks": module.register_full_backward_hook,
        "_backward_pre_hooks": module.register_full_backward_pre_hook,
    }
    for name, way in ways.items():
        assert not vars(module)[name]
        handle = way(lambda *_: None)
        assert len(vars(module)[name]) == 1
        handle.remove()
        assert not vars(module)[name]
    assert {*ways} < {*private.MODULE_ATTRIBUTES}
    assert all(hasattr(module, name) for name in private.MODULE_ATTRIBUTES)


def test_methods_of_modules_that_torch_calls():
    called = []

    class Listening(nn.Module):
        def _apply(self, fn, recurse=True):
            called.append("apply")
            return super()._apply(fn, recurse)

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            called.append("save")
            super()._save_to_state_dict(destination, prefix, keep_vars)

        def _load_from_state_dict(self, state_dict, prefix, *args):
            called.append("load")
            assert len(args) == 5
            super()._load_from_state_dict(state_dict, prefix, *args)

    outer = nn.Sequential(Listening())
    outer.double()
    outer.load_state_dict(outer.state_dict())
    assert called == ["apply", "save", "load"]


def test_what_is_called_in_the_place_of_a_module():
    module = nn.Identity()
    module.register_forward_hook(lambda *_: pytest.fail("a hook was called"))
    assert module._compiled_call_impl is None
    module.__dict__["_compiled_call_impl"] = lambda x: x + 1
    assert module(1) == 2


@pytest.mark.skipif(
    not private.COMPILER_READS_CONTEXT_VARIABLES, reason="the compilers before torch 2.14 do not follow ContextVar.get"
)
def test_the_compiler_reads_context_variables():
    choice = ContextVar("choice", default=1)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: x + choice.get(), fullgraph=True, backend="eager")
    assert compiled(torch.zeros(1)) == 1
    token = choice.set(2)
    assert compiled(torch.zeros(1)) == 2
    choice.reset(token)
    assert compiled(torch.zeros(1)) == 1


@pytest.mark.skipif(
    not private.COMPILER_RETURNS_REPLACED,
    reason="the compilers before torch 2.14 fail on _replace of new tuples",
)
def test_the_compiler_returns_what_was_replaced():
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: _Pair(x, x)._replace(v=x + 1), fullgraph=True, backend="eager")
    assert compiled(torch.zeros(1)) == (1, 0)


def test_clamp_with_one_bound_that_is_nan():
    x = torch.linspace(-1.0, 2.0, 40)
    for bound in ({"min": float("nan")}, {"max": float("nan")}):
        expected = x if private.CLAMP_IGNORES_ONE_NAN else x.new_full((40,), float("nan"))
        torch.testing.assert_close(x.clamp(**bound), expected, rtol=0, atol=0, equal_nan=True)
    for other in (x.clamp(float("nan"), 1.0), x.clamp_min(float("nan")), x.clamp_max(float("nan"))):
        assert other.isnan().all()


def test_a_scan_is_an_operator_that_programs_hold():
    """Whether libraries are made of it, which takes half a minute, tests/export/test_compiled.py says."""

    class Total(nn.Module):
        def forward(self, start, x):
            return private.scan_operator()(lambda total, x_t: (total + x_t, (total + x_t).clone()), start, x)

    program = torch.export.export(Total(), (torch.zeros(2), torch.ones(3, 2)))
    assert any("scan" in str(node.target) for node in program.graph.nodes)
    assert (tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 14)) == private.COMPILES_SCANS
