"""The pictures of the guide: each script in ``docs/figures`` has a function ``draw`` that returns a figure."""

import runpy

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from . import DOCS, MADE
from .responses import STYLE


def make() -> None:
    """Draw all that are older than their script."""
    target = MADE / "figures"
    target.mkdir(parents=True, exist_ok=True)
    for script in sorted((DOCS / "figures").glob("*.py")):
        picture = target / f"{script.stem}.svg"
        if not picture.exists() or picture.stat().st_mtime < script.stat().st_mtime:
            with plt.rc_context(STYLE):
                figure = runpy.run_path(str(script))["draw"]()
                figure.savefig(picture, metadata={"Date": None})
                plt.close(figure)
