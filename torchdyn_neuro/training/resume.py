"""A run that goes on from a checkpoint, with some of its choices changed."""

import warnings
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from .choices import changed

LENGTH_AND_RATE = ("optimizer", "groups", "scheduler", "trainer", "data")
"""The parts of a configuration on which the settings of an optimiser depend, at each step."""


def check_loadable(task: LightningModule, checkpoint: Mapping[str, Any], config: Mapping[str, Any], path: str) -> None:
    """Load the weights of a checkpoint; raise ``ValueError`` if it does not fit.

    Args:
        task: what goes on.
        checkpoint: with the configuration of its run.
        config: of this run.
        path: of the checkpoint.
    """
    before = checkpoint["config"]
    keys = ", ".join([key for key, _, _ in changed(before, config)][:3]) or "what changes it"
    try:
        task.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        [_, first, *_] = [*str(error).splitlines(), ""]
        raise ValueError(
            f"checkpoint: expected the model whose weights are in {path!r}, got another one ({first.strip()}); leave "
            f"out {keys}, or begin anew without checkpoint="
        ) from error
    old, new = (each.get("optimizer", {}).get("_target_") for each in (before, config))
    if old != new:
        raise ValueError(
            f"checkpoint: expected the optimizer whose state is in {path!r}, {old}, got {new}; leave out optimizer=, "
            "or begin anew without checkpoint="
        )
    states = checkpoint.get("optimizer_states") or [{"param_groups": task.parameter_groups()}]
    stored, given = (
        {group.get("name", "all"): len(group["params"]) for group in groups}
        for groups in (states[0]["param_groups"], task.parameter_groups())
    )
    if stored != given:
        raise ValueError(
            f"checkpoint: expected the groups of parameters whose state is in {path!r}, {stored}, got {given}; leave "
            "out what changes groups=, or begin anew without checkpoint="
        )
    done, most = checkpoint.get("epoch", -1) + 1, config.get("trainer", {}).get("max_epochs")
    if most is not None and 0 <= most < done:
        raise ValueError(
            f"checkpoint: expected trainer.max_epochs of at least the {done} epochs of {path!r}, got {most}; raise it, "
            "or use an earlier checkpoint"
        )


class Renewal(Callback):
    """Lets new choices of a rate, a schedule or a length hold in a run that goes on.

    An optimiser and a schedule are restored with all their settings, old ones too. Where a choice has changed they get
    those that they would have had by now had it held from the beginning; moments and counts stay.

    Args:
        before: configuration of the checkpoint.
        now: configuration of this run.
    """

    def __init__(self, before: Mapping[str, Any], now: Mapping[str, Any]):
        super().__init__()
        self.needed = any(before.get(key) != now.get(key) for key in LENGTH_AND_RATE)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.needed:
            return
        found = pl_module.configure_optimizers()
        fresh = found["optimizer"] if isinstance(found, dict) else found
        if isinstance(found, dict):
            [restored] = trainer.lr_scheduler_configs
            schedule, passed = found["lr_scheduler"]["scheduler"], restored.scheduler.last_epoch
            with warnings.catch_warnings():
                # Its optimiser takes no steps.
                warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
                for _ in range(passed):
                    schedule.step()
            restored.scheduler.load_state_dict(schedule.state_dict())
        [optimizer] = trainer.optimizers
        for group, renewed in zip(optimizer.param_groups, fresh.param_groups, strict=True):
            settings = {key: value for key, value in renewed.items() if key != "params"}
            for key in [key for key in group if key != "params" and key not in settings]:
                del group[key]
            group.update(settings)
