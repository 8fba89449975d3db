"""Which fields of which neurons are kept after each step."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..core.state import State, leaves


def watched_in(
    populations: Mapping[str, nn.Module] | nn.ModuleDict,
    cells: Sequence[State],
    dtype: torch.dtype,
    watch: Mapping[str, Mapping[str, Sequence[int] | Tensor]],
) -> dict[tuple[str, str], tuple[int, int, Tensor]]:
    """For each population and field: the number of the population, that of the field, and the neurons.

    Raises:
        ValueError: if there is no such population, field or neuron.
    """
    names, found = list(populations), {}
    if not isinstance(watch, Mapping) or not all(isinstance(fields, Mapping) for fields in watch.values()):
        raise TypeError(
            f"SpikingNetwork: expected what to watch by population and field, got {watch!r}; pass e.g. "
            '{"E": {"v": [0, 1]}}'
        )
    for name, fields in watch.items():
        if name not in names:
            raise ValueError(
                f"SpikingNetwork: expected to watch populations among {', '.join(names)}, got {name!r}; name those"
            )
        number = names.index(name)
        places = fields_of(cells[number], dtype)
        for field, neurons in fields.items():
            if field not in places:
                known = ", ".join(places) or "none"
                raise ValueError(
                    f"SpikingNetwork: expected to watch fields of {name} among {known}, got {field!r}; name those"
                )
            try:
                neurons = torch.as_tensor(neurons if isinstance(neurons, Tensor) else list(neurons)).reshape(-1)
            except (TypeError, RuntimeError, ValueError):
                neurons = torch.tensor([-1])
            count = populations[name].neurons
            if not len(neurons):
                neurons = neurons.to(torch.int64)
            whole = not (neurons.is_floating_point() or neurons.is_complex() or neurons.dtype == torch.bool)
            if not whole or (len(neurons) and not 0 <= int(neurons.min()) <= int(neurons.max()) < count):
                raise ValueError(
                    f"SpikingNetwork: expected to watch neurons of {name} from 0 to {count - 1}, got others; count "
                    "from 0"
                )
            found[name, field] = number, places[field], neurons.to("cpu", torch.int64).contiguous()
    return found


def fields_of(state: State, dtype: torch.dtype | None = None, before: str = "", first: int = 0) -> dict[str, int]:
    """The names of the fields of a dtype, or of all, those of parts behind a dot, and their numbers among all tensors.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> chain = tdn.Chain(tdn.ExponentialSynapse(), tdn.LIF())
        >>> fields_of(chain.initial_state(torch.zeros(1, 3)))
        {'0.s': 0, '1.v': 1}
    """
    found: dict[str, int] = {}
    names = getattr(state, "_fields", range(len(state)) if isinstance(state, tuple) else ())
    for name, part in zip(names, state if isinstance(state, tuple) else (), strict=True):
        if isinstance(part, Tensor):
            if dtype in (None, part.dtype):
                found[f"{before}{name}"] = first
        else:
            found |= fields_of(part, dtype, f"{before}{name}.", first)
        first += len(leaves(part))
    return found
