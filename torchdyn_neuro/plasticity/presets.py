"""Published parameters of learning rules, by name."""

from types import MappingProxyType
from typing import Any


def _fit(
    A2_plus: float,
    A3_plus: float,
    A2_minus: float,
    A3_minus: float,
    tau_x: float | None,
    tau_y: float,
    pairing: str = "all",
) -> MappingProxyType[str, Any]:
    """A row of the tables; of the minimal models, which do without the slow presynaptic trace, tau_x is left out."""
    fit = {"A2_plus": A2_plus, "A3_plus": A3_plus, "A2_minus": A2_minus, "A3_minus": A3_minus}
    fit |= {} if tau_x is None else {"tau_x": tau_x}
    return MappingProxyType({**fit, "tau_y": tau_y, "pairing": pairing})


PFISTER_2006 = MappingProxyType(
    {
        "visual_cortex/all/full": _fit(5e-10, 6.2e-3, 7e-3, 2.3e-4, 101.0, 125.0),
        "visual_cortex/all/minimal": _fit(0.0, 6.5e-3, 7.1e-3, 0.0, None, 114.0),
        "visual_cortex/nearest/full": _fit(8.8e-11, 5.3e-2, 6.6e-3, 3.1e-3, 714.0, 40.0, "nearest"),
        "visual_cortex/nearest/minimal": _fit(0.0, 5e-2, 8e-3, 0.0, None, 40.0, "nearest"),
        "hippocampus/all/full": _fit(6.1e-3, 6.7e-3, 1.6e-3, 1.4e-3, 946.0, 27.0),
        "hippocampus/all/minimal": _fit(5.3e-3, 8e-3, 3.5e-3, 0.0, None, 40.0),
        "hippocampus/nearest/full": _fit(4.6e-3, 9.1e-3, 3e-3, 7.5e-9, 575.0, 47.0, "nearest"),
        "hippocampus/nearest/minimal": _fit(4.6e-3, 9.1e-3, 3e-3, 0.0, None, 48.0, "nearest"),
    }
)
"""Fits of the triplet rule to pairs in slices of visual cortex and to triplets in cultures of hippocampus, with all or
only the nearest spikes, by the full and the minimal model; tau_plus is 16.8 ms and tau_minus 33.7 ms in all.

Source: Pfister & Gerstner (2006), J. Neurosci. 26:9673, Tables 3 and 4."""
