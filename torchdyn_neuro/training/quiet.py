"""What Lightning says that does not apply here."""

import logging
import sys
import warnings


def quieten() -> None:
    """Silence hints of Lightning that do not apply: the data are tensors in memory and need no workers."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*logging interval.*",
        ".*IterableDataset.*",
        ".*LeafSpec.*",
        ".*dirpath has changed.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    if not sys.stdout.isatty():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"lightning\..*")
    # Our own callbacks, which Lightning calls, have something to say.
    warnings.filterwarnings("default", message="(BestModel|Health): ")
