"""Which micrographs `facetem analyze` is given, and where the report of each goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from facetem.analysis.report import FILES, RESULT
from facetem.app.command import say_error
from facetem.core.errors import InputError
from facetem.core.words import number
from facetem.data.formats import EXTENSIONS, frames_in


@dataclass(frozen=True)
class Task:
    """A micrograph to analyse, one frame of it if it is a movie taken apart, and the folder for its report."""

    file: Path
    folder: Path
    frame: int | None = None


@dataclass(frozen=True)
class Batch:
    """The micrographs to analyse, and how many lie in each folder that was not looked into."""

    tasks: list[Task]
    passed_over: dict[Path, int] = field(default_factory=dict)

    @property
    def passed_over_words(self) -> str:
        """The folders that were passed over; empty if there are none."""
        return ", ".join(f"{folder} ({number(n, 'micrograph')})" for folder, n in self.passed_over.items())


def find_micrographs(
    paths: list[Path], output: Path, *, frames: bool = False, recursive: bool = False
) -> Batch:
    """The micrographs among `paths` and in the folders among them, if `recursive` in the folders of these too; with
    `frames` every frame of a movie by itself.

    The report of a single one goes into `output` itself, those of several into a folder each, named after the file and
    the frame, within folders that are named as those of the files. Files of other types in a folder are passed over,
    with a note. Folders of reports are not looked into, and of a folder that holds one beside its micrographs the
    report's pictures are left out.

    Raises
    ------
    InputError
        If a path does not exist, or a folder holds no micrograph.
    """
    files: list[tuple[Path, Path]] = []  # and their names from the folder that was given
    passed_over: dict[Path, int] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: expected a micrograph or a folder of them, got no such file")
        if not _is_folder(path):
            files.append((path, Path(path.name)))
            continue
        inside = _micrographs_in(path, output, passed_over, recursive=recursive)
        files += [(file, file.relative_to(path)) for file in inside]
    if len(paths) == 1 and [file for file, _ in files] == paths and not frames:
        return Batch([Task(paths[0], output)])
    stems = Counter(name.with_suffix("") for _, name in files)
    names = [name if stems[name.with_suffix("")] > 1 else name.with_suffix("") for _, name in files]
    tasks = [Task(file, output / name) for (file, _), name in zip(files, names, strict=True)]
    tasks = [one for task in tasks for one in (_frames(task) if frames else [task])]
    twice = [folder for folder, n in Counter(task.folder for task in tasks).items() if n > 1]
    if twice:
        raise InputError(
            f"input: expected files of different names, got {twice[0].relative_to(output)} more than once; "
            "analyse them apart"
        )
    return Batch(tasks, passed_over)


def _frames(task: Task) -> list[Task]:
    """Every frame of a file; the file as it is if it has one, or cannot be read, which is said when its turn comes."""
    try:
        number = frames_in(task.file)
    except InputError:
        number = 1
    if number == 1:
        return [task]
    folder = task.folder
    return [Task(task.file, folder.with_name(f"{folder.name}-{frame:04d}"), frame) for frame in range(number)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() != ".zspy"


def _micrographs_in(
    folder: Path, output: Path, passed_over: dict[Path, int], *, recursive: bool
) -> list[Path]:
    """Those of a folder; what lies deeper is either among them or counted in `passed_over`."""
    found, others, folders = _listing(folder)
    if _holds_report(folder):
        found = [file for file in found if file.name not in FILES]
    seen = {folder.resolve(), output.resolve()}
    deeper = {inner: _tree(inner, seen) for inner in folders}
    if recursive:
        found += [file for files in deeper.values() for file in files]
    else:
        passed_over |= {inner: len(files) for inner, files in deeper.items() if files}
    if not found:
        hint = ", ".join(inner.name for inner, files in deeper.items() if files)
        raise InputError(
            f"{folder}: expected files of type {', '.join(EXTENSIONS)}, got none"
            + (f"; with --recursive those in its folders are analysed: {hint}" if hint else "")
        )
    if others:
        say_error(f"{folder}: passed over {', '.join(others)}, not of a type that is read")
    return found


def _tree(folder: Path, seen: set[Path]) -> list[Path]:
    """The micrographs in a folder and in all that it holds, but for those `seen` before, to which links may lead, and
    for reports, whose pictures are none."""
    place = folder.resolve()
    if place in seen or _holds_report(folder):
        return []
    seen.add(place)
    try:
        found, _, folders = _listing(folder)
    except OSError as error:
        say_error(f"{folder}: passed over, {(error.strerror or str(error)).lower()}")
        return []
    return found + [file for inner in folders for file in _tree(inner, seen)]


def _holds_report(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("report.html", RESULT))


def _listing(folder: Path) -> tuple[list[Path], list[str], list[Path]]:
    """The micrographs in a folder, the names of its other files, and its folders."""
    visible = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    folders = [p for p in visible if _is_folder(p)]
    files = [p for p in visible if p not in folders]
    found = [p for p in files if p.suffix.lower().lstrip(".") in EXTENSIONS]
    series = {p.stem.rpartition("_")[0] for p in found if p.suffix.lower() == ".ser"}
    # The emi of TIA holds no pixels but those of the ser files beside it.
    found = [p for p in found if p.suffix.lower() != ".emi" or p.stem not in series]
    return found, [p.name for p in files if p not in found], folders
