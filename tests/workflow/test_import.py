"""Importing the package and asking for help must stay free of what only work needs."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "matplotlib", "scipy", "skimage", "ase", "rsciio", "pydantic")


def loaded_after(statement: str) -> set[str]:
    """The HEAVY modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import facetem", "import facetem.app.cli", "import facetem; dir(facetem)"]
)
def test_import_loads_nothing_heavy(statement: str) -> None:
    assert loaded_after(statement) == set()


def test_a_public_name_loads_what_it_needs() -> None:
    assert "torch" in loaded_after("import facetem; facetem.simulate")


def test_public_names_are_few_and_all_there() -> None:
    import facetem

    assert len(facetem.__all__) <= 15
    for name in facetem.__all__:
        assert getattr(facetem, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    import facetem

    with pytest.raises(AttributeError, match="nonsense"):
        _ = facetem.nonsense
