"""Films drawn together, beside those drawn one by one."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from facetem.atoms.film_batch import FilmBatch, Layers, cut_layers, draw_films, load_columns
from facetem.atoms.films import CLOSEST, NATURAL, FilmLibrary, library
from facetem.core.errors import InputError


def replayed(source: FilmLibrary, thickness: float, seed: int) -> Layers:
    """The numbers that `source.draw(thickness, rng(seed))` draws, in its order."""
    rng = np.random.default_rng(seed)
    density, _ = rng.uniform(*source.density), rng.uniform(*source.waviness)
    layers = source._layers(thickness, density, rng)
    names = [film.name for film in library(source.folder, source.part)]
    rows, base = [], 0.0
    for film, height in layers:
        stretch = (film.density / density) ** (1 / 3)
        room = film.thickness - height / stretch
        start = min(max(float(rng.uniform(-NATURAL, room + NATURAL)), 0.0), room)
        flipped, angle = rng.random() < 0.5, rng.uniform(0, 2 * math.pi)
        mirror, shift = 1.0 if rng.random() < 0.5 else -1.0, rng.random(2)
        row = (0, names.index(film.name), stretch, start, height / stretch, len(layers) == 1, flipped)
        rows.append((*row, angle, mirror, shift, base))
        base += height
    return Layers(*(torch.as_tensor(np.array(column)) for column in zip(*rows, strict=True)))


@pytest.mark.parametrize("extent", [(112.0, 112.0), (60.0, 250.0)])
@pytest.mark.parametrize(("thickness", "seed"), [(8.0, 5), (20.0, 1), (40.0, 3), (90.0, 4)])
def test_same_numbers_same_film(extent, thickness, seed):
    source = FilmLibrary(extent)
    one = source.draw(thickness, np.random.default_rng(seed)).positions
    layers = replayed(source, thickness, seed)
    many = cut_layers(layers, load_columns(source), torch.tensor([thickness]), extent)
    atoms = many.xyz.T.numpy()
    assert many.count.tolist() == [len(atoms)]
    # Rounding may decide otherwise on an atom at a border; none of 10 000 here is as near to one.
    assert abs(len(atoms) - len(one)) <= 1
    distance = np.sort(KDTree(one).query(atoms)[0])
    assert distance[-2] < 1e-4


def test_a_film_does_not_depend_on_its_companions():
    source = FilmLibrary((80.0, 70.0))
    columns, thickness = load_columns(source), (90.0, 20.0)
    layers = [replayed(source, t, seed) for seed, t in enumerate(thickness)]
    both = Layers(*(torch.cat(pair) for pair in zip(*(vars(x).values() for x in layers), strict=True)))
    both = Layers(
        **vars(both) | {"scene": torch.tensor([0] * len(layers[0].film) + [1] * len(layers[1].film))}
    )
    together = cut_layers(both, columns, torch.tensor(thickness), source.extent)
    first = cut_layers(layers[0], columns, torch.tensor(thickness[:1]), source.extent)
    second = cut_layers(layers[1], columns, torch.tensor(thickness[1:]), source.extent)
    assert together.count.tolist() == [*first.count.tolist(), *second.count.tolist()]
    # Vector units round otherwise than what is left over at the end.
    torch.testing.assert_close(together.xyz, torch.cat([first.xyz, second.xyz], 1), atol=2e-5, rtol=0)


def test_drawn_films_have_their_density_and_thickness():
    source = FilmLibrary((100.0, 90.0), density=(2.2, 2.2))
    columns, thickness = load_columns(source), torch.tensor([15.0, 40.0, 70.0]).repeat(8)
    films = draw_films(source, columns, thickness, torch.Generator().manual_seed(0))
    x, y, z = films.xyz
    for along, period in ((x, 100), (y, 90)):
        assert along.min() >= 0
        assert along.max() < period
    scene = torch.arange(24).repeat_interleave(films.count)
    expected = 2.2 * 0.602214 / 12.011
    for i in range(24):
        mine = z[scene == i]
        inner = ((mine > 5) & (mine < thickness[i] - 5)).sum() / (100 * 90 * (thickness[i] - 10))
        # A window of the library is as dense as its film to a few per cent.
        assert float(inner) == pytest.approx(expected, rel=0.06)
    again = draw_films(source, columns, thickness, torch.Generator().manual_seed(0))
    assert torch.equal(films.xyz, again.xyz)
    assert len(films.count.unique()) > 12  # films of their own


def test_no_two_atoms_come_too_close():
    source = FilmLibrary((75.0, 75.0))
    films = draw_films(
        source, load_columns(source), torch.tensor([30.0, 90.0]), torch.Generator().manual_seed(1)
    )
    for part in films.xyz.double().split(films.count.tolist(), 1):
        tree = KDTree(part.T.numpy(), boxsize=[75, 75, 1000])
        assert tree.query(tree.data, k=2)[0][:, 1].min() > CLOSEST - 1e-4


@pytest.mark.parametrize(
    ("thickness", "word"), [(0.0, "thickness"), (2000.0, "thickness"), (math.nan, "thickness")]
)
def test_bad_thickness_is_named(thickness, word):
    source = FilmLibrary((75.0, 75.0))
    with pytest.raises(InputError, match=word):
        draw_films(source, load_columns(source), torch.tensor([thickness]), torch.Generator())


def test_what_is_not_drawn_together_is_named():
    source = FilmLibrary((75.0, 75.0), waviness=(0.0, 1.0))
    with pytest.raises(InputError, match="waviness"):
        draw_films(source, load_columns(source), torch.tensor([20.0]), torch.Generator())
    flat = FilmLibrary((75.0, 75.0))
    films = [
        flat.draw(10, np.random.default_rng(0)),
        FilmLibrary((60.0, 75.0)).draw(10, np.random.default_rng(0)),
    ]
    with pytest.raises(InputError, match="extent"):
        FilmBatch.of(films)


@pytest.mark.gpu
def test_the_device_does_not_matter():
    source = FilmLibrary((75.0, 75.0))
    layers = replayed(source, 90.0, 4)
    there = Layers(*(t.cuda() for t in vars(layers).values()))
    thickness = torch.tensor([90.0])
    here = cut_layers(layers, load_columns(source), thickness, source.extent)
    cuda = cut_layers(there, load_columns(source, "cuda"), thickness.cuda(), source.extent)
    assert abs(here.xyz.shape[1] - cuda.xyz.shape[1]) <= 1
    assert np.sort(KDTree(here.xyz.T.numpy()).query(cuda.xyz.T.cpu().numpy())[0])[-2] < 1e-4
