from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from facetem.app.command import Commands, check_suffix, one_line, whole_file
from facetem.core.errors import InputError


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
