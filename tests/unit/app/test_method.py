"""Options of the calculation: their units, names and limits."""

import pytest

from facetem.app.calculation import Method
from facetem.app.method import MethodOptions, parse_absorption, parse_tilt, read_method
from facetem.core.errors import InputError
from facetem.hrtem.settings import ACCURACIES, Multislice


def test_without_options_it_is_the_standard() -> None:
    assert read_method(MethodOptions()) == Method() == Method(ACCURACIES["standard"])


@pytest.mark.parametrize("name", ACCURACIES)
def test_a_preset_is_taken_as_it_is(name: str) -> None:
    assert read_method(MethodOptions(accuracy=name)).settings == ACCURACIES[name]  # type: ignore[index]


def test_options_replace_what_the_preset_has() -> None:
    method = read_method(
        MethodOptions(
            accuracy="reference",
            scattering_factors="weickenmeier-kohl",
            slice_nm=0.3,
            tilt_mrad="3,-1.5",
            absorption=("Au=0.05", "C=0"),
            phonons=4,
            temporal="envelope",
            spatial="average",
            seed=6,
        )
    )
    reference = ACCURACIES["reference"]
    assert method.settings == Multislice(
        sampling=reference.sampling,
        order=reference.order,
        band=reference.band,
        second_order=reference.second_order,
        projection=reference.projection,
        slice_thickness=3.0,
        light_thickness=3.0,
        parametrization="weickenmeier_kohl",
        tilt=(3.0, -1.5),
        absorption={79: 0.05, 6: 0.0},
        columns=tuple((phase, pixel, 3.0) for phase, pixel, _ in reference.columns),
    )
    assert (method.phonons, method.temporal, method.spatial, method.seed) == (4, "envelope", "average", 6)


def test_pairs() -> None:
    assert parse_tilt("-50,0.5") == (-50.0, 0.5)
    assert parse_absorption("Pt=0.1") == (78, 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            MethodOptions(accuracy="best"),
            "--accuracy: expected one of draft, standard, reference, got 'best'",
        ),
        (
            MethodOptions(scattering_factors="weickenmeier_kohl"),
            "--scattering-factors: expected .*weickenmeier-kohl",
        ),
        (MethodOptions(temporal="none"), "--temporal: expected one of average, envelope"),
        (MethodOptions(spatial="none"), "--spatial: expected one of average, envelope"),
        (MethodOptions(phonons=-1), "--phonons: expected 0 to"),
        (MethodOptions(slice_nm=0.0), "--slice-nm: expected a positive distance, got 0 nm"),
        (MethodOptions(slice_nm=float("nan")), "--slice-nm: expected"),
        (MethodOptions(tilt_mrad="3"), "--tilt-mrad: expected X,Y .* got '3'"),
        (MethodOptions(tilt_mrad="3,x"), "--tilt-mrad: expected X,Y"),
        (MethodOptions(tilt_mrad="0,nan"), "--tilt-mrad: expected X,Y"),
        (MethodOptions(tilt_mrad="0,51"), "--tilt-mrad: expected X,Y within 50 mrad"),
        (MethodOptions(absorption=("Au",)), "--absorption Au: expected SYMBOL=RATIO"),
        (MethodOptions(absorption=("Xy=1",)), "--absorption Xy=1: expected SYMBOL=RATIO"),
        (MethodOptions(absorption=("Au=-0.1",)), "--absorption Au=-0.1: expected a ratio"),
        (MethodOptions(absorption=("Au=1", "Au=2")), "--absorption Au=2: the element is given twice"),
    ],
)
def test_options_that_are_none(options: MethodOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_method(options)
