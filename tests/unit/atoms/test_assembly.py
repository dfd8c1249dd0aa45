"""Many specimens at once, beside the ones made one by one."""

import math

import numpy as np
import pytest
import torch
from ase import Atoms
from scipy.spatial import KDTree

from facetem.atoms.assembly import Scenes, assemble_many
from facetem.atoms.carbon import draw_random_film
from facetem.atoms.film_batch import FilmBatch
from facetem.atoms.library import family
from facetem.atoms.placement import (
    Placements,
    Template,
    draw_centres,
    draw_rotations,
    lying,
    matrices,
    quaternions,
    zone_axes,
)
from facetem.atoms.scene import assemble, rotated
from facetem.atoms.shapes import build_particle
from facetem.atoms.truth import truth
from facetem.core.errors import InputError

EXTENT = (80.0, 70.0)
SHAPES = ("octahedron", "cube", "icosahedron")


@pytest.fixture(scope="module")
def films() -> list[Atoms]:
    rng = np.random.default_rng(0)
    return [
        draw_random_film(EXTENT, thickness=t, density=2.0, hard_core=1.2, waviness=1.0, rng=rng)
        for t in (20, 12, 30)
    ]


@pytest.fixture(scope="module")
def particles() -> list[Atoms]:
    return [build_particle(shape, diameter=d) for shape, d in zip(SHAPES, (30, 22, 26), strict=True)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def placed(
    scene: list[int],
    centre: list[tuple[float, float]],
    *,
    toward: float | list[float] = 1.0,
    gap: float | list[float] = 2.0,
    n_scenes: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> Placements:
    n = max(scene) + 1 if n_scenes is None else n_scenes
    return Placements(
        torch.tensor(scene),
        torch.arange(len(scene)) % len(SHAPES),
        draw_rotations(len(scene), generator(), dtype=dtype),
        torch.tensor(centre, dtype=dtype),
        torch.tensor(toward, dtype=dtype).expand(n),
        torch.tensor(gap, dtype=dtype).expand(n),
    )


def one_by_one(particles, films, placements: Placements, **options) -> list[Atoms]:
    specimens = []
    for i, toward in enumerate(placements.toward.tolist()):
        mine = (placements.scene == i).nonzero()[:, 0].tolist()
        specimens.append(
            assemble(
                [
                    rotated(particles[placements.template[p]], placements.rotation[p].double().numpy())
                    for p in mine
                ],
                None if films is None else films[i],
                extent=EXTENT,
                centres=[tuple(placements.centre[p].tolist()) for p in mine],
                side="entrance" if toward > 0 else "exit",
                gap=float(placements.gap[i]),
                **options,
            )
        )
    return specimens


def same(scenes: Scenes, specimens: list[Atoms], tolerance: float) -> None:
    structure = scenes.structure
    for i, specimen in enumerate(specimens):
        mine = structure.batch == i
        np.testing.assert_array_equal(structure.numbers[mine].numpy(), specimen.numbers)
        np.testing.assert_array_equal(scenes.tags[mine].numpy(), specimen.get_tags())
        np.testing.assert_allclose(structure.positions[mine].numpy(), specimen.positions, atol=tolerance)
        np.testing.assert_allclose(structure.cell[i].numpy(), specimen.cell.lengths(), atol=tolerance)
        info, here = specimen.info, scenes.scene == i
        np.testing.assert_allclose(scenes.centre[here, 2].numpy(), info["particle_z"], atol=tolerance)
        np.testing.assert_allclose(
            scenes.particle_z_range[i].numpy(), info["particle_z_range"], atol=tolerance
        )
        if "film_z_range" in info:
            np.testing.assert_allclose(scenes.film_z_range[i].numpy(), info["film_z_range"], atol=tolerance)
        else:
            assert scenes.film_z_range[i].isnan().all()


CENTRES = [(30.0, 40.0), (60.5, 20.0), (41.0, 35.0), (20.0, 22.0), (58.0, 48.0)]
SCENE = [0, 0, 1, 2, 2]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("gap", [2.3, 1.0, -4.0])
@pytest.mark.parametrize("toward", [1.0, -1.0])
def test_atom_by_atom_what_assemble_makes(films, particles, toward, gap, dtype, tolerance):
    placements = placed(SCENE, CENTRES, toward=toward, gap=gap, dtype=dtype)
    scenes = assemble_many(
        [Template.of(p, dtype=dtype) for p in particles],
        FilmBatch.of(films, dtype=dtype),
        placements,
        extent=EXTENT,
    )
    specimens = one_by_one(particles, films, placements)
    same(scenes, specimens, tolerance)
    if gap < 0:  # the carbon that gave way
        assert len(scenes.structure.numbers) < sum(map(len, films)) + sum(
            len(particles[i]) for i in placements.template
        )


def test_specimens_without_film_with_sides_of_their_own_and_clipped(films, particles):
    templates = [Template.of(p, dtype=torch.float64) for p in particles]
    bare = placed(SCENE, CENTRES)
    same(assemble_many(templates, None, bare, extent=EXTENT), one_by_one(particles, None, bare), 1e-9)
    mixed = placed(SCENE, CENTRES, toward=[1.0, -1.0, 1.0], gap=[2.5, -2.0, 0.5])
    batch = FilmBatch.of(films, dtype=torch.float64)
    same(assemble_many(templates, batch, mixed, extent=EXTENT), one_by_one(particles, films, mixed), 1e-9)
    edge = placed([0, 1, 2], [(3.0, 40.0), (77.0, 66.0), (40.0, 2.0)], gap=-1.0)
    with pytest.raises(InputError, match="clip"):
        assemble_many(templates, batch, edge, extent=EXTENT)
    clipped = assemble_many(templates, batch, edge, extent=EXTENT, clip=True)
    same(clipped, one_by_one(particles, films, edge, clip=True), 1e-9)


def test_a_specimen_does_not_depend_on_its_companions(films, particles):
    templates = [Template.of(p) for p in particles]
    together = placed([0, 1, 2], CENTRES[:3], gap=-2.0, dtype=torch.float32)
    whole = assemble_many(templates, FilmBatch.of(films), together, extent=EXTENT)
    for i in range(3):
        alone = Placements(
            torch.zeros(1, dtype=torch.int64),
            together.template[i : i + 1], together.rotation[i : i + 1], together.centre[i : i + 1],
            together.toward[i : i + 1], together.gap[i : i + 1],
        )  # fmt: skip
        single = assemble_many(templates, FilmBatch.of([films[i]]), alone, extent=EXTENT)
        assert torch.equal(single.structure.positions, whole.structure.select(i, i + 1).positions)


def test_ten_thousand_orientations_are_uniform():
    rotations = draw_rotations(10_000, generator(), dtype=torch.float64).numpy()
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-12)
    # Haar measure: every image of every axis is uniform on the sphere (its z uniform in [-1, 1]) ...
    for entry in rotations.reshape(-1, 9).T:
        gap = np.abs(np.sort(entry) - np.linspace(-1, 1, len(entry))).max()
        assert gap < 2 * 1.63 / np.sqrt(len(entry))  # Kolmogorov-Smirnov, 1 %
    # ... and the angle has the distribution (angle - sin angle) / pi.
    trace = np.trace(rotations, axis1=1, axis2=2)
    angle = np.sort(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    expected = (angle - np.sin(angle)) / math.pi
    assert np.abs(expected - np.linspace(0, 1, len(angle))).max() < 1.63 / np.sqrt(len(angle))


def test_quaternions_are_the_rotations_whatever_the_angle():
    half_turns = torch.diag_embed(
        torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    )
    rotations = torch.cat([draw_rotations(1000, generator(), dtype=torch.float64), half_turns])
    q = quaternions(rotations)
    assert (q[:, 0] >= 0).all()
    torch.testing.assert_close(q.norm(dim=1), torch.ones(len(q), dtype=q.dtype))
    torch.testing.assert_close(matrices(q), rotations, atol=1e-12, rtol=0)


def test_zone_axis_is_the_one_along_the_beam():
    wanted = torch.tensor([[0, 0, -1], [0, 1, -1], [1, 1, 1], [2, -1, 1], [0, 3, 1], [-1, 3, 2]])
    z = wanted.double() / wanted.double().norm(dim=1, keepdim=True)
    axes, angle = zone_axes(lying(z, torch.ones(len(z), dtype=z.dtype), generator()))
    assert axes.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1], [3, 1, 0], [3, 2, 1]]
    assert angle.max() < 1e-6
    # One degree off.
    tilt = math.radians(1)
    off = torch.tensor([[math.sin(tilt), 0.0, math.cos(tilt)]], dtype=torch.float64)
    axes, angle = zone_axes(lying(off, torch.ones(1, dtype=off.dtype), generator()))
    assert axes.tolist() == [[1, 0, 0]]
    assert float(angle) == pytest.approx(tilt)


@pytest.mark.parametrize("toward", [1.0, -1.0])
def test_facet_lies_on_the_film(toward):
    # Without a centre of inversion: opposite every face is a corner.
    shape, n = "tetrahedron", 8
    tetrahedron = build_particle(shape, diameter=30)
    known = truth(
        shape, family(shape).ideal, diameter=30, lattice_constant=tetrahedron.info["lattice_constant"]
    )
    normal = max(known.facets, key=lambda facet: facet.area).normal
    normals = torch.as_tensor(normal).expand(n, 3)
    side = torch.full((n,), toward, dtype=torch.float64)
    rotation = lying(normals, side, generator())
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(n, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(n, dtype=torch.float64))
    placements = Placements(
        torch.arange(n),
        torch.zeros(n, dtype=torch.int64),
        rotation,
        torch.full((n, 2), 35.0).double(),
        side,
        side * 2,
    )
    film = draw_random_film(EXTENT, thickness=10, rng=np.random.default_rng(0))
    templates = [Template.of(tetrahedron, dtype=torch.float64)]
    scenes = assemble_many(
        templates, FilmBatch.of([film] * n, dtype=torch.float64), placements, extent=EXTENT
    )
    # The layer next to the film is the whole {111} face, as flat as a layer: that of no random orientation is.
    along = tetrahedron.positions @ normal
    face = np.count_nonzero(along > along.max() - 0.1)
    for i in range(n):
        z = scenes.structure.positions[(scenes.structure.batch == i) & (scenes.tags == 1), 2] * toward
        assert int((z > z.max() - 0.1).sum()) == face > 20
    turns = rotation[:, 0] @ rotation[0, 0]
    assert turns[1:].max() < 0.9999  # a turn of its own each


def test_many_particles_do_not_overlap():
    extent = (300.0, 250.0)
    scene = torch.arange(4).repeat_interleave(12)
    radius = 12 + 8 * torch.rand(48, generator=generator())
    for whole in (True, False):
        centre = draw_centres(scene, radius, extent, generator(), distance=3.0, whole=whole)
        field = torch.tensor(extent)
        away = centre[:, None] - centre
        away = (away - field * (away / field).round()).norm(dim=-1)
        other = (scene[:, None] == scene) & ~torch.eye(48, dtype=torch.bool)
        assert (away - radius[:, None] - radius)[other].min() >= 3.0 - 1e-4
        inside = ((centre >= radius[:, None]) & (centre <= field - radius[:, None])).all(1)
        assert bool(inside.all()) == whole


def test_fields_that_overlap_are_refused(particles):
    scene = torch.zeros(30, dtype=torch.int64)
    with pytest.raises(InputError, match="without overlap"):
        draw_centres(scene, torch.full((30,), 15.0), (100.0, 100.0), generator())
    with pytest.raises(InputError, match="smaller than the field"):
        draw_centres(scene[:1], torch.tensor([60.0]), (100.0, 100.0), generator())
    templates = [Template.of(p, dtype=torch.float64) for p in particles]
    near = placed([0, 1, 1], [(40.0, 35.0), (38.0, 35.0), (46.0, 35.0)])
    with pytest.raises(InputError, match="particle 2 of specimen 1"):
        assemble_many(templates, None, near, extent=EXTENT)


def test_truth_of_every_particle(films, particles):
    placements = placed(SCENE, CENTRES)
    templates = [Template.of(p, dtype=torch.float64) for p in particles]
    scenes = assemble_many(templates, FilmBatch.of(films, dtype=torch.float64), placements, extent=EXTENT)
    assert scenes.labels == tuple(SHAPES[i % 3] for i in range(5))
    assert scenes.diameter.tolist() == pytest.approx([particles[i % 3].info["diameter"] for i in range(5)])
    torch.testing.assert_close(matrices(scenes.quaternion), placements.rotation)
    # An icosahedron is twenty crystals: no zone axis.
    cubic = torch.tensor([t.cubic for t in templates])[placements.template]
    assert cubic.tolist() == [True, True, False, True, True]
    assert (scenes.zone_axis.sum(1) > 0).tolist() == cubic.tolist()
    assert scenes.zone_angle.isnan().tolist() == (~cubic).tolist()
    for p in range(5):
        mine = (scenes.structure.batch == SCENE[p]) & (scenes.tags == [1, 2, 1, 1, 2][p])
        torch.testing.assert_close(scenes.structure.positions[mine].mean(0), scenes.centre[p])


def test_inputs_are_left_alone(films, particles):
    placements = placed(SCENE, CENTRES, gap=-2.0)
    templates = [Template.of(p, dtype=torch.float64) for p in particles]
    batch = FilmBatch.of(films, dtype=torch.float64)
    before = batch.xyz.clone(), templates[0].positions.clone(), placements.centre.clone()
    assemble_many(templates, batch, placements, extent=EXTENT)
    for was, now in zip(before, (batch.xyz, templates[0].positions, placements.centre), strict=True):
        assert torch.equal(was, now)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"extent": (0.0, 10.0)}, "extent"),
        ({"extent": (50.0, 50.0)}, "films"),
        ({"templates": []}, "templates"),
        ({"placements": placed([0, 1], CENTRES[:2])}, "films"),
        ({"placements": placed([0, 1, 2], CENTRES[:3]), "films": None, "templates": 1}, "templates"),
    ],
)
def test_bad_input_is_named(films, particles, changes, word):
    arguments = {
        "templates": [Template.of(p) for p in particles],
        "films": FilmBatch.of(films),
        "placements": placed(SCENE, CENTRES),
        "extent": EXTENT,
    } | changes
    if arguments["templates"] == 1:
        arguments["templates"] = [Template.of(particles[0])]
    with pytest.raises(InputError, match=word):
        assemble_many(**arguments)


@pytest.mark.parametrize(
    ("scene", "toward", "word"), [([1, 0], 1.0, "order"), ([0, 1], 0.5, "toward"), ([0, 3], 1.0, "specimens")]
)
def test_bad_placements_are_named(scene, toward, word):
    with pytest.raises(InputError, match=word):
        placed(scene, CENTRES[:2], toward=toward, n_scenes=2)


def test_carbon_keeps_its_distance(films, particles):
    placements = placed([0, 1, 2], CENTRES[:3], gap=-5.0, dtype=torch.float32)
    scenes = assemble_many(
        [Template.of(p) for p in particles], FilmBatch.of(films), placements, extent=EXTENT
    )
    for i in range(3):
        mine = scenes.structure.batch == i
        metal = scenes.structure.positions[mine & (scenes.tags > 0)].numpy()
        carbon = scenes.structure.positions[mine & (scenes.tags == 0)].numpy()
        assert 1.8 - 1e-4 <= KDTree(metal).query(carbon)[0].min() < 2.2


@pytest.mark.gpu
@pytest.mark.parametrize("gap", [2.0, -3.0])
def test_the_device_does_not_matter(films, particles, gap):
    placements = placed(SCENE, CENTRES, gap=gap)

    def on(device: str) -> Scenes:
        moved = Placements(*(t.to(device) for t in vars(placements).values()))
        templates = [Template.of(p, device, torch.float64) for p in particles]
        return assemble_many(templates, FilmBatch.of(films, device, torch.float64), moved, extent=EXTENT)

    here, there = on("cpu"), on("cuda")
    assert torch.equal(here.tags, there.tags.cpu())
    torch.testing.assert_close(here.structure.positions, there.structure.positions.cpu())
    torch.testing.assert_close(here.centre, there.centre.cpu())
