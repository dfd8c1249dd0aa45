"""HyperSpy's signals as micrographs: pixel size, axes and metadata as they are on the signal."""

from typing import Any

import numpy as np
import pytest

import facetem
from facetem.core.errors import InputError
from facetem.data.micrograph import load_micrograph, micrograph_from_signal
from facetem.data.signals import make_signal

hs = pytest.importorskip("hyperspy.api")
UNITS = {"nm": 0.05, "Å": 0.5, "pm": 50.0, "um": 5e-5, "µm": 5e-5}


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 10, shape).astype(np.float32)


def signal_of(data: np.ndarray, scale: float = 0.05, units: str | None = "nm") -> Any:
    signal = hs.signals.Signal2D(data)
    for axis, name, offset in zip(
        signal.axes_manager.signal_axes, ("width", "height"), (12.0, -3.0), strict=True
    ):
        axis.scale, axis.offset, axis.name = scale, offset, name
        if units is not None:
            axis.units = units
    signal.metadata.General.title = "gold"
    return signal


@pytest.mark.parametrize("unit", UNITS)
def test_pixel_size_comes_from_the_axes_in_any_unit(unit: str) -> None:
    signal = signal_of(pixels(96, 100), UNITS[unit], unit)
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300.0)
    micrograph = micrograph_from_signal(signal)
    assert micrograph.sampling == pytest.approx(0.5)
    assert micrograph.name == "gold"
    assert micrograph.metadata["beam_energy_kev"] == 300
    (y, x) = micrograph.axes.described(micrograph.image.shape, micrograph.sampling)
    assert (y["name"], y["units"], y["offset"], y["size"]) == ("height", unit, -3.0, 96)
    assert (x["name"], x["units"], x["offset"], x["size"]) == ("width", unit, 12.0, 100)
    assert y["scale"] == pytest.approx(UNITS[unit])


def test_a_saved_signal_and_one_in_memory_are_the_same_micrograph(tmp_path: Any) -> None:
    signal = signal_of(pixels(96, 100))
    signal.save(tmp_path / "gold.hspy")
    read, given = load_micrograph(tmp_path / "gold.hspy"), micrograph_from_signal(signal)
    np.testing.assert_array_equal(read.image, given.image)
    assert read.axes == given.axes
    assert read.sampling == given.sampling


@pytest.mark.parametrize(("scale", "units"), [(0.05, None), (0.05, "1"), (1.0, "s")])
def test_a_signal_that_is_not_calibrated_is_refused_unless_a_pixel_size_is_given(
    scale: float, units: str | None
) -> None:
    signal = signal_of(pixels(96, 100), scale, units)
    with pytest.raises(InputError, match=r"signal gold: expected axes in nm.*got .*sampling="):
        micrograph_from_signal(signal)
    given = micrograph_from_signal(signal, 0.5)
    assert given.sampling == 0.5
    assert given.axes.offset == (0.0, 0.0)  # what its own numbers mean is not known


def test_public_functions_refuse_it_in_one_line() -> None:
    bare = hs.signals.Signal2D(pixels(96, 100))
    for call in (facetem.analyze, facetem.classify, facetem.restore):
        with pytest.raises(
            InputError, match=r"^signal: expected axes in nm, Å, pm or µm, got no unit; [^\n]*$"
        ):
            call(bare)


def test_what_is_no_image_of_real_space_is_refused() -> None:
    with pytest.raises(InputError, match="diffraction pattern"):
        micrograph_from_signal(signal_of(pixels(96, 100), 0.05, "1/nm"))
    with pytest.raises(InputError, match="got 1 signal axes"):
        micrograph_from_signal(hs.signals.Signal1D(pixels(96, 100)))
    with pytest.raises(InputError, match="not a wave"):
        micrograph_from_signal(signal_of(pixels(96, 100).astype(complex)))


def test_frames_are_summed_after_their_drift_and_the_axes_move_with_them() -> None:
    smooth = np.kron(pixels(24, 24), np.ones((6, 6)))
    frames = np.stack([smooth[10 - k : 10 - k + 120, 8:128] for k in (0, 2, 4)]).astype(np.float32)
    frames += np.random.default_rng(1).normal(0, 0.5, frames.shape).astype(np.float32)
    micrograph = micrograph_from_signal(signal_of(frames))
    assert micrograph.metadata["frames_averaged"] == 3
    height = micrograph.image.shape[0]
    assert height == 116
    # The specimen moves down: nothing is lost at the first frame's top but at its bottom, and the other way round.
    moved = micrograph_from_signal(signal_of(frames[::-1].copy()))
    assert micrograph.axes.offset == pytest.approx((-3.0, 12.0))
    assert moved.axes.offset == pytest.approx((-3.0 + 4 * 0.05, 12.0))


def test_one_frame_can_be_asked_for() -> None:
    frames = pixels(3, 96, 100)
    chosen = micrograph_from_signal(signal_of(frames), frame=2)
    np.testing.assert_array_equal(chosen.image, micrograph_from_signal(signal_of(frames[2])).image)
    assert chosen.metadata["frame"] == 2
    with pytest.raises(InputError, match="signal gold: expected a frame from 0 to 2, got 3"):
        micrograph_from_signal(signal_of(frames), frame=3)


@pytest.mark.slow
def test_restored_signal_has_the_axes_and_the_beam_of_the_input() -> None:
    signal = signal_of(pixels(100, 110), 0.4, "Å")
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    restored = facetem.restore(signal, device="cpu")
    for axis, before in zip(restored.axes_manager.signal_axes, signal.axes_manager.signal_axes, strict=True):
        assert (axis.name, axis.units, axis.offset, axis.size) == (
            before.name,
            before.units,
            before.offset,
            before.size,
        )
        assert axis.scale == pytest.approx(before.scale)
    assert restored.metadata.General.title == "gold, restored"
    assert restored.metadata.Acquisition_instrument.TEM.beam_energy == 200
    np.testing.assert_array_equal(restored.data, facetem.restore(signal.data, sampling=0.4, device="cpu"))


def test_a_series_of_different_images_is_refused() -> None:
    signal = signal_of(pixels(3, 96, 100))
    signal.axes_manager.navigation_axes[0].name = "defocus"
    with pytest.raises(InputError, match=r"signal gold: .*series of 3 images along defocus; .*inav"):
        micrograph_from_signal(signal)


def test_axes_follow_a_margin_that_is_cut() -> None:
    data = pixels(120, 130)
    data[:10], data[:, :20] = 0, 0
    micrograph = micrograph_from_signal(signal_of(data))
    cut = micrograph.metadata["margins_cut"]
    assert cut["top"] >= 10
    assert cut["left"] >= 20
    assert micrograph.axes.offset == pytest.approx((-3 + 0.05 * cut["top"], 12 + 0.05 * cut["left"]))


def test_lazy_and_transposed_signals_are_the_same_image() -> None:
    signal = signal_of(pixels(96, 100))
    plain = micrograph_from_signal(signal).image
    np.testing.assert_array_equal(plain, micrograph_from_signal(signal.as_lazy()).image)
    stack = signal_of(np.repeat(pixels(96, 100)[None], 2, 0))
    np.testing.assert_allclose(plain, micrograph_from_signal(stack).image, rtol=1e-3)


def test_without_hyperspy_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hyperspy.api", None)
    with pytest.raises(InputError, match=r"pip install 'facetem\[hyperspy\]'"):
        make_signal(pixels(8, 8), [], title="x", about={})
