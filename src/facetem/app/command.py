"""What every command shares: errors as one line, the device, progress, and output that is whole or absent."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from facetem.core.errors import InputError

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, what a shell expects of a program that Ctrl-C ended
TOO_LARGE = "does not fit into memory; take a smaller part, or a machine with more"
_USAGE: Any = typer.BadParameter.__bases__[0]  # "usage error", of Click or of the copy of it that Typer has
_NO_MEMORY = ("not enough memory", "can't allocate memory")  # PyTorch's words, on Windows and elsewhere


class Device(StrEnum):
    """Where to compute; `auto` is the GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Side(StrEnum):
    """Where a particle lies on its film."""

    entrance = "entrance"
    exit = "exit"


class Film(StrEnum):
    """What a particle lies on."""

    realistic = "realistic"
    random = "random"
    none = "none"


class Network(StrEnum):
    """What can be trained."""

    classifier = "classifier"
    restorer = "restorer"
    release = "release"  # both, tested, with their model card


class Suite(StrEnum):
    """Sets of measurements."""

    standard = "standard"


DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute.")]
SeedOption = Annotated[int, typer.Option("--seed", help="The same seed gives the same result.")]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", help="Processes. Default: one per core; on a GPU, 1."),
]
DaskOption = Annotated[
    str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler: tcp://host:8786.")
]


def processes(workers: int | None, dask: str | None, device: str) -> int:
    """How many processes of this machine are to work.

    Raises
    ------
    InputError
        If both `workers` and `dask` are given, `workers` is below 1, or the device is not there.
    """
    from facetem.data.workers import cores
    from facetem.hrtem.simulate import resolve_device

    if workers is not None and dask is not None:
        raise InputError("expected one of --workers and --dask, got 2")
    if workers is not None and workers < 1:
        raise InputError(f"workers: expected at least 1, got {workers}")
    return workers or (1 if resolve_device(device).startswith("cuda") else cores())


class Commands(TyperGroup):
    """A command group that answers bad input with one line on stderr and exit status 2."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _usage_told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _usage_told():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            say_error("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # the reader of our output has left: no bad input, and nobody to tell
        except (ValueError, OSError) as error:
            if ctx.params.get("traceback"):
                raise
            say_error(one_line(error))
            raise typer.Exit(BAD_INPUT) from None
        except (MemoryError, RuntimeError) as error:
            if ctx.params.get("traceback") or not lacks_memory(error):
                raise
            say_error(f"this {TOO_LARGE}")
            raise typer.Exit(BAD_INPUT) from None


@contextmanager
def _usage_told() -> Iterator[None]:
    """What is wrong with the options, in one line that says where they are listed; a command without any shows its
    help."""
    try:
        yield
    except _USAGE as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        where, what = getattr(error, "ctx", None), " ".join(error.format_message().split())
        say_error(f"{what.rstrip('.')}; see {where.command_path if where else 'facetem'} --help")
        raise typer.Exit(BAD_INPUT) from None


def lacks_memory(error: BaseException) -> bool:
    """Whether memory could not be had. PyTorch says so on the CPU by a RuntimeError that only its words tell from
    others."""
    if (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    ):  # of torch, not imported for this
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def one_line(error: BaseException) -> str:
    """The message of an error as one line, with the file that an operating system error is about."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())


def say_error(message: str) -> None:
    """One line on stderr, as long as it is: a wrapped path can be neither copied nor searched for."""
    typer.echo(f"facetem: {message}", err=True)


@contextmanager
def step_progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for as long as the context lasts; call what it yields with (step, done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # In a log file a bar would be no more than empty lines.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def show(step: str, done: int, total: int) -> None:
            bar.update(task, description=f"{title}: {step}", completed=done, total=total)

        yield show


@contextmanager
def progress_bar(step: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work of one step; call what it yields with (done, total)."""
    with step_progress("facetem") as show:
        yield lambda done, total: show(step, done, total)


@contextmanager
def percent_bar(step: str) -> Iterator[Callable[[float, dict[str, float]], None]]:
    """A bar for work that is measured by its part done; call what it yields with (part, figures to show)."""
    with step_progress("facetem") as show:

        def tell(part: float, figures: dict[str, float]) -> None:
            told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            show(f"{step} ({told})", round(1000 * part), 1000)

        yield tell


def given(ctx: typer.Context, *names: str) -> list[str]:
    """Those of the options `names` that the user gave, as they are written."""
    return [
        f"--{name.replace('_', '-')}"
        for name in names
        if getattr(ctx.get_parameter_source(name), "name", "") != "DEFAULT"
    ]


def check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    """Raise InputError if the output `path` has none of the `suffixes`."""
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"output {path}: expected a name ending in {', '.join(suffixes)}; choose one of them"
        )


def check_not_input(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise InputError if one of the `outputs` is one of the files that are read, under whatever path or link."""
    read = {_file(path) for path in inputs} - {None}
    for path in outputs:
        if _file(path) in read:
            raise InputError(
                f"output {path}: expected another file than the input; choose another name or folder"
            )


def _file(path: Path) -> tuple[int, int] | None:
    """What tells a file from others, as `os.path.samefile` does; None if there is none."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_dev, told.st_ino


_UNITS = {"s": 1 / 60, "m": 1.0, "min": 1.0, "h": 60.0, "d": 1440.0}


def minutes_of(budget: str) -> float:
    """Minutes of a time such as `9m`, `90 s` or `2.5h`; a bare number is minutes.

    Raises
    ------
    InputError
        If it is no such time.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", budget)
    if found is None or (found[2] or "m") not in _UNITS or float(found[1]) <= 0:
        raise InputError(f"budget: expected a time above 0 such as 90s, 9m or 3h, got {budget!r}")
    return float(found[1]) * _UNITS[found[2] or "m"]


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """The numbers in a text such as `1,2,4,4`.

    Raises
    ------
    InputError
        If they are not all whole and above 0.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"{name}: expected whole numbers above 0 such as 1,2,4,4, got {text!r}")
    return tuple(int(part) for part in parts)
