"""`facetem export`: a folder for the Hub and a card, without a network; and what it refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.atoms.shapes import SHAPES
from facetem.data.digest import digest_of
from facetem.learn.predictor import load_classifier
from facetem.learn.restoration import load_restorer
from facetem.learn.weights_file import shipped


def run(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_hub_folder_has_what_the_hub_and_a_loader_want(tmp_path: Path) -> None:
    code, out, _ = run("export", "hub", "-o", tmp_path / "hub", "--no-onnx")
    assert code == 0
    names = ["README.md", "classifier.safetensors", "config.json", "restorer.safetensors"]
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == names
    assert out.split() == [str(tmp_path / "hub" / name) for name in names]
    told = json.loads((tmp_path / "hub" / "config.json").read_text(encoding="utf-8"))
    assert list(told["id2label"].values()) == list(SHAPES)
    assert told["pixel_size_angstrom"] == 0.4
    for name, load in (("classifier", load_classifier), ("restorer", load_restorer)):
        path = tmp_path / "hub" / f"{name}.safetensors"
        assert told[name]["sha256"] == digest_of(path) == digest_of(shipped(name))
        load(path, device="cpu")
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: gpl-3.0\n")
    source = card.split("```python\n")[1].split("```")[0]
    compile(source, "README.md", "exec")


def test_card_is_printed_or_written(tmp_path: Path) -> None:
    code, out, _ = run("export", "card")
    assert code == 0
    assert out == shipped("classifier").with_name("CARD.md").read_text(encoding="utf-8")
    assert run("export", "card", "-o", tmp_path / "card.md")[0] == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == out


@pytest.mark.parametrize("what", ["onnx", "hub"])
def test_a_folder_with_files_and_one_without_weights_are_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "note").write_text("mine")
    code, _, said = run("export", what, "-o", tmp_path)
    assert (code, said.count("\n")) == (2, 1)
    assert "a new or an empty folder" in said
    code, _, said = run("export", what, "-o", tmp_path / "new", "--weights", tmp_path)
    assert (code, said.count("\n")) == (2, 1)
    assert "classifier.safetensors: expected weights" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["note"]


def test_weights_without_a_card_are_refused(tmp_path: Path) -> None:
    for name in ("classifier", "restorer"):
        (tmp_path / f"{name}.safetensors").write_bytes(shipped(name).read_bytes())
    code, _, said = run("export", "card", "--weights", tmp_path)
    assert code == 2
    assert "expected a model card" in said
