"""The two checkpoints of a run: its best model so far, also after an interruption, and the last epoch."""

import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from ...core.checks import warn
from ..checkpoints import load_checkpoint, replacing


class BestModel(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, which a resumed run goes on with in its own folder.

    Lightning forgets the best models so far as soon as the folder is another one. Here they are copied into it, with
    their scores, so that a run that was interrupted ends with the model of one that was not.
    """

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["callbacks"].get(self.state_key)
        if state is None:
            return
        # All paths are made anew: those of the file may be anywhere, and Lightning deletes models that are outdone.
        kept: dict[str, Any] = {}
        for path, score in state["best_k_models"].items():
            found = self._find(Path(path), Path(trainer.ckpt_path).parent, score)
            if found is None:
                warn(
                    f"BestModel: expected the best model so far in {path!r}, found none; the test will take the best "
                    "of the epochs to come: put the file beside the checkpoint to go on from"
                )
                continue
            source, score = found
            target = Path(self.dirpath) / source.name
            if trainer.is_global_zero and source.resolve() != target.resolve():
                target.parent.mkdir(parents=True, exist_ok=True)
                replacing(target, lambda temporary, source=source: shutil.copyfile(source, temporary))
            kept[str(target)] = score
        if not kept:
            del checkpoint["callbacks"][self.state_key]
            return
        best, worst = (min, max) if self.mode == "min" else (max, min)
        best_path, worst_path = best(kept, key=kept.get), worst(kept, key=kept.get)
        checkpoint["callbacks"][self.state_key] = {
            **state,
            "dirpath": self.dirpath,
            "best_k_models": kept,
            "best_model_path": best_path,
            "best_model_score": kept[best_path],
            "kth_best_model_path": worst_path,
            "kth_value": kept[worst_path],
            "last_model_path": "",
        }

    def _find(self, path: Path, beside: Path, score: Any) -> tuple[Path, Any] | None:
        """The file of a model and its score: where it was, or, if the folder was moved, beside the last checkpoint.

        A run that was killed between its two checkpoints of an epoch leaves a model that is newer and better than the
        last checkpoint knows.
        """
        for candidate in (beside / path.name, path):
            try:
                own = load_checkpoint(candidate)["callbacks"][self.state_key]["current_score"]
            except (OSError, ValueError, KeyError):
                continue
            if own == score or (own < score if self.mode == "min" else own > score):
                return candidate, own
        return None


class LastModel(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, which begins anew when a run is resumed: the last epoch is always its own."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass
