"""The examples of docs/interoperability.md run as they stand, in a folder of their own."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "interoperability.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
NEEDS = {"hyperspy": "hyperspy", "onnxruntime": "onnxscript", "huggingface_hub": "huggingface_hub"}


def run(source: str) -> None:
    exec(compile(source, str(PAGE), "exec"), {})


def example_with(package: str) -> str:
    pytest.importorskip(NEEDS[package])
    (source,) = [text for text in EXAMPLES if package in text]
    return source


def test_there_is_an_example_of_each() -> None:
    assert len(EXAMPLES) == len(NEEDS)


@pytest.mark.slow
def test_hyperspy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = example_with("hyperspy")
    import matplotlib.pyplot as plt

    run(source)
    plt.close("all")
    title, answer = capsys.readouterr().out.splitlines()[-2:]
    assert title.startswith("gold, restored nm 100")
    assert answer.split()[0] in ("accepted", "abstained", "unknown")
    assert (tmp_path / "restored.hspy").is_file()


@pytest.mark.slow
def test_onnx(
    exported_graphs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = example_with("onnxruntime")
    monkeypatch.chdir(tmp_path)
    Path("graphs").symlink_to(exported_graphs)
    run(source)
    assert capsys.readouterr().out.splitlines() == ["none of these"] * 3  # noise


def test_hugging_face(capsys: pytest.CaptureFixture[str]) -> None:
    run(example_with("huggingface_hub"))
    assert "Macro-averaged accuracy 0." in capsys.readouterr().out


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / link).exists(), link
