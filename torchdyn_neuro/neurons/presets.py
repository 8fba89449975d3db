"""Published parameter sets, in mV, ms, pA, pF and nS."""

from types import MappingProxyType


def _adex(
    C: float, g_L: float, E_L: float, a: float, tau_w: float, b: float, v_reset: float, current: float
) -> MappingProxyType[str, float]:
    """One line of the table; threshold, sharpness and peak are common to all."""
    own = {"C": C, "g_L": g_L, "E_L": E_L, "a": a, "tau_w": tau_w, "b": b, "v_reset": v_reset, "current": current}
    return MappingProxyType(
        {"V_T": -50.0, "Delta_T": 2.0, "v_peak": 0.0, **{name: float(value) for name, value in own.items()}}
    )


NAUD_2008 = MappingProxyType(
    {
        "tonic_spiking": _adex(200, 10, -70, 2, 30, 0, -58, 500),
        "adaptation": _adex(200, 12, -70, 2, 300, 60, -58, 500),
        "initial_burst": _adex(130, 18, -58, 4, 150, 120, -50, 400),
        "regular_bursting": _adex(200, 10, -58, 2, 120, 100, -46, 210),
        "delayed_accelerating": _adex(200, 12, -70, -10, 300, 0, -58, 300),
        "delayed_regular_bursting": _adex(100, 10, -65, -10, 90, 30, -47, 110),
        "transient_spiking": _adex(100, 10, -65, 10, 90, 100, -47, 180),
        "irregular_spiking": _adex(100, 12, -60, -11, 130, 30, -48, 160),
    }
)
"""The eight patterns of the AdEx neuron and the step current that evokes each (``current``, pA).

Two of them are not the printed ones, which do not evoke the patterns they are named after: ``delayed_regular_bursting``
and ``transient_spiking`` hold the values to which P. Mueller adapted them to match the figure.

Source: Naud, Marcille, Clopath & Gerstner (2008), Biol. Cybern. 99:335, Table 1 and Fig. 4; the two adapted sets as in
the examples of the Brian 2 documentation."""

IZHIKEVICH_2003 = MappingProxyType(
    {
        "RS": MappingProxyType({"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0}),
        "IB": MappingProxyType({"a": 0.02, "b": 0.2, "c": -55.0, "d": 4.0}),
        "CH": MappingProxyType({"a": 0.02, "b": 0.2, "c": -50.0, "d": 2.0}),
        "FS": MappingProxyType({"a": 0.1, "b": 0.2, "c": -65.0, "d": 2.0}),
        "LTS": MappingProxyType({"a": 0.02, "b": 0.25, "c": -65.0, "d": 2.0}),
    }
)
"""Regular spiking, intrinsically bursting, chattering, fast spiking and low-threshold spiking cells.

Source: Izhikevich (2003), IEEE Trans. Neural Netw. 14:1569, Fig. 2."""
