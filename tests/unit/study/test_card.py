"""The head of model cards: it parses, says what the Hub asks for, and no other figures than the text."""

import re
from typing import Any

import pytest
import yaml

from facetem.core.errors import InputError
from facetem.learn.weights_file import shipped
from facetem.study.card_metadata import metadata_of, with_metadata, without_metadata

CARD = shipped("classifier").with_name("CARD.md").read_text(encoding="utf-8")


def head(card: str) -> dict[str, Any]:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def metrics(card: str) -> dict[str, float]:
    return {
        metric["name"]: metric["value"]
        for model in head(card)["model-index"]
        for result in model["results"]
        for metric in result["metrics"]
    }


def test_the_shipped_card_says_what_it_must() -> None:
    told = head(CARD)
    assert told["license"] == "gpl-3.0"
    assert told["library_name"] == "facetem"
    assert told["pipeline_tag"] == "image-classification"
    assert {"electron-microscopy", "hrtem", "nanoparticles"} <= set(told["tags"])
    assert [model["name"] for model in told["model-index"]] == ["facetem classifier", "facetem restorer"]
    for model in told["model-index"]:
        (result,) = model["results"]
        assert result["dataset"]["split"] == "test"
        assert result["metrics"]


def test_the_shipped_head_is_that_of_its_text() -> None:
    assert with_metadata(CARD) == CARD, "the text was changed: write the card anew with `facetem export card`"


def test_figures_are_those_of_the_text() -> None:
    body = without_metadata(CARD)
    found = metrics(CARD)
    assert len(found) == 7  # as many as there are
    (accuracy,) = re.findall(r"Macro-averaged accuracy \*\*([\d.]+)\*\*", body)
    assert found["Macro-averaged accuracy"] == float(accuracy)
    (restored,) = re.findall(r"\| restored \| ([\d.]+) \|", body)
    assert found["PSNR of the restored image [dB]"] == float(restored)
    changed = with_metadata(CARD.replace(f"**{accuracy}**", "**0.123**"))
    assert metrics(changed)["Macro-averaged accuracy"] == 0.123
    assert changed.count("---\nlicense") == 1  # the head before is replaced


def test_what_is_no_card_of_ours_is_refused() -> None:
    for text in ("", "# Another model\n", "# Model card\n\nwithout a test\n"):
        with pytest.raises(InputError, match="model card: expected"):
            metadata_of(text)


def test_the_hub_reads_it() -> None:
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(CARD).data
    assert data.license == "gpl-3.0"
    values = {result.metric_name: result.metric_value for result in data.eval_results}
    assert values == metrics(CARD)
    assert {result.dataset_split for result in data.eval_results} == {"test"}
