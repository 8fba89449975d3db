"""A population of equal neurons."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..core.checks import whole_number
from ..core.dynamics import Dynamics
from ..core.spiking import Spiking
from ..core.state import State, fill, leaves, map_state
from ..wiring import Values
from ..wiring.draw import drawn
from ..wiring.values import table_of
from .drives import Current, Poisson, tensors_of
from .on_cpu import on_cpu
from .watching import fields_of


class Population(nn.Module):
    """Neurons of one kind, with what drives them from outside.

    Args:
        neurons: their number.
        cell: a spiking cell, or a ``Chain`` that ends in one, e.g. of a synapse and a cell; its quantities may have one
            value for each neuron.
        inputs: the inputs of the cell: their number, or their names, e.g. ``("exc", "inh")`` for ``TwoSynapseLIF``.
        drives: what comes from outside the network, :class:`Poisson` or :class:`Current`.
        initial: fields of the state that do not start as the cell says, those of parts behind a dot (``"1.v"`` of the
            second part of a ``Chain``): a number, a distribution (``wiring.Normal(-58.0, 10.0)``, drawn with the seed
            of the network) or a tensor [neurons].

    Raises:
        TypeError: if ``cell`` does not spike, or a drive is none.
        ValueError: if there are no neurons or inputs, or a receptor is none of the inputs.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> cell = tdn.TwoSynapseLIF(10.0, 0.5, 0.5, dt=0.1)
        >>> Population(1000, cell, inputs=("exc", "inh"), drives=[Poisson(8000.0, 0.1, "exc")]).place("inh")
        1
    """

    def __init__(
        self,
        neurons: int,
        cell: Dynamics,
        *,
        inputs: int | Sequence[str] = 1,
        drives: Sequence[Poisson | Current] = (),
        initial: Mapping[str, float | Values | Tensor] | None = None,
    ):
        super().__init__()
        self.neurons = whole_number("Population", "neurons", neurons, 1)
        last = cell
        while isinstance(last, nn.Module) and not isinstance(last, Spiking) and len(list(last.children())) > 0:
            last = list(last.children())[-1]
        if not isinstance(cell, Dynamics) or not isinstance(last, Spiking):
            raise TypeError(
                f"Population: expected a spiking cell, or a Chain that ends in one, got {type(cell).__name__}; pass "
                "e.g. LIF()"
            )
        self.cell = cell
        if isinstance(inputs, str) or (isinstance(inputs, Sequence) and not all(isinstance(n, str) for n in inputs)):
            raise TypeError(f"Population: expected a number of inputs or their names, got {inputs!r}; pass e.g. 2")
        names = (
            tuple(inputs) if isinstance(inputs, Sequence) else range(whole_number("Population", "inputs", inputs, 1))
        )
        if not 1 <= len(names) <= 16:
            raise ValueError(f"Population: expected from 1 to 16 inputs, got {len(names)}; name those of the cell")
        self.inputs = tuple(names)
        self._drives = tuple(drives)
        for drive in self._drives:
            if not isinstance(drive, (Poisson, Current)):
                raise TypeError(f"Population: expected drives to be Poisson or Current, got {drive!r}; pass those")
            self.place(drive.receptor)
        for number, drive in enumerate(self._drives):
            for name, value in tensors_of(drive).items():
                if isinstance(value, nn.Parameter):
                    self.register_parameter(f"drive{number}_{name}", value)
        self.initial = dict(initial or {})

    @property
    def drives(self) -> tuple[Poisson | Current, ...]:
        """What comes from outside the network, with the parameters that are registered now."""
        found = list(self._drives)
        for number, drive in enumerate(found):
            now = {name: self._parameters.get(f"drive{number}_{name}") for name in tensors_of(drive)}
            # Another may have taken its place: load_state_dict(..., assign=True).
            others = {name: p for name, p in now.items() if p is not None and p is not getattr(drive, name)}
            found[number] = replace(drive, **others) if others else drive
        return tuple(found)

    def place(self, receptor: int | str) -> int:
        """The place of an input, by its name or itself."""
        if receptor in self.inputs:
            return self.inputs.index(receptor)
        if isinstance(receptor, int) and not isinstance(receptor, bool) and 0 <= receptor < len(self.inputs):
            return receptor
        raise ValueError(
            f"Population: expected a receptor among {', '.join(map(str, self.inputs))}, got {receptor!r}; pass one of "
            "them"
        )

    def frame(self, dtype: torch.dtype) -> State:
        """An input of zeros [1, neurons] as the cell takes it."""
        parts = tuple(torch.zeros(1, self.neurons, dtype=dtype) for _ in self.inputs)
        return parts if len(parts) > 1 else parts[0]

    def check(self, dtype: torch.dtype) -> None:
        """Raise if the cell does not take inputs of this type and number."""
        sequence = map_state(lambda frame: frame.unsqueeze(0), self.frame(dtype))
        with on_cpu(self.cell) as cell:
            cell.check_input(cell._read(sequence, axis=2))

    def initial_state(self, dtype: torch.dtype, stream: int) -> State:
        """The state at the start, fields [1, neurons]; ``stream`` tells apart what is drawn."""
        # What a cell draws by itself, such as the key of a noise, comes from the seed of the network, too.
        with torch.random.fork_rng(devices=[]), on_cpu(self.cell) as cell:
            torch.manual_seed(stream)
            state = cell.initial_state(self.frame(dtype))
        places, values = fields_of(state), list(leaves(state))
        for number, (name, value) in enumerate(self.initial.items()):
            if name not in places:
                raise ValueError(
                    f"Population: expected initial to name fields of the state of {type(self.cell).__name__}, "
                    f"{', '.join(places) or 'which has none'}, got {name!r}; name one of them"
                )
            held = values[places[name]]
            values[places[name]] = self._started(name, value, stream, number).to(held.dtype).reshape(held.shape)
        return fill(state, values)

    def _started(self, name: str, value: float | Values | Tensor, stream: int, number: int) -> Tensor:
        if isinstance(value, Tensor):
            if value.numel() not in (1, self.neurons):
                raise ValueError(
                    f"Population: expected {name} at the start of {self.neurons} neurons, got shape "
                    f"{tuple(value.shape)}; pass one value for each"
                )
            return value.expand(self.neurons).cpu() if value.numel() == 1 else value.cpu()
        return drawn(table_of("Population", name, value), self.neurons, stream + number)

    def extra_repr(self) -> str:
        return f"{self.neurons}, inputs={self.inputs}, drives={list(self.drives)}"
