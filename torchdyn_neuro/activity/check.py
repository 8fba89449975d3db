"""What in a model would run and give something else than its user expects."""

import warnings
from collections.abc import Iterator

from torch import nn

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.fits import check_model
from ..core.network import Network
from ..core.ode import ODE
from ..core.plastic import Plastic
from ..core.stepwise import Stepwise, Unfolded, holds_dynamics
from ..core.streaming import Streaming
from .set_dt import timed_modules
from .time_first import reads_time_as_batch


def check(model: nn.Module) -> None:
    """Raise if something in a model would give another result than its user expects, without a word.

    - Dynamics, or encoders, that differ in their time step.
    - Layers between dynamics that would read time as the batch: convolutions, pooling, ``nn.Flatten()``, batch norms
      (which run if the batch happens to be as large as the number of features), outside a :class:`Stepwise`.
    - Dynamics inside a ``Stepwise`` that are not unfolded, unfolded ones outside, a ``Stepwise`` inside another, and
      transformers inside one that take their first axis for time.
    - Dynamics that stand in several places of a model in :class:`Streaming`, where each has one state.
    - Transformers with dynamics for an activation whose fast path computes a ReLU or GELU in evaluation.
    - Plastic connections that no container tells what the neurons behind them did, so that they learn nothing.
    - Learned time constants that have left the region in which an explicit integrator is stable.

    The trainer calls it on every model. It looks at the modules, not at the code of a forward.

    Args:
        model: any model.

    Raises:
        ValueError: listing all that was found, with what to do.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> tdn.check(nn.Sequential(nn.Linear(3, 4), tdn.LIF()))
    """
    check_model("check", model)
    found = problems(model)
    if found:
        listed = "\n".join(f"- {problem}" for problem in found)
        raise ValueError(f"check: expected a model that does what it says, got {len(found)} problem(s):\n{listed}")


def problems(model: nn.Module) -> list[str]:
    """What :func:`check` would raise, one sentence each; an empty list for a sound model."""
    return [
        *_mixed_steps(model),
        *_time_as_batch(model, ""),
        *_folding(model, "", folded=False),
        *_shared_states(model),
        *_fast_paths(model),
        *_instability(model),
        *_untaught(model),
    ]


def _mixed_steps(model: nn.Module) -> Iterator[str]:
    steps: dict[float, list[str]] = {}
    for name, module in timed_modules(model):
        steps.setdefault(module.dt, []).append(f"{name or 'the model'} ({type(module).__name__})")
    if len(steps) > 1:
        each = "; ".join(f"{dt:g} ms in {_few(names)}" for dt, names in sorted(steps.items()))
        yield f"expected one time step, got {each}; pass the same dt to all, or call tdn.set_dt(model, dt)"


def _time_as_batch(module: nn.Module, path: str) -> Iterator[str]:
    """Layers that get [T, B, *], for they stand in a row with dynamics."""
    if isinstance(module, Stepwise):
        return
    timed = isinstance(module, nn.Sequential) and any(holds_dynamics(child) for child in module.children())
    for name, child in module.named_children():
        name = f"{path}.{name}" if path else name
        if timed and not holds_dynamics(child):
            yield from _flat_layers(child, name)
        else:
            yield from _time_as_batch(child, name)


def _flat_layers(module: nn.Module, name: str) -> Iterator[str]:
    if isinstance(module, nn.Sequential):
        for child_name, child in module.named_children():
            yield from _flat_layers(child, f"{name}.{child_name}")
    elif reads_time_as_batch(module):
        kind = type(module).__name__
        advice = "nn.Flatten(2)" if isinstance(module, nn.Flatten) else f"tdn.Stepwise({kind}(...))"
        yield f"expected layers for [T, B, *] at {name}, got {kind}, which reads time as the batch; use {advice}"


def _folding(module: nn.Module, path: str, *, folded: bool) -> Iterator[str]:
    place, kind = path or "the model", type(module).__name__
    if isinstance(module, Unfolded):
        if not folded:
            yield f"expected {place} (Unfolded) inside a Stepwise, got it outside; run the model as tdn.Stepwise(model)"
        return
    if folded and isinstance(module, Dynamics):
        yield f"expected no dynamics at {place}, where time is in the batch, got {kind}; wrap it in tdn.Unfolded"
        return
    if folded and isinstance(module, Stepwise):
        yield f"expected one Stepwise around {place}, got one inside another, which takes the batch for time; drop one"
        return
    if folded and isinstance(module, (nn.MultiheadAttention, nn.RNNBase)) and not module.batch_first:
        yield f"expected {place} ({kind}) to take the batch first inside a Stepwise, got time; pass batch_first=True"
    for name, child in module.named_children():
        inside = folded or isinstance(module, Stepwise)
        yield from _folding(child, f"{path}.{name}" if path else name, folded=inside)


def _shared_states(model: nn.Module) -> Iterator[str]:
    for stream in model.modules():
        if not isinstance(stream, Streaming):
            continue
        places: dict[Dynamics, list[str]] = {}
        for name, module in stream.model.named_modules(remove_duplicate=False):
            if isinstance(module, Dynamics):
                places.setdefault(module, []).append(name or "the model")
        for module, names in places.items():
            if len(names) > 1:
                yield (
                    f"expected each dynamics in one place of a Streaming model, got {type(module).__name__} at "
                    f"{_few(names)}, with one state for all; give each place a module of its own"
                )


def _fast_paths(model: nn.Module) -> Iterator[str]:
    for name, module in model.named_modules():
        activation = module._modules.get("activation")
        if getattr(module, "activation_relu_or_gelu", 0) and activation is not None and _has_dynamics(activation):
            yield (
                f"expected {name or 'the model'} ({type(module).__name__}) to run its activation in evaluation too, "
                "got torch's fast path, which does not; swap it with tdn.replace, or set activation_relu_or_gelu = 0"
            )


def _instability(model: nn.Module) -> Iterator[str]:
    for name, module in model.named_modules():
        if isinstance(module, ODE):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    module.check_stability()
            except ValueError as error:
                yield f"{name or 'the model'}: {error}"


def _untaught(model: nn.Module) -> Iterator[str]:
    taught: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, Chain):
            taught.update(module)
        if isinstance(module, Network):
            taught.add(module.connection)
    for name, module in model.named_modules():
        if isinstance(module, Plastic) and module not in taught:
            yield (
                f"expected {name or 'the model'} (Plastic) in front of another layer of a Chain, or as the connection "
                "of a Network, got a place where it learns nothing; put it and the neurons into one Chain"
            )


def _has_dynamics(module: nn.Module) -> bool:
    return any(isinstance(part, Dynamics) for part in module.modules())


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
