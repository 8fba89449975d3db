"""A bar that shows how much of a run is over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[float, float], None]


@contextmanager
def shown(progress: bool | Tell, duration: float) -> Iterator[Tell | None]:
    """The function that is told of progress: that of the user, or one that moves a bar on the terminal.

    Args:
        progress: whether there is a bar, or the function.
        duration: of the run, ms.
    """
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.completed:,.0f} of {task.total:,.0f} ms"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[factor]:.3g} times real time")) as bar:
        task = bar.add_task("", total=duration, factor=0.0)
        yield lambda done, factor: bar.update(task, completed=done, factor=factor)
