"""Files of images, focal series and waves, as other programs read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facetem.app.outputs import Recording, save_recording, whole_folder, whole_output
from facetem.core.errors import InputError
from facetem.data.micrograph import load_micrograph

FOCI = (-100.0, -50.0, 0.0, 50.0)
ABOUT = {"facetem": "0.1", "energy_kv": 200.0, "aberrations_nm_deg": {"C21": [30.0, 45.0]}}


def series() -> Recording:
    data = np.random.default_rng(1).normal(1, 0.1, (4, 60, 50)).astype(np.float32)
    return Recording("image", data, (0.4, 0.41), FOCI, ABOUT)


def wave() -> Recording:
    rng = np.random.default_rng(2)
    data = (rng.normal(size=(60, 50)) + 1j * rng.normal(size=(60, 50))).astype(np.complex64)
    return Recording("exit wave", data, (0.125, 0.125), None, ABOUT)


def scales(axes: list[dict[str, Any]]) -> list[tuple[float, float, str]]:
    return [(float(a["offset"]), float(a["scale"]), a["units"]) for a in axes]


EXPECTED = [(-10.0, 5.0, "nm"), (0.0, 0.04, "nm"), (0.0, 0.041, "nm")]


def test_image_formats(tmp_path: Path) -> None:
    from imageio.v3 import imread

    image = np.random.default_rng(1).normal(1, 0.1, (120, 110)).astype(np.float32)
    for suffix in (".tif", ".npy", ".png"):
        save_recording(tmp_path / f"image{suffix}", Recording("image", image, (0.41, 0.41), None, ABOUT))
    read = load_micrograph(tmp_path / "image.tif")
    assert read.sampling == pytest.approx(0.41, rel=1e-5)
    assert np.array_equal(read.image, image)
    assert np.array_equal(np.load(tmp_path / "image.npy"), image)
    grey = imread(tmp_path / "image.png")
    assert grey.dtype == np.uint8
    assert np.corrcoef(grey.ravel(), image.ravel())[0, 1] > 0.99


def test_a_tif_series_is_a_stack_with_its_foci_for_hyperspy_and_fiji(tmp_path: Path) -> None:
    import tifffile
    from rsciio.tiff import file_reader

    save_recording(tmp_path / "s.tif", series())
    read = file_reader(str(tmp_path / "s.tif"))[0]
    assert np.array_equal(read["data"], series().data)
    for got, expected in zip(scales(read["axes"]), EXPECTED, strict=True):
        assert got[:2] == pytest.approx(expected[:2], rel=1e-5)
        assert got[2] == "nm"
    with tifffile.TiffFile(tmp_path / "s.tif") as file:
        fiji = file.imagej_metadata
    assert fiji is not None
    assert fiji["Labels"] == ["defocus -10 nm", "defocus -5 nm", "defocus 0 nm", "defocus 5 nm"]
    assert fiji["unit"] == "nm"
    assert '"energy_kv": 200.0' in fiji["Info"]


@pytest.mark.parametrize("recording", [series(), wave()], ids=lambda r: r.name)
def test_hspy_keeps_numbers_axes_and_provenance(tmp_path: Path, recording: Recording) -> None:
    from rsciio.hspy import file_reader

    path = tmp_path / "r.hspy"
    save_recording(path, recording)
    read = file_reader(str(path))[0]
    assert read["data"].dtype == recording.data.dtype
    assert np.array_equal(read["data"], recording.data)
    assert [axis["name"] for axis in read["axes"]] == [axis["name"] for axis in recording.axes()]
    assert [bool(axis["navigate"]) for axis in read["axes"]] == [False] * 2 if recording.defoci is None else [
        True, False, False]  # fmt: skip
    if recording.defoci is not None:
        for got, expected in zip(scales(read["axes"]), EXPECTED, strict=True):
            assert got[:2] == pytest.approx(expected[:2])
    metadata = read["metadata"]
    assert metadata["General"]["title"] == recording.name
    assert metadata["Acquisition_instrument"]["TEM"]["beam_energy"] == 200.0
    assert list(metadata["facetem"]["aberrations_nm_deg"]["C21"]) == [30.0, 45.0]


def test_zarr_has_an_array_of_places_for_each_axis(tmp_path: Path) -> None:
    import zarr

    save_recording(tmp_path / "s.zarr", series())
    group = zarr.open_group(tmp_path / "s.zarr", mode="r")
    image = group["image"]
    assert isinstance(image, zarr.Array)
    assert np.array_equal(np.asarray(image[:]), series().data)
    assert image.metadata.dimension_names == ("defocus", "y", "x")
    places = group["defocus"]
    assert isinstance(places, zarr.Array)
    assert np.asarray(places[:]) == pytest.approx([-10, -5, 0, 5])
    assert places.attrs["units"] == "nm"
    assert group.attrs["energy_kv"] == 200.0


def test_a_zarr_takes_the_place_of_an_older_one_and_of_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "wave.zarr"
    for recording in (series(), wave()):
        with whole_output(path) as partial:
            save_recording(partial, recording)
    import zarr

    assert set(zarr.open_group(path, mode="r").array_keys()) == {"exit_wave", "x", "y"}
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "precious").touch()
    with pytest.raises(InputError, match=r"older \.zarr"), whole_output(tmp_path / "mine.zarr"):
        pass
    assert (tmp_path / "mine.zarr" / "precious").exists()


def test_whole_folder_appears_when_the_work_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with whole_folder(target) as partial:
        (partial / "a").write_text("a")
        assert not target.exists()
    assert (target / "a").read_text() == "a"

    def fail() -> None:
        with whole_folder(tmp_path / "other") as partial:
            (partial / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(InputError, match="got one with files in it"), whole_folder(target):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="got a file"), whole_folder(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="can be written to"), whole_folder(tmp_path / "no" / "where"):
        pass
