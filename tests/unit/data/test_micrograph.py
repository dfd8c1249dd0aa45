"""Micrographs: every format gives back pixels and pixel size; what cannot be used is refused in one line."""

import gc
import os
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from imageio.v3 import imwrite
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from facetem.core.errors import InputError
from facetem.data.formats import frames_in
from facetem.data.micrograph import Micrograph, load_micrograph, micrograph_from_array, resample, save_image
from facetem.data.plausible import check_sampling

Writer = Callable[..., Path]
SHAPE = (130, 200)  # not square: swapped axes show


@pytest.fixture
def image() -> np.ndarray:
    """Noise (y, x) with fringes of 2.35 Å at 0.4 Å/px, brighter at the top left."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    noise = np.random.default_rng(1).normal(0, 8, SHAPE)
    return (100 + 10 * np.sin(2 * np.pi * 0.4 * (x + 0.3 * y) / 2.35) - 0.05 * (x + y) + noise).astype(
        np.float32
    )


def signal(data: np.ndarray, scale: float = 0.04, units: str = "nm", lead: str = "time") -> dict[str, Any]:
    """RosettaSciIO's dictionary of one signal."""
    names = [lead] * (data.ndim - 2) + ["y", "x"]
    axes = [
        {
            "name": name,
            "size": size,
            "index_in_array": i,
            "scale": scale if i >= data.ndim - 2 else 1.0,
            "offset": 0.0,
            "units": units if i >= data.ndim - 2 else "s",
            "navigate": i < data.ndim - 2,
            "_type": "UniformDataAxis",
            "is_binned": False,
        }
        for i, (name, size) in enumerate(zip(names, data.shape, strict=True))
    ]
    metadata = {"General": {"title": "Au on C"}, "Signal": {"signal_type": ""}}
    return {"data": data, "axes": axes, "metadata": metadata, "original_metadata": {}, "learning_results": {},
            "package_info": {"package": "test", "package_version": "0"}, "models": {}, "tmp_parameters": {},
            "attributes": {"_lazy": False}}  # fmt: skip


def write_rosetta(path: Path, content: dict[str, Any]) -> Path:
    if path.suffix == ".zspy":
        return write_zspy(path, content)
    plugin = {"tif": "tiff"}.get(path.suffix[1:], path.suffix[1:])
    import_module(f"rsciio.{plugin}").file_writer(str(path), content)
    return path


def write_zspy(path: Path, content: dict[str, Any]) -> Path:
    """RosettaSciIO's own layout, in a folder: its `file_writer` knows only stores that zarr 3 has no more."""
    import numcodecs
    import zarr
    from rsciio.zspy._api import ZspyWriter

    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.1"})
    own = root.require_group("Experiments").require_group("one")
    whole = content | {"attributes": {"_lazy": False, "ragged": False}}
    options = {"chunks": None, "compressor": numcodecs.Blosc(), "show_progressbar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what zarr calls by other names today
        ZspyWriter(root, whole, own, write_dataset=True, **options).write()
    return path


# ---- formats


@pytest.mark.parametrize("name", ["a.hspy", "a.zspy", "a.emd", "a.tif"])
def test_formats_with_a_writer_give_back_pixels_and_pixel_size(
    tmp_path: Path, image: np.ndarray, name: str
) -> None:
    loaded = load_micrograph(write_rosetta(tmp_path / name, signal(image)))
    assert_allclose(loaded.image, image)
    assert loaded.sampling == pytest.approx(0.4, rel=1e-6)
    assert loaded.name == name
    assert loaded.image.dtype == np.float32


@pytest.mark.parametrize("name", ["a.dm3", "a.dm4", "A.DM4"])
@pytest.mark.parametrize("dtype", ["float32", "uint16", "int16"])
def test_digital_micrograph(
    tmp_path: Path, image: np.ndarray, write_dm: Writer, name: str, dtype: str
) -> None:
    stored = image.astype(dtype)
    loaded = load_micrograph(write_dm(tmp_path / name, stored, 0.04))
    assert_array_equal(loaded.image, stored)  # not the thumbnail that comes first in the file
    assert loaded.sampling == pytest.approx(0.4, rel=1e-6)
    assert loaded.metadata["beam_energy_kev"] == pytest.approx(300)


def test_ser(tmp_path: Path, image: np.ndarray, write_ser: Writer) -> None:
    loaded = load_micrograph(write_ser(tmp_path / "a.ser", image, 0.04e-9))
    assert_array_equal(loaded.image, image)
    assert loaded.sampling == pytest.approx(0.4)


def test_mrc(tmp_path: Path, image: np.ndarray, write_mrc: Writer) -> None:
    loaded = load_micrograph(write_mrc(tmp_path / "a.mrc", image, 0.4))
    assert_array_equal(loaded.image, image)
    assert loaded.sampling == pytest.approx(0.4, rel=1e-6)


def test_mrc_without_a_cell_has_no_pixel_size(tmp_path: Path, image: np.ndarray, write_mrc: Writer) -> None:
    with pytest.raises(InputError, match="--sampling-nm"):
        load_micrograph(write_mrc(tmp_path / "a.mrc", image, 0.0))


@pytest.mark.parametrize("frames", [1, 3])
def test_emd_of_velox(tmp_path: Path, image: np.ndarray, write_velox: Writer, frames: int) -> None:
    counts = image.astype(np.uint16)
    path = write_velox(tmp_path / "a.emd", np.stack([counts + k for k in range(frames)]), 0.4e-10)
    loaded = load_micrograph(path)
    assert_allclose(loaded.image, counts + (frames - 1) / 2, rtol=1e-5)
    assert loaded.sampling == pytest.approx(0.4)
    assert loaded.metadata["beam_energy_kev"] == 300
    assert loaded.metadata.get("frames_averaged", 1) == frames


@pytest.mark.parametrize(
    ("unit", "angstroms"),
    [("nm", 10.0), ("micron", 1e4), ("\\u00B5m", 1e4), ("Angstrom", 1.0), ("\\u00C5", 1.0)],
)
def test_tif_of_imagej(tmp_path: Path, image: np.ndarray, unit: str, angstroms: float) -> None:
    per_unit = angstroms / 0.4
    tifffile.imwrite(
        tmp_path / "a.tif", image, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit}
    )
    assert load_micrograph(tmp_path / "a.tif").sampling == pytest.approx(0.4, rel=1e-4)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "jpeg"])
def test_tif_that_is_compressed(tmp_path: Path, compression: str) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (128, 128)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey, compression=compression)
    loaded = load_micrograph(tmp_path / "a.tif", sampling=0.4)
    lost = 12 if compression == "jpeg" else 0
    assert np.abs(loaded.image - grey).mean() <= lost


def test_a_name_that_is_not_of_utf_8_can_be_told(tmp_path: Path) -> None:
    """As old archives hold them."""
    path = tmp_path / os.fsdecode(b"Gold_\xe9chantillon.npy")
    np.save(path, np.random.default_rng(0).normal(size=(128, 128)))
    assert load_micrograph(path, sampling=0.4).name == "Gold_?chantillon.npy"


def test_tif_of_ome(tmp_path: Path, image: np.ndarray) -> None:
    metadata = {"axes": "YX", "PhysicalSizeX": 0.04, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.04,
                "PhysicalSizeYUnit": "nm"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", image, ome=True, metadata=metadata)
    assert load_micrograph(tmp_path / "a.ome.tif").sampling == pytest.approx(0.4)


def test_a_printers_resolution_is_no_pixel_size(tmp_path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=(300, 300), resolutionunit="INCH")
    with pytest.raises(InputError, match="without one"):
        load_micrograph(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.PNG", "a.jpg"])
def test_files_without_a_pixel_size_take_the_one_given(tmp_path: Path, image: np.ndarray, name: str) -> None:
    bytes_ = np.clip(image, 0, 255).astype(np.uint8)
    np.save(tmp_path / name, bytes_) if name == "a.npy" else imwrite(tmp_path / name, bytes_)
    loaded = load_micrograph(tmp_path / name, sampling=0.4)
    assert loaded.sampling == 0.4
    assert loaded.metadata["pixel_size_from"] == "given"
    assert np.corrcoef(loaded.image.ravel(), bytes_.ravel())[0, 1] > 0.8  # jpg loses some of the noise


def test_the_pixel_size_given_takes_precedence(tmp_path: Path, image: np.ndarray) -> None:
    save_image(tmp_path / "a.tif", image, 0.4)
    assert load_micrograph(tmp_path / "a.tif", sampling=0.35).sampling == 0.35


@pytest.mark.parametrize(
    ("units", "scale"), [("Å", 0.4), ("pm", 40.0), ("µm", 4e-5), ("μm", 4e-5), ("m", 4e-11)]
)
def test_units(tmp_path: Path, image: np.ndarray, units: str, scale: float) -> None:
    path = write_rosetta(tmp_path / "a.hspy", signal(image, scale, units))
    assert load_micrograph(path).sampling == pytest.approx(0.4)


# ---- what is stored where


def test_frames_of_a_movie_are_averaged(tmp_path: Path, image: np.ndarray) -> None:
    movie = np.stack([image - 5, image + 1, image + 4])
    loaded = load_micrograph(write_rosetta(tmp_path / "a.hspy", signal(movie)))
    assert_allclose(loaded.image, image, rtol=1e-5)
    assert loaded.metadata["frames_averaged"] == 3


def test_a_movie_is_the_same_in_npy_and_in_tif(tmp_path: Path) -> None:
    big = gaussian_filter(np.random.default_rng(8).normal(size=(200, 200)), 1.5)
    movie = np.stack([big[10 + d : 170 + d, 10:180] for d in (0, 3, 6)]).astype(np.float32)
    np.save(tmp_path / "a.npy", movie)
    tifffile.imwrite(tmp_path / "a.tif", movie, imagej=True, metadata={"axes": "TYX"})
    one, other = (load_micrograph(tmp_path / name, sampling=0.4) for name in ("a.npy", "a.tif"))
    assert_allclose(one.image, other.image)
    assert one.metadata == other.metadata
    assert one.metadata["frames_averaged"] == 3
    assert one.metadata["drift_px"] == pytest.approx([6, 0], abs=0.2)


def test_a_movie_of_no_pixels_or_of_broken_ones_is_refused(tmp_path: Path) -> None:
    movie = np.random.default_rng(8).normal(size=(3, 160, 160))
    np.save(tmp_path / "wave.npy", movie * 1j)
    with pytest.raises(InputError, match=r"wave\.npy: expected real pixels"):
        load_micrograph(tmp_path / "wave.npy", sampling=0.4)
    movie[1, 80, 80] = np.nan
    np.save(tmp_path / "holes.npy", movie)
    with pytest.raises(InputError, match=r"holes\.npy: expected finite pixels"):
        load_micrograph(tmp_path / "holes.npy", sampling=0.4)


@pytest.mark.parametrize("name", ["a.hspy", "a.zspy", "a.tif", "a.npy", "a.emd"])
def test_one_frame_of_a_movie(tmp_path: Path, image: np.ndarray, name: str) -> None:
    movie = np.stack([image - 5, image + 1, image + 4])
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, movie)
    else:
        write_rosetta(path, signal(movie))
    assert frames_in(path) == 3
    for k, frame in enumerate(movie):
        loaded = load_micrograph(path, sampling=0.4, frame=k)
        assert_allclose(loaded.image, frame, rtol=1e-6)
        assert loaded.name == f"{name} frame {k}"
        assert loaded.metadata["frame"] == k
    with pytest.raises(InputError, match=r"expected a frame from 0 to 2, got 3"):
        load_micrograph(path, sampling=0.4, frame=3)


def test_what_is_no_movie_has_one_frame(tmp_path: Path, image: np.ndarray) -> None:
    path = write_rosetta(tmp_path / "a.tif", signal(image))
    np.save(tmp_path / "rgb.npy", np.repeat(image[..., None], 3, axis=2))
    imwrite(tmp_path / "a.png", image.astype(np.uint8))
    for file in (path, tmp_path / "rgb.npy", tmp_path / "a.png"):
        assert frames_in(file) == 1
        assert load_micrograph(file, sampling=0.4, frame=0).name == file.name
    with pytest.raises(InputError, match="expected frame 0, the only one, got 1"):
        load_micrograph(path, frame=1)


def test_a_focal_series_is_not_averaged(tmp_path: Path, image: np.ndarray) -> None:
    series = signal(np.stack([image] * 3), lead="defocus")
    with pytest.raises(InputError, match="series of 3 images along defocus"):
        load_micrograph(write_rosetta(tmp_path / "a.hspy", series))


def test_a_diffraction_pattern_is_refused(tmp_path: Path, image: np.ndarray, write_dm: Writer) -> None:
    with pytest.raises(InputError, match="diffraction"):
        load_micrograph(write_dm(tmp_path / "a.dm4", image, 0.04, units="1/nm"))
    with pytest.raises(InputError, match="diffraction"):  # even if a pixel size is given
        load_micrograph(write_rosetta(tmp_path / "a.hspy", signal(image, units="nm^-1")), sampling=0.4)


def test_oblong_pixels_are_refused(tmp_path: Path, image: np.ndarray) -> None:
    content = signal(image)
    content["axes"][0]["scale"] = 0.05
    with pytest.raises(InputError, match="square pixels"):
        load_micrograph(write_rosetta(tmp_path / "a.hspy", content))


def test_several_images_are_refused(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.emd").write_bytes(b"x")
    emd = import_module("rsciio.emd")
    monkeypatch.setattr(emd, "file_reader", lambda path: [signal(image), signal(image)])
    with pytest.raises(InputError, match="expected one image, got 2"):
        load_micrograph(tmp_path / "a.emd")


# ---- bad input


@pytest.mark.parametrize("suffix", ["dm3", "dm4", "emd", "ser", "mrc", "hspy", "tif", "npy", "png"])
@pytest.mark.parametrize("content", [b"", b"not an image at all" * 20])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="empty" if not content else "damaged") as caught:
        load_micrograph(path, sampling=0.4)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["dm4", "hspy", "tif", "mrc"])
def test_truncated_files_are_refused(
    tmp_path: Path,
    image: np.ndarray,
    write_dm: Writer,
    write_mrc: Writer,
    suffix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / f"a.{suffix}"
    {
        "dm4": lambda: write_dm(path, image, 0.04),
        "mrc": lambda: write_mrc(path, image, 0.4),
        "hspy": lambda: write_rosetta(path, signal(image)),
        "tif": lambda: save_image(path, image, 0.4),
    }[suffix]()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(InputError, match="damaged"):
            load_micrograph(path)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            gc.collect()
    finally:
        gc.enable()
    assert [str(warning.message) for warning in told] == []  # of a file that stayed open
    assert caplog.text == ""


def test_missing_file_unknown_type_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_micrograph(tmp_path / "a.dm4")
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"expected one of dm3, dm4.*got \.docx"):
        load_micrograph(tmp_path / "a.docx")
    (tmp_path / "b.dm4").mkdir()
    with pytest.raises(InputError, match="got a folder"):
        load_micrograph(tmp_path / "b.dm4")


def coloured(image: np.ndarray) -> np.ndarray:
    return np.stack([image, image[::-1], image[:, ::-1]], -1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: np.where(a > a.mean(), np.nan, a), "NaN"),
        (lambda a: np.where(a == a.max(), np.inf, a), "got 1 NaN or infinite"),
        (np.zeros_like, "all 0"),
        (lambda a: (a > a.mean()).astype(np.uint8) * 255, "mask"),
        (lambda a: a + 1j, "complex64"),
        (lambda a: a[:63], "smaller than a particle"),
        (lambda a: a[:90, :90], "3.6 x 3.6 nm: smaller than a particle"),
        (lambda a: a[0], "shape"),
        (lambda a: a[None, None], "shape"),
        (coloured, "RGB image with .* coloured"),
    ],
)
def test_pixels_that_are_no_micrograph(
    image: np.ndarray, spoil: Callable[..., np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        micrograph_from_array(spoil(image), 0.4)


def test_numbers_of_the_metadata_that_are_none_are_left_out(tmp_path: Path, image: np.ndarray) -> None:
    """Else a report, which is JSON, could not be written, after all the work."""
    content = signal(image)
    tem = {"beam_energy": float("nan"), "magnification": float("inf"), "microscope": "Titan"}
    content["metadata"]["Acquisition_instrument"] = {"TEM": tem}
    loaded = load_micrograph(write_rosetta(tmp_path / "a.hspy", content))
    assert loaded.metadata["microscope"] == "Titan"
    assert not {"beam_energy_kev", "magnification"} & set(loaded.metadata)
    odd = {"dose": np.float32("nan"), "stage": {"x": 1.5, "y": -np.inf, "seen": [2.0, np.nan]}, "n": 3}
    kept = {"stage": {"x": 1.5, "seen": [2.0]}, "n": 3}
    assert Micrograph(loaded.image, 0.4, "a", odd).metadata == kept
    assert np.isnan(odd["dose"])  # what was given is as it was


@pytest.mark.parametrize("sampling", [0.0, -0.4, np.nan, np.inf, "0.4"])
def test_a_pixel_size_is_a_positive_number(image: np.ndarray, sampling: Any) -> None:
    with pytest.raises(InputError, match="positive pixel size"):
        micrograph_from_array(image, sampling)


def test_pixel_sizes_off_by_ten_are_explained(image: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"if it is 0.4 Å/px \(0.04 nm/px\), Å were given for nm"):
        micrograph_from_array(image, 4.0)
    with pytest.raises(InputError, match=r"if it is 0.4 Å/px \(0.04 nm/px\), nm were given for Å"):
        micrograph_from_array(image, 0.04)
    with pytest.raises(InputError, match=r"give 0.8 Å/px"):  # plausible for Å, but the field is too small
        micrograph_from_array(image, 0.08)


def test_pixel_sizes_end_where_the_lattice_of_gold_does_and_where_no_microscope_goes() -> None:
    for sampling in (0.05, 1.0):
        check_sampling(sampling, "image")
    with pytest.raises(InputError, match="at most 1 Å/px"):
        check_sampling(1.03, "image")  # {200}, 2.04 Å, are beyond its Nyquist frequency
    with pytest.raises(InputError, match=r"at least 0.05 Å/px"):
        check_sampling(0.049, "image")


def test_a_lattice_finer_than_any_microscope_resolves_is_explained() -> None:
    # 0.6 Å/px and fringes of 2.35 Å; as 0.06 Å/px, the fringes are 0.235 Å
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:800, :800] * 0.6
    lattice = np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / 2.35) + rng.normal(0, 1, x.shape)
    with pytest.raises(InputError, match=r"fringes of 0.2.* Å at 0.06 Å/px; .*give 0.6 Å/px"):
        micrograph_from_array(lattice, 0.06)
    assert micrograph_from_array(lattice, 0.6).sampling == 0.6
    # real fringes at a fine pixel size, in noise, pass
    fine = np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / 10 / 2.35) + rng.poisson(4, x.shape)
    assert micrograph_from_array(fine, 0.06).sampling == 0.06


def test_the_input_is_not_changed(image: np.ndarray) -> None:
    image[10, 10] = 1e6
    before = image.copy()
    micrograph_from_array(image, 0.4)
    assert_array_equal(image, before)


# ---- writing


def test_saved_images_are_read_back(tmp_path: Path, image: np.ndarray) -> None:
    save_image(tmp_path / "a.tif", image, 0.3917)
    loaded = load_micrograph(tmp_path / "a.tif")
    assert_array_equal(loaded.image, image)
    assert loaded.sampling == pytest.approx(0.3917, rel=1e-6)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:  # as Fiji reads it
        assert (tif.imagej_metadata or {})["unit"] == "nm"
        count, per = tif.pages.first.tags["XResolution"].value
        assert per / count == pytest.approx(0.03917, rel=1e-6)
    axes = import_module("rsciio.tiff").file_reader(str(tmp_path / "a.tif"))[0][
        "axes"
    ]  # as HyperSpy reads it
    assert [(axis["units"], round(axis["scale"], 6)) for axis in axes] == [("nm", 0.03917)] * 2


def test_a_failed_save_leaves_nothing_and_keeps_the_old_file(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(tmp_path / "a.tif", image, 0.4)

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(OSError, match="No space"):
        save_image(tmp_path / "a.tif", image * 2, 0.4)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    assert_array_equal(load_micrograph(tmp_path / "a.tif").image, image)


def test_an_image_that_was_made_finer_is_no_wrong_pixel_size() -> None:
    """Its spectrum is empty beyond that of the pixels it was recorded with, but for the seams of what was joined."""
    rng = np.random.default_rng(6)
    coarse = np.hstack([rng.normal(100, 10, (300, 150)), rng.normal(130, 10, (300, 150))])
    finer = resample(coarse, 0.4, 0.2)
    assert micrograph_from_array(finer, 0.2).sampling == 0.2
    assert micrograph_from_array(np.pad(finer, ((0, 90), (0, 90)), mode="symmetric"), 0.2).sampling == 0.2
