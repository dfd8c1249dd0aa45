"""Files that are whole or absent."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facetem.core.errors import InputError


def begun(path: Path, make: Callable[[Path], None]) -> Path:
    """A new name beside `path`, of the same suffix, at which `make` has made a file or a folder.

    Raises
    ------
    InputError
        If it cannot be made there.
    """
    partial = path.with_name(f".{path.stem}-{os.getpid()}.partial{path.suffix}")
    try:
        make(partial)
    except OSError as error:
        raise InputError(
            f"output {path}: expected a folder that can be written to, got '{error.strerror}'; "
            "create the folder or choose another"
        ) from error
    return partial


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix, that takes its place if the context ends well.

    Enter it before the long work: a folder that cannot be written to is found at once.

    Raises
    ------
    InputError
        If no file can be created in the folder of `path`, or `path` is a folder.
    """
    if path.is_dir():
        raise InputError(f"output {path}: expected a file, got a folder; add a file name")
    partial = begun(path, lambda partial: partial.touch(exist_ok=False))
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8, with a ? for what that cannot hold) or bytes at once: a reader, and whoever goes on after a
    stop, finds all of it or what was there before."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode(errors="replace") if isinstance(content, str) else content)
