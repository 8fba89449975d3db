"""One time step for a whole model."""

from torch import nn

from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.fits import check_model


def timed_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and modules that have a time step: dynamics, and others with a number ``dt``, such as encoders."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, Dynamics) or isinstance(getattr(module, "dt", None), float)
    ]


def set_dt(model: nn.Module, dt: float) -> nn.Module:
    """Give all dynamics of a model, containers and encoders too, one time step.

    Durations in ms (time constants, refractory periods, delays) stay; what is counted in steps follows.

    Args:
        model: any model; changed in place.
        dt: the time step, ms.

    Returns:
        The model.

    Raises:
        ValueError: if ``dt`` is not positive or a module does not allow it: a refractory period that is no multiple of
            it, an explicit integrator that it makes unstable, a scheme that is printed for one step. All of them are
            named, and nothing is changed.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 4), tdn.ExponentialSynapse(), tdn.AdEx())
        >>> [layer.dt for layer in set_dt(model, 0.1)[1:]]
        [0.1, 0.1]
    """
    check_model("set_dt", model)
    dt = positive_number("set_dt", "dt", dt, unit="ms")
    timed = timed_modules(model)
    before = [(module, dict(vars(module))) for _, module in timed]
    refused = []
    try:
        for name, module in timed:
            try:
                _change(module, dt)
            except ValueError as error:
                refused.append(f"{name or 'the model'}: {error}")
        if refused:
            raise ValueError(
                f"set_dt: expected modules that allow a step of {dt:g} ms, got {len(refused)} that do not, and changed "
                "nothing: " + "; ".join(refused)
            )
    except Exception:
        for module, attributes in before:
            vars(module).update(attributes)
        raise
    return model


def _change(module: nn.Module, dt: float) -> None:
    if isinstance(module, Dynamics):
        module.change_dt(dt)
    else:
        module.dt = dt
