"""`facetem analyze` over many files: side by side, going on after a bad one, and what is done is not done again."""

import errno
import json
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import typer

from facetem.analysis.analyze import Progress, analyze
from facetem.analysis.report import FILES, RESULT, check_output, save_analysis
from facetem.analysis.sample import as_counted, read_sample, save_sample
from facetem.app.command import TOO_LARGE, check_not_input, lacks_memory, one_line, say_error, step_progress
from facetem.app.micrographs import Batch, Task
from facetem.app.pace import pace
from facetem.app.results import particle_table
from facetem.core.errors import InputError
from facetem.core.words import number, printable
from facetem.data.digest import digest_of
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
    asked: Batch,
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
    batch = asked.tasks
    check_not_input([task.folder / name for task in batch for name in FILES], [task.file for task in batch])
    if [task.folder for task in batch] == [output]:  # one file, which fills the folder
        with step_progress(batch[0].file.name) as progress:
            result = analyze_job(batch[0], settings, progress)
        return int(_said(result).failed)
    waiting = [task for task in batch if not is_done(task, settings)]
    failed: dict[Path, tuple[str, str]] = {}  # name and reason, by the folder of the report
    if len(waiting) < len(batch):
        typer.echo(f"{len(batch) - len(waiting)} of {len(batch)} micrographs were analysed before")
    with (
        pace("micrographs") as show,
        executor_of(min(workers, len(waiting)), dask if waiting else None, output) as executor,
    ):
        show(len(batch) - len(waiting), len(batch))
        for done, (task, result) in enumerate(
            _results(waiting, settings, executor), len(batch) - len(waiting) + 1
        ):
            if result.hopeless:
                kept = f"{done - 1 - len(failed)} of {len(batch)} are finished and kept"
                raise InputError(f"{result.complaint}; stopped: {kept}, the same command goes on")
            if _said(result).failed:
                failed[task.folder] = (
                    printable(task.file.name),
                    printable(reason_of(result.complaint, task.file)),
                )
            show(done, len(batch))
    reports = [task.folder for task in batch if task.folder not in failed]
    if reports:
        sample = read_sample(
            reports, output, load_classifier(settings.classifier, device=settings.device).stated.confusion
        )
        notes = sorted(failed.values(), key=lambda one: as_counted(one[0]))
        page = save_sample(replace(sample, failed=notes, passed_over=asked.passed_over_words), output)
        typer.echo(f"{sample.contents}: {page}")
        for doubt in sample.doubts:
            say_error(doubt)
        if sample.duplicates:
            typer.echo(sample.duplicates_words)
    if asked.passed_over:
        typer.echo(f"passed over: {asked.passed_over_words}; --recursive analyses them too")
    return len(failed)


def reason_of(complaint: str, file: Path) -> str:
    """What is said of a file, without its path."""
    return complaint.partition(f"{file.name}: ")[2] or complaint


def _said(done: Done) -> Done:
    if done.line:
        typer.echo(done.line)
    if done.complaint:
        say_error(done.complaint)
    return done


def _results(
    waiting: list[Task], settings: Settings, executor: Executor | None
) -> Iterator[tuple[Task, Done]]:
    if executor is None:
        for task in waiting:
            yield task, analyze_job(task, settings)
        return
    begun = {executor.submit(analyze_job, _resolved(task), settings): task for task in waiting}
    try:
        for future in as_completed(begun):
            task = begun[future]
            try:
                yield task, future.result()
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
    lines = [f"{found.micrograph.name}{of}: {number(n, 'particle')}; report in {task.folder / 'report.html'}"]
    if n:
        lines.append(particle_table(found))
    return Done("\n".join(lines), f"{found.micrograph.name}: {found.warning}" if found.warning else "")
