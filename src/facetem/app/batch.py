"""`facetem analyze` over many files: what to read, where to write, and going on after a bad one."""

from collections import Counter
from pathlib import Path

import typer

from facetem.analysis.analyze import Analysis, analyze
from facetem.analysis.report import check_output, save_analysis
from facetem.app.command import one_line, say_error, step_progress
from facetem.app.results import print_particles
from facetem.core.errors import InputError
from facetem.data.formats import EXTENSIONS
from facetem.learn.predictor import load_classifier
from facetem.learn.restoration import load_restorer


def check_folder(folder: Path) -> None:
    """Raise InputError if `folder` can be neither written to nor made; leave no trace of having tried."""
    for made in check_output(folder):
        made.rmdir()


def find_micrographs(paths: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """The micrographs among `paths` and in the folders among them, each with the folder for its report.

    The report of a single file goes into `output` itself, those of several into a folder each, named after the
    file. Files of other types in a folder are passed over, with a note.

    Raises
    ------
    InputError
        If a path does not exist, or a folder holds no micrograph.
    """
    files: list[Path] = []
    for path in paths:
        files += _micrographs_in(path) if path.is_dir() and path.suffix.lower() != ".zspy" else [path]
    if len(paths) == 1 and files == paths:
        return [(paths[0], output)]
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else file.name for file in files]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise InputError(
            f"input: expected files of different names, got {twice[0]} more than once; analyse them apart"
        )
    return [(file, output / name) for file, name in zip(files, names, strict=True)]


def _micrographs_in(folder: Path) -> list[Path]:
    visible = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    found = [p for p in visible if p.suffix.lower().lstrip(".") in EXTENSIONS]
    if not found:
        raise InputError(f"{folder}: expected files of type {', '.join(EXTENSIONS)}, got none")
    others = [p.name for p in visible if p not in found and p.is_file()]
    if others:
        say_error(f"{folder}: passed over {', '.join(others)}, not of a type that is read")
    return found


def analyze_batch(
    batch: list[tuple[Path, Path]],
    *,
    sampling: float | None,
    classifier: Path | None,
    restorer: Path | None,
    device: str,
) -> int:
    """Analyse every (micrograph, report folder); name the bad ones on stderr and return how many there were."""
    shapes = load_classifier(classifier, device=device)
    contrast = load_restorer(restorer, device=device)
    failed = 0
    for file, folder in batch:
        try:
            with step_progress(file.name) as progress:
                found = analyze(
                    file,
                    sampling=sampling,
                    classifier=shapes,
                    restorer=contrast,
                    device=device,
                    progress=progress,
                )
                save_analysis(found, folder)
        except (ValueError, OSError) as error:
            say_error(one_line(error))
            failed += 1
        else:
            _tell(found, folder)
    return failed


def _tell(found: Analysis, folder: Path) -> None:
    n = len(found.particles)
    typer.echo(
        f"{found.micrograph.name}: {n} particle{'' if n == 1 else 's'}; report in {folder / 'report.html'}"
    )
    if n:
        print_particles(found)
    if found.warning:
        say_error(f"{found.micrograph.name}: {found.warning}")
