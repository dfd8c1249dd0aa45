"""Analyses as HyperSpy signals: axes and units as they came, outlines where the particles are."""

from typing import Any

import numpy as np
import pytest

from facetem.analysis.analyze import Analysis, analyze
from facetem.core.errors import InputError

hs = pytest.importorskip("hyperspy.api")


@pytest.fixture
def signal(micrograph: Any) -> Any:
    """The micrograph of these tests as a signal whose first pixel is not at 0."""
    signal = hs.signals.Signal2D(micrograph.image)
    for axis, name, offset in zip(signal.axes_manager.signal_axes, "xy", (12.5, -3.0), strict=True):
        axis.scale, axis.units, axis.offset, axis.name = micrograph.sampling / 10, "nm", offset, name
    signal.metadata.General.title = "gold"
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300.0)
    return signal


@pytest.fixture
def networks(classifier: Any, restorer: Any) -> tuple[Any, Any]:
    return classifier, restorer


def axes_of(signal: Any) -> list[tuple[Any, ...]]:
    return [(a.name, a.units, a.scale, a.offset, a.size) for a in signal.axes_manager.signal_axes]


def analysed(signal: Any, networks: Any) -> Analysis:
    return analyze(signal, classifier=networks[0], restorer=networks[1])


def test_axes_come_back_as_they_were(signal: Any, networks: Any, tmp_path: Any) -> None:
    analysis = analysed(signal, networks)
    field = analysis.micrograph.sampling * np.array(analysis.micrograph.image.shape[::-1]) / 10
    for name in ("field", "restored", "spread", "mask", "labels"):
        made = analysis.signal(name)
        made.save(tmp_path / f"{name}.hspy")
        for again in (made, hs.load(tmp_path / f"{name}.hspy")):
            for axis, before, length in zip(
                again.axes_manager.signal_axes, signal.axes_manager.signal_axes, field, strict=True
            ):
                assert (axis.name, axis.units) == (before.name, before.units)
                # The same field: the corner of the first pixel is where it was, the last one ends with it.
                assert axis.offset - axis.scale / 2 == pytest.approx(before.offset - before.scale / 2)
                assert axis.scale * axis.size == pytest.approx(length, abs=axis.scale)
            assert again.metadata.General.title == f"gold, {name}"
            assert again.metadata.Acquisition_instrument.TEM.beam_energy == 300
            assert "facetem" in again.metadata.facetem.provenance


def test_angstrom_and_nanometre_give_the_same_analysis(signal: Any, networks: Any) -> None:
    other = signal.deepcopy()
    for axis in other.axes_manager.signal_axes:
        axis.scale, axis.offset, axis.units = 10 * axis.scale, 10 * axis.offset, "Å"
    one, two = analysed(signal, networks), analysed(other, networks)
    assert one.particles
    assert one.particles == two.particles
    np.testing.assert_array_equal(one.restored, two.restored)
    for a, b in zip(axes_of(one.signal()), axes_of(two.signal()), strict=True):
        assert (a[1], b[1]) == ("nm", "Å")
        assert np.multiply(a[2:4], 10) == pytest.approx(b[2:4])


def test_outlines_lie_on_the_particles_and_stay_with_the_file(
    signal: Any, networks: Any, tmp_path: Any
) -> None:
    analysis = analysed(signal, networks)
    analysis.signal().save(tmp_path / "restored.hspy")
    loaded = hs.load(tmp_path / "restored.hspy")
    markers = loaded.metadata.Markers
    assert repr(loaded.metadata)  # HyperSpy prints it in a notebook
    verts = np.asarray(markers.Polygons.kwargs["verts"])
    assert len(verts) == len(analysis.particles)
    for particle, outline in zip(analysis.particles, verts, strict=True):
        low, high = outline.min(0), outline.max(0)
        centre = np.array([particle.x_nm + 12.5 - 0.02, particle.y_nm - 3.0 - 0.02])
        assert (low < centre).all()
        assert (centre < high).all()
        if not particle.cut_by_edge:
            assert high - low == pytest.approx(particle.diameter_nm, rel=0.1)
    assert list(markers.Texts.kwargs["texts"]) == [f"{p.index} {p.verdict}" for p in analysis.particles]
    assert not analysis.signal(outlines=False).metadata.has_item("Markers")


def test_labels_are_the_particles(signal: Any, networks: Any) -> None:
    analysis = analysed(signal, networks)
    labels = analysis.signal("labels").data
    assert set(np.unique(labels)) == {0, *(p.index for p in analysis.particles)}
    for particle in analysis.particles:
        area = (labels == particle.index).sum() * (analysis.sampling / 10) ** 2
        assert area == pytest.approx(np.pi / 4 * particle.diameter_nm**2, rel=0.05)


def test_an_unknown_image_is_refused(signal: Any, networks: Any) -> None:
    with pytest.raises(InputError, match="expected one of field, denoised, restored"):
        analysed(signal, networks).signal("phase")
