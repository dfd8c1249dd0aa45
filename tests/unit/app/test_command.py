from pathlib import Path
from typing import get_args

import pytest
import torch
import typer
from typer.testing import CliRunner

from facetem.app.cli import ImageFile
from facetem.app.command import Commands, check_not_input, check_suffix, lacks_memory, one_line
from facetem.core.errors import InputError
from facetem.core.files import whole_file
from facetem.data.formats import EXTENSIONS


def program(error: BaseException | None) -> typer.Typer:
    """A command line with one command that raises an error."""
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @app.callback()
    def root(traceback: bool = False) -> None:
        pass

    @app.command()
    def work() -> None:
        if error:
            raise error

    return app


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frob"], "No such command 'frob'; see root --help"),
        (["--frob"], "No such option: --frob; see root --help"),
        (["work", "--frob"], "No such option: --frob; see root work --help"),
    ],
)
def test_a_wrong_option_is_one_line_that_says_where_they_are_listed(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(program(None), arguments, prog_name="root")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [f"facetem: {said}"]


def test_success_is_silent() -> None:
    result = CliRunner().invoke(program(None), ["work"])
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("dose: expected\n  a number"), "dose: expected a number"),
        (FileNotFoundError(2, "No such file or directory", "a.tif"), "a.tif: No such file or directory"),
        (ValueError(), "ValueError"),
    ],
)
def test_bad_input_is_one_line_and_status_2(error: Exception, said: str) -> None:
    assert one_line(error) == said
    result = CliRunner().invoke(program(error), ["work"])
    assert (result.exit_code, result.stderr, result.stdout) == (2, f"facetem: {said}\n", "")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 12. GiB"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 12.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried ..."
        ),
        RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes. Error code 12"
        ),
    ],
)
def test_too_little_memory_is_one_line_and_status_2(error: Exception) -> None:
    assert lacks_memory(error)
    result = CliRunner().invoke(program(error), ["work"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("facetem: this does not fit into memory")
    assert len(result.stderr.splitlines()) == 1


def test_other_errors_of_pytorch_are_not_taken_for_it() -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not lacks_memory(error)
    assert CliRunner().invoke(program(error), ["work"]).exception is error


def test_what_pytorch_says_when_memory_cannot_be_had() -> None:
    with pytest.raises(RuntimeError) as told:
        torch.empty(2**60, dtype=torch.uint8)
    assert lacks_memory(told.value)


def test_an_output_that_is_an_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    (tmp_path / "link.tif").symlink_to("a.tif")
    (tmp_path / "hard.tif").hardlink_to(tmp_path / "a.tif")
    for name in ("a.tif", "link.tif", "hard.tif", "../" + tmp_path.name + "/a.tif"):
        with pytest.raises(InputError, match="another file than the input"):
            check_not_input(
                [tmp_path / "new.tif", tmp_path / name], [tmp_path / "absent", tmp_path / "a.tif"]
            )
    check_not_input([tmp_path / "new.tif"], [tmp_path / "a.tif"])
    check_not_input([tmp_path / "absent"], [tmp_path / "absent"])


def test_interrupt_is_status_130() -> None:
    result = CliRunner().invoke(program(KeyboardInterrupt()), ["work"])
    assert (result.exit_code, result.stderr) == (130, "facetem: interrupted\n")


def test_a_bug_is_not_taken_for_bad_input() -> None:
    result = CliRunner().invoke(program(ZeroDivisionError("a bug")), ["work"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_traceback_lets_the_error_through() -> None:
    result = CliRunner().invoke(program(ValueError("x")), ["--traceback", "work"])
    assert isinstance(result.exception, ValueError)


def test_whole_file_appears_when_the_work_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "image.ome.tif"
    with whole_file(target) as partial:
        assert partial.suffix == ".tif"
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("before", [None, "old"])
def test_whole_file_leaves_things_as_they_were_after_a_failure(tmp_path: Path, before: str | None) -> None:
    target = tmp_path / "image.tif"
    if before:
        target.write_text(before)

    def fail() -> None:
        with whole_file(target) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.read_text() for p in tmp_path.iterdir()] == ([before] if before else [])


def test_whole_file_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got a folder"), whole_file(tmp_path):
        pass


def test_check_suffix_takes_either_case() -> None:
    check_suffix(Path("a.TIF"), (".tif",))
    with pytest.raises(InputError, match=r"\.tif, \.npy"):
        check_suffix(Path("a.jpg"), (".tif", ".npy"))


def test_the_help_names_every_format_that_is_read() -> None:
    """... and no other: an argument's help is what a user sees of `data.formats`."""
    told = get_args(ImageFile)[1].help.replace(" or ", ", ").rstrip(".").split(", ")
    assert sorted(told) == sorted(set(EXTENSIONS) - {"tiff", "jpeg"})
