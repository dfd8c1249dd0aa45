"""What weights state comes back as it was written."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from facetem.learn.classifier import ShapeClassifier
from facetem.learn.conformal import ConformalSets
from facetem.learn.familiarity import Familiarity
from facetem.learn.lying import OrientationErrors
from facetem.learn.matter import Matter
from facetem.learn.stated import Stated
from facetem.learn.weights_file import load_network


def same(one: Stated, other: Stated) -> None:
    assert one.temperature == other.temperature
    assert one.matter == other.matter
    for name in ("sets", "space", "lying"):
        here, there = getattr(one, name), getattr(other, name)
        assert (here is None) == (there is None), name
        for part in fields(here) if here is not None else ():
            a, b = getattr(here, part.name), getattr(there, part.name)
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, part.name
    assert np.array_equal(one.confusion, other.confusion)


def test_what_is_written_is_read() -> None:
    parts = [torch.rand(3, 2).half(), *(torch.rand(n) for n in (4, 4)), torch.rand(4, 4), torch.rand(4)]
    stated = Stated(
        temperature=0.75,
        sets=ConformalSets(torch.rand(9)),
        space=Familiarity(*parts, torch.rand(4), threshold=5.25),
        lying=OrientationErrors(torch.rand(6, 3)),
        confusion=np.arange(64).reshape(8, 8),
        matter=Matter(("Pt", "Pd"), (20.0, 45.0)),
    )
    same(Stated.read(*stated.written()), stated)


def test_a_file_that_says_nothing_states_nothing() -> None:
    same(Stated.read({}, {}), Stated())
    same(Stated.read(*Stated().written()), Stated())


def test_the_weights_of_the_package_state_all(weights: Path) -> None:
    _, header, extra = load_network(weights / "classifier.safetensors", ShapeClassifier)
    stated = Stated.read(header, extra)
    assert stated.matter == Matter()
    assert all(getattr(stated, part.name) is not None for part in fields(stated))
    entries, tensors = stated.written()
    assert {name: header[name] for name in entries} == entries
    assert set(tensors) == set(extra)
