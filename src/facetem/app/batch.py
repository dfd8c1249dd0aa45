"""`facetem analyze` over many files: what to read, where to write, and going on after a bad one."""

import errno
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import typer

from facetem.analysis.analyze import Progress, analyze
from facetem.analysis.page_parts import number
from facetem.analysis.report import FILES, RESULT, check_output, save_analysis
from facetem.analysis.sample import read_sample, save_sample
from facetem.analysis.sample_scale import sample_doubts
from facetem.app.command import (
    TOO_LARGE,
    check_not_input,
    lacks_memory,
    one_line,
    say_error,
    step_progress,
)
from facetem.app.pace import pace
from facetem.app.results import particle_table
from facetem.core.errors import InputError
from facetem.data.digest import digest_of
from facetem.data.formats import EXTENSIONS, frames_in
from facetem.data.movies import movie_words
from facetem.data.pool import executor_of, lost
from facetem.learn.predictor import Classifier, load_classifier
from facetem.learn.restoration import Restorer, load_restorer
from facetem.learn.weights_file import shipped


def check_folder(folder: Path) -> None:
    """Raise InputError if `folder` can be neither written to nor made; leave no trace of having tried."""
    for made in check_output(folder):
        made.rmdir()


GONE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN)


@dataclass(frozen=True)
class Task:
    """A micrograph to analyse, one frame of it if it is a movie taken apart, and the folder for its report."""

    file: Path
    folder: Path
    frame: int | None = None


def find_micrographs(paths: list[Path], output: Path, *, frames: bool = False) -> list[Task]:
    """The micrographs among `paths` and in the folders among them, with `frames` every frame of a movie by itself.

    The report of a single one goes into `output` itself, those of several into a folder each, named after the
    file and the frame. Files of other types in a folder are passed over, with a note.

    Raises
    ------
    InputError
        If a path does not exist, or a folder holds no micrograph.
    """
    files: list[Path] = []
    for path in paths:
        files += _micrographs_in(path) if path.is_dir() and path.suffix.lower() != ".zspy" else [path]
    if len(paths) == 1 and files == paths and not frames:
        return [Task(paths[0], output)]
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else file.name for file in files]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise InputError(
            f"input: expected files of different names, got {twice[0]} more than once; analyse them apart"
        )
    named = zip(files, names, strict=True)
    return [
        task
        for file, name in named
        for task in (_frames(file, output / name) if frames else [Task(file, output / name)])
    ]


def _frames(file: Path, folder: Path) -> list[Task]:
    """Every frame of a file; the file as it is if it has one, or cannot be read, which is said when its turn comes."""
    try:
        number = frames_in(file)
    except InputError:
        number = 1
    if number == 1:
        return [Task(file, folder)]
    return [Task(file, folder.with_name(f"{folder.name}-{frame:04d}"), frame) for frame in range(number)]


def _micrographs_in(folder: Path) -> list[Path]:
    visible = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    found = [p for p in visible if p.suffix.lower().lstrip(".") in EXTENSIONS]
    series = {p.stem.rpartition("_")[0] for p in found if p.suffix.lower() == ".ser"}
    # The emi of TIA holds no pixels but those of the ser files beside it.
    found = [p for p in found if p.suffix.lower() != ".emi" or p.stem not in series]
    if not found:
        raise InputError(f"{folder}: expected files of type {', '.join(EXTENSIONS)}, got none")
    others = [p.name for p in visible if p not in found and p.is_file()]
    if others:
        say_error(f"{folder}: passed over {', '.join(others)}, not of a type that is read")
    return found


@dataclass(frozen=True)
class Settings:
    """What every micrograph of a batch is analysed with: pixel size [Å/px] (None: the file's own), weights (None: those
    of the package), device."""

    sampling: float | None = None
    classifier: Path | None = None
    restorer: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Done:
    """What became of a micrograph: a line to print, its warning or error in one line, whether it failed, and whether
    all others would fail for the same reason."""

    line: str
    complaint: str = ""
    failed: bool = False
    hopeless: bool = False


def analyze_batch(
    batch: list[Task],
    output: Path,
    settings: Settings,
    *,
    workers: int = 1,
    dask: str | None = None,
) -> int:
    """Analyse every micrograph, and sum several up in `output`; name the bad ones on stderr and return how many there
    were.

    What was analysed before with the same weights is not analysed again.

    Raises
    ------
    InputError
        If a report would be written over one of the micrographs, or no report can be written any more.
    """
    check_not_input([task.folder / name for task in batch for name in FILES], [task.file for task in batch])
    if [task.folder for task in batch] == [output]:  # one file, which fills the folder
        with step_progress(batch[0].file.name) as progress:
            result = analyze_job(batch[0], settings, progress)
        return int(_said(result).failed)
    waiting = [task for task in batch if not is_done(task, settings)]
    failed: set[Path] = set()
    if len(waiting) < len(batch):
        typer.echo(f"{len(batch) - len(waiting)} of {len(batch)} micrographs were analysed before")
    with (
        pace("micrographs") as show,
        executor_of(min(workers, len(waiting)), dask if waiting else None, output) as executor,
    ):
        show(len(batch) - len(waiting), len(batch))
        for done, (folder, result) in enumerate(
            _results(waiting, settings, executor), len(batch) - len(waiting) + 1
        ):
            if result.hopeless:
                kept = f"{done - 1 - len(failed)} of {len(batch)} are finished and kept"
                raise InputError(f"{result.complaint}; stopped: {kept}, the same command goes on")
            if _said(result).failed:
                failed.add(folder)
            show(done, len(batch))
    reports = [task.folder for task in batch if task.folder not in failed]
    if reports:
        sample = read_sample(reports, load_classifier(settings.classifier, device=settings.device).confusion)
        page = save_sample(sample, output)
        typer.echo(f"{number(len(sample.table), 'particle')} of {number(len(reports), 'micrograph')}: {page}")
        for doubt in sample_doubts(reports):
            say_error(doubt)
    return len(failed)


def _said(done: Done) -> Done:
    if done.line:
        typer.echo(done.line)
    if done.complaint:
        say_error(done.complaint)
    return done


def _results(
    waiting: list[Task], settings: Settings, executor: Executor | None
) -> Iterator[tuple[Path, Done]]:
    if executor is None:
        for task in waiting:
            yield task.folder, analyze_job(task, settings)
        return
    begun = {executor.submit(analyze_job, _resolved(task), settings): task for task in waiting}
    try:
        for future in as_completed(begun):
            task = begun[future]
            try:
                yield task.folder, future.result()
            except lost():
                raise InputError(
                    f"{task.file}: a process that worked on it was killed, for want of memory perhaps; the same goes on"
                ) from None
    finally:
        for future in begun:
            future.cancel()


def _resolved(task: Task) -> Task:
    """For a process that may be elsewhere."""
    return replace(task, file=task.file.resolve(), folder=task.folder.resolve())


def is_done(task: Task, settings: Settings) -> bool:
    """Whether the folder holds the whole result of this file and frame, of the same contents, with the same weights and
    version."""
    try:
        told = json.loads((task.folder / RESULT).read_text(encoding="utf-8"))
        of, scale = told["provenance"], told["micrograph"]["pixel_size_nm"]
        same = [
            of["facetem"] == version("facetem"),
            of["sha256"] == digest_of(task.file),
            told["micrograph"]["metadata"].get("frame") == task.frame,
            of["classifier"]["sha256"] == digest_of(settings.classifier or shipped("classifier")),
            of["restorer"]["sha256"] == digest_of(settings.restorer or shipped("restorer")),
            # One that was given before is no longer, if it is not given again.
            told["micrograph"]["metadata"]["pixel_size_from"] == "file"
            if settings.sampling is None
            else abs(scale * 10 / settings.sampling - 1) < 1e-6,
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(same)


def _hopeless(task: Task, error: Exception) -> bool:
    """Whether the disk is full, or the folder of the input or of the output has gone."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return not task.file.parent.exists() or (isinstance(cause, OSError) and cause.errno in GONE)


@lru_cache(maxsize=1)
def _networks(settings: Settings) -> tuple[Classifier, Restorer]:
    return (
        load_classifier(settings.classifier, device=settings.device),
        load_restorer(settings.restorer, device=settings.device),
    )


def analyze_job(task: Task, settings: Settings, progress: Progress | None = None) -> Done:
    """One micrograph, here or in another process."""
    shapes, contrast = _networks(settings)
    try:
        found = analyze(
            task.file,
            sampling=settings.sampling,
            frame=task.frame,
            classifier=shapes,
            restorer=contrast,
            device=settings.device,
            progress=progress,
        )
        save_analysis(found, task.folder)
    except (ValueError, OSError) as error:
        return Done("", one_line(error), failed=True, hopeless=_hopeless(task, error))
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        return Done("", f"{task.file}: {TOO_LARGE}", failed=True)
    n = len(found.particles)
    movie = movie_words(found.micrograph.metadata)
    of = f" ({movie})" if movie else ""
    lines = [
        f"{found.micrograph.name}{of}: {n} particle{'' if n == 1 else 's'}; "
        f"report in {task.folder / 'report.html'}"
    ]
    if n:
        lines.append(particle_table(found))
    return Done("\n".join(lines), f"{found.micrograph.name}: {found.warning}" if found.warning else "")
