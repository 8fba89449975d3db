"""The configuration of a run in its logs: as text, and as the few values that tell runs apart."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import OmegaConf

from .instantiate import PARTIAL, TARGET

HOUSEKEEPING = frozenset(
    {
        *("callbacks", "logger", "profiler", "trusted", "checkpoint", "folder", "name", "objective", "threads"),
        *("traceback", "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.deterministic"),
        *("trainer.enable_model_summary", "trainer.enable_progress_bar", "trainer.log_every_n_steps"),
        *("trainer.num_sanity_val_steps", "groups.quantities", "groups.vectors", "data.root", "data.download"),
    }
)
"""What says where and how a run works, and nothing about what it finds."""


def telling(config: Mapping[str, Any], chosen: Sequence[str] = ()) -> dict[str, Any]:
    """The values that tell one run from another, those that were chosen first, then the classes of all parts.

    A part is named by its class, and what repeats something that stands further up, such as ``dt``, is left out.

    Args:
        config: of a run, without interpolations.
        chosen: keys that go first.

    Example:
        >>> telling({"dt": 1.0, "neuron": {"_target_": "tdn.LIF", "tau_mem": 9.0, "dt": 1.0}}, ["neuron.tau_mem"])
        {'neuron.tau_mem': 9.0, 'neuron': 'LIF', 'dt': 1.0}
    """
    found = dict(_plain_values(config, config, ""))

    def rank(key: str) -> int:
        if any(key == each or key.startswith(f"{each}.") for each in chosen):
            return 0
        return 1 if isinstance(config.get(key), Mapping) else 2

    return {key: found[key] for key in sorted(found, key=rank)}


def _plain_values(config: Mapping[str, Any], part: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        key = f"{path}{name}"
        if key in HOUSEKEEPING or name in (TARGET, PARTIAL) or (path and config.get(name) == value):
            continue
        if isinstance(value, Mapping):
            if TARGET in value:
                yield key, str(value[TARGET]).rpartition(".")[2]
            yield from _plain_values(config, value, f"{key}.")
        else:
            yield key, value if isinstance(value, (bool, int, float, str)) else str(value)


def log_config(trainer: Trainer, config: Mapping[str, Any], chosen: Sequence[str]) -> None:
    """Hand the configuration to the loggers, before the run."""
    if not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        # The file hparams.yaml is written with the first value that is logged.
        logger.log_hyperparams(telling(config, chosen))
        if isinstance(logger, TensorBoardLogger):
            lines = OmegaConf.to_yaml(OmegaConf.create(dict(config))).splitlines()
            # Four spaces: Markdown leaves underscores and quotes as they are.
            logger.experiment.add_text("config", "\n".join(f"    {line}" for line in lines))


def log_result(trainer: Trainer, config: Mapping[str, Any], chosen: Sequence[str], accuracy: float) -> None:
    """Log the test accuracy beside what tells runs apart."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(telling(config, chosen), {"hparams/test_accuracy": accuracy})
            logger.finalize("success")
