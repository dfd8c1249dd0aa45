"""Options of microscope and camera: their units, and what contradicts what."""

from math import inf, radians
from pathlib import Path

import pytest

from facetem.app.imaging import (
    CameraOptions,
    MicroscopeOptions,
    parse_aberration,
    parse_focal_series,
    read_camera,
    read_microscope,
)
from facetem.core.errors import InputError
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.cameras import CAMERAS
from facetem.hrtem.optics import Optics


def test_without_options_it_is_300_kv_and_6_nm_of_underfocus() -> None:
    assert read_microscope(MicroscopeOptions()) == (300e3, Optics(Aberrations(defocus=60.0)), None)
    assert read_camera(CameraOptions()) == Camera()


def test_units() -> None:
    energy, optics, foci = read_microscope(
        MicroscopeOptions(
            energy_kv=80,
            defocus_nm=-3,
            cs_um=-5,
            astigmatism_nm=2,
            astigmatism_deg=30,
            aberrations_nm=("C21=30@45", "C50=1e6"),
            focal_spread_nm=4,
            angular_spread_mrad=0.2,
            aperture_mrad=25,
            image_spread_nm=0.05,
        )
    )
    assert (energy, foci) == (80e3, None)
    assert optics == Optics(
        Aberrations(
            defocus=-30.0, C12=20.0, phi12=radians(30), C21=300.0, phi21=radians(45), C30=-5e4, C50=1e7
        ),
        focal_spread=40.0,
        angular_spread=0.2,
        aperture=25.0,
        image_spread=0.5,
    )


def test_a_focal_series_is_about_the_defocus() -> None:
    _, _, foci = read_microscope(MicroscopeOptions(focal_series="-10:10:5"))
    assert foci == (-100.0, -50.0, 0.0, 50.0, 100.0)
    _, _, foci = read_microscope(MicroscopeOptions(focal_series="2:-2:-2", defocus_nm=6))
    assert foci == (80.0, 60.0, 40.0)


def test_whole_steps_survive_rounding() -> None:
    assert parse_focal_series("0:0.3:0.1") == (0.0, 0.1, 0.2, 0.3)
    assert parse_focal_series("5:5:1") == (5.0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-10:10", "expected start:stop:step"),
        ("-10:10:x", "expected start:stop:step"),
        ("0:10:0", "expected start:stop:step"),
        ("0:10:-1", "a step that leads from start to stop"),
        ("0:10:nan", "a step that leads"),
        ("0:10:1e-6", "in fewer than"),
        ("0:10:3", r"whole steps .*, got 3\.333 of them"),
    ],
)
def test_focal_series_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_focal_series(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C99=3", "expected one of C12, .* got 'C99'"),
        ("C10=3", "C10 is --defocus-nm"),
        ("phi12=3", "expected one of C12"),
        ("C21", "expected NAME=VALUE"),
        ("C21=x", "expected NAME=VALUE"),
        ("C21=3@", "expected NAME=VALUE"),
        ("C30=3@45", "has no azimuth"),
    ],
)
def test_aberrations_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_aberration(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MicroscopeOptions(cs_um=1, aberrations_nm=("C30=5",)), "contradicts --cs-um"),
        (MicroscopeOptions(astigmatism_nm=1, aberrations_nm=("C12=5@3",)), "contradicts --astigmatism-nm"),
        (MicroscopeOptions(aberrations_nm=("C21=5", "C21=6")), "C21=6 contradicts --aberration-nm"),
        (MicroscopeOptions(astigmatism_deg=5), "--astigmatism-deg without --astigmatism-nm"),
        (MicroscopeOptions(instrument="toy"), "instrument: expected one of "),
    ],
)
def test_options_that_contradict_each_other(options: MicroscopeOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_microscope(options)


def test_an_instrument_brings_energy_and_lens_and_gives_way_to_options() -> None:
    from facetem.hrtem.instruments import INSTRUMENTS

    for name, instrument in INSTRUMENTS.items():
        energy, optics, _ = read_microscope(MicroscopeOptions(instrument=name))
        assert (energy, optics) == (instrument.energy, instrument.optics)
        _, other, _ = read_microscope(MicroscopeOptions(instrument=name, focal_spread_nm=1, defocus_nm=7))
        assert (other.focal_spread, other.aberrations.defocus) == (10.0, 70.0)
        assert other.aberrations.C30 == optics.aberrations.C30
        with pytest.raises(InputError, match=f"--energy-kv 123 contradicts --instrument {name}"):
            read_microscope(MicroscopeOptions(instrument=name, energy_kv=123))


def test_a_camera_gives_way_to_options() -> None:
    camera = read_camera(CameraOptions(camera="direct-counting", dose=100, binning=2, dqe=0.5))
    named = CAMERAS["direct-counting"]
    assert (camera.mtf, camera.ntf) == (named.mtf, named.ntf)
    assert (camera.dose, camera.binning, camera.dqe) == (100, 2, 0.5)
    assert read_camera(CameraOptions(camera="direct-counting")).dose == inf


def test_curves_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "mtf.txt").write_text("0 1\n0.5 0.5\n1 0.1\n")
    (tmp_path / "ntf.txt").write_text("0 1\n1 0.5\n")
    camera = read_camera(
        CameraOptions(mtf=tmp_path / "mtf.txt", ntf=tmp_path / "ntf.txt", mtf_unit="nyquist", dose=10)
    )
    assert camera.mtf is not None
    assert camera.ntf is not None
    assert (camera.mtf.frequencies, camera.mtf.values) == ((0, 0.25, 0.5), (1, 0.5, 0.1))
    assert camera.ntf.values == (1, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CameraOptions(camera="film"), "camera: expected one of scintillator-ccd, .* got 'film'"),
        (CameraOptions(dqe=0.5), "--dqe without --dose"),
        (CameraOptions(readout=1), "--readout without --dose"),
        (CameraOptions(dose=1, ntf=Path("n")), "--ntf without --mtf"),
        (CameraOptions(mtf_unit="nyquist"), "--mtf-unit without --mtf"),
        (CameraOptions(camera="direct-counting", mtf=Path("m")), "contradict --camera"),
        (CameraOptions(dose=-1), "dose: expected"),
    ],
)
def test_cameras_that_contradict_themselves(options: CameraOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_camera(options)
