"""Labels that a microscopist gave by hand, as they lie beside a report (docs/page.md has the form)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from facetem.atoms.library import NONE, SHAPES
from facetem.core.words import spoken

FILE = "labels.json"
SCHEMA, VERSION = "facetem-labels", 1
NO_PARTICLE = "no_particle"
CHOICES = (*SHAPES, NONE, NO_PARTICLE)
WORDS = {NONE: "none of these shapes", NO_PARTICLE: "not a particle"}


def label_words(label: str) -> str:
    """A label as one reads it."""
    return WORDS.get(label, spoken(label))


def load_labels(folder: Path) -> dict[int, dict[str, Any]]:
    """The labels of a report by the number of their particle; none if there are none, or what is there is damaged."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {int(row["particle"]): row for row in told["labels"] if row["label"] in CHOICES}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
