"""Progress of long work: how far, how fast, and how long it will take, on a terminal or in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from facetem.app.command import say_error

EVERY = 30.0  # s between two lines in a log


@contextmanager
def pace(what: str, every: float = EVERY) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr, elsewhere a line now and then; call what it yields with (done, total) of `what`.

    The first call is where the work begins: only what is done after it counts for the rate.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    begun: tuple[int, float] | None = None
    told = monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int) -> None:
            nonlocal begun, told
            now = monotonic()
            begun = begun or (done, now)
            rate = rate_and_rest(done - begun[0], total - done, now - begun[1])
            bar.update(task, description=rate, completed=done, total=total)
            if not console.is_terminal and now - told >= every:
                told = now
                say_error(f"{done} of {total} {what}, {rate}")

        yield show


def rate_and_rest(done: int, left: int, seconds: float) -> str:
    """How many a second, and the time that the rest will take at that rate."""
    if done <= 0 or seconds <= 0:
        return "rate not known yet"
    rate = done / seconds
    return f"{rate:.3g}/s, {duration(left / rate)} left"


def duration(seconds: float) -> str:
    """A time as one reads it: 40 s, 12 min, 3 h 20 min, 2 d 5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
