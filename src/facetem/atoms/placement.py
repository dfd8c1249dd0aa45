"""Where particles go: templates, orientations and centres of many at once, as tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from ase import Atoms
from torch import Tensor

from facetem.atoms.facets import FCC
from facetem.atoms.library import LIBRARY, facets, family
from facetem.core.errors import InputError

HIGHEST_ZONE = 3  # zone axes up to [333]
TRIES = 64  # at a time, for a particle's place
ROUNDS = 64  # of them before it is given up


@dataclass(frozen=True)
class Template:
    """A particle to place again and again: cache it by what it was built from.

    Parameters
    ----------
    positions : (atom, 3) float
        [Å], around their mean.
    numbers : (atom,) int64
    label : str
        The shape.
    diameter : float
        Volume-equivalent [Å].
    radius : float
        Of the sphere around the mean that holds all atoms [Å].
    cubic : bool
        Whether it is one cubic crystal with its axes along x, y and z, so that its zone axes have indices.
    """

    positions: Tensor
    numbers: Tensor
    label: str
    diameter: float
    radius: float
    cubic: bool

    @classmethod
    def of(
        cls, atoms: Atoms, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Template:
        """A particle of `build_particle`, not yet rotated."""
        if len(atoms) == 0:
            raise InputError("template: expected a particle with atoms, got none")
        centred = torch.as_tensor(atoms.positions - atoms.positions.mean(axis=0))
        label = str(atoms.info.get("shape", "unknown"))
        return cls(
            centred.to(device, dtype),
            torch.as_tensor(atoms.numbers, dtype=torch.int64, device=device),
            label,
            float(atoms.info.get("diameter", 0.0)),
            float(centred.norm(dim=1).max()),
            label in LIBRARY
            and not family(label).disorder
            and facets(label, family(label).ideal).lattice is FCC,
        )


@dataclass(frozen=True)
class Placements:
    """Particles of several specimens.

    Parameters
    ----------
    scene : (particle,) int64
        Specimen of each, non-decreasing.
    template : (particle,) int64
    rotation : (particle, 3, 3) float
        x -> rotation x takes the template's axes to those of the specimen.
    centre : (particle, 2) float
        (x, y) [Å] of the centroid.
    toward : (specimen,) float
        1: the particles lie on the entrance side, and the film at larger z than they; -1: on the exit side.
    gap : (specimen,) float
        [Å] above the film; a negative one sinks the particle into it.
    """

    scene: Tensor
    template: Tensor
    rotation: Tensor
    centre: Tensor
    toward: Tensor
    gap: Tensor

    def __post_init__(self) -> None:
        n, device = len(self.scene), self.rotation.device
        shapes = {"template": (n,), "rotation": (n, 3, 3), "centre": (n, 2), "gap": (len(self.toward),)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                got = tuple(getattr(self, name).shape)
                raise InputError(f"placements: expected {name} of shape {shape}, got {got}")
        if any(t.device != device for t in (self.scene, self.template, self.centre, self.toward, self.gap)):
            raise InputError(f"placements: expected all tensors on one device ({device})")
        if n and (bool((self.scene.diff() < 0).any()) or not int(self.scene[0]) >= 0):
            raise InputError("placements: expected specimen numbers in non-decreasing order from 0")
        if n and int(self.scene[-1]) >= len(self.toward):
            raise InputError(
                f"placements: expected specimens below {len(self.toward)}, got {int(self.scene[-1])}"
            )
        if not bool((self.toward.abs() == 1).all()):
            raise InputError("placements: expected toward of 1 (entrance side) or -1 (exit side)")


def draw_rotations(n: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rotation matrices (n, 3, 3) uniform on SO(3): random unit quaternions (Shoemake 1992)."""
    q = torch.randn((n, 4), generator=generator, dtype=torch.float64, device=generator.device)
    return matrices(q / q.norm(dim=1, keepdim=True)).to(dtype)


def matrices(quaternions: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4), (w, x, y, z)."""
    w, x, y, z = quaternions.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def quaternions(rotations: Tensor) -> Tensor:
    """Unit quaternions (n, 4), (w, x, y, z) with w >= 0, of rotation matrices (n, 3, 3).

    The entries of 4 q q^T are sums of those of the matrix; its row of the largest diagonal entry is the most accurate.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotations.unbind(-2))
    rows = [
        1 + a + e + i, h - f, c - g, d - b,
        h - f, 1 + a - e - i, b + d, c + g,
        c - g, b + d, 1 - a + e - i, f + h,
        d - b, c + g, f + h, 1 - a - e + i,
    ]  # fmt: skip
    products = torch.stack(rows, -1).unflatten(-1, (4, 4))
    best = products.diagonal(dim1=-2, dim2=-1).argmax(-1)
    q = products[torch.arange(len(products), device=products.device), best]
    return q / q.norm(dim=-1, keepdim=True) * torch.where(q[:, :1] < 0, -1.0, 1.0)


def lying(normals: Tensor, toward: Tensor, generator: torch.Generator) -> Tensor:
    """Rotations (n, 3, 3) that lay a facet on the film, turned about the beam by any angle.

    Parameters
    ----------
    normals : (n, 3) float
        The facet's outward normal in the particle's axes, of any length, e.g. of `facetem.atoms.truth.truth`.
    toward : (n,) float
        1 where the film lies at larger z (entrance side), -1 where at smaller.

    Raises
    ------
    InputError
        If a normal is zero or not finite.
    """
    length = normals.norm(dim=1, keepdim=True)
    if not bool(((length > 0) & length.isfinite()).all()):
        raise InputError("normals: expected directions (x, y, z), got one of length zero or not finite")
    z = normals / length * toward[:, None]
    away = torch.nn.functional.one_hot(z.abs().argmin(1), 3).to(z)
    first = torch.linalg.cross(z, away)
    first = first / first.norm(dim=1, keepdim=True)
    turn = 2 * math.pi * torch.rand((len(z), 1), generator=generator, dtype=z.dtype, device=z.device)
    x = turn.cos() * first + turn.sin() * torch.linalg.cross(z, first)
    return torch.stack([x, torch.linalg.cross(z, x), z], 1)


def zone_axes(rotations: Tensor) -> tuple[Tensor, Tensor]:
    """The zone axis of a cubic crystal that is nearest the beam, and its angle to it.

    Parameters
    ----------
    rotations : (n, 3, 3) float

    Returns
    -------
    indices : (n, 3) int64
        u >= v >= w >= 0, up to 3: the one of its family that all 48 symmetries of the cube leave.
    angle : (n,) float
        [rad].
    """
    triples = [t for t in product(range(HIGHEST_ZONE + 1), repeat=3) if t[0] >= t[1] >= t[2]]
    axes = torch.tensor([t for t in triples if math.gcd(*t) == 1], device=rotations.device)
    directions = axes.to(rotations) / axes.to(rotations).norm(dim=1, keepdim=True)
    # The beam in the crystal's axes: the last row of the rotation.
    beam = rotations[:, 2].abs().sort(1, descending=True).values
    nearest = (beam @ directions.T).argmax(1)
    chosen = directions[nearest]
    return axes[nearest], torch.atan2(torch.linalg.cross(beam, chosen).norm(dim=1), (beam * chosen).sum(1))


def draw_centres(
    scene: Tensor,
    radius: Tensor,
    extent: tuple[float, float],
    generator: torch.Generator,
    *,
    distance: float = 2.0,
    whole: bool = True,
) -> Tensor:
    """Random places in the field for particles that do not overlap.

    One particle of every specimen after the other goes to the first of many random places where its sphere is free
    of those before it, also across the border of the field.

    Parameters
    ----------
    scene : (particle,) int64
        Specimen of each, non-decreasing.
    radius : (particle,) float
        Of a sphere around each [Å]: `Template.radius`.
    distance : float
        [Å] between two spheres at least.
    whole : bool
        Keep the spheres inside the field; otherwise the border may cut particles.

    Returns
    -------
    (particle, 2) float: (x, y) [Å]

    Raises
    ------
    InputError
        If a particle finds no place.
    """
    count = torch.bincount(scene)
    rank = ranks(scene)
    field = radius.new_tensor(extent)
    if whole and len(radius) and 2 * float(radius.max()) > min(extent):
        raise InputError(
            f"centres: expected particles smaller than the field of {extent[0]:g} x {extent[1]:g} Å, got a sphere "
            f"of {2 * float(radius.max()):.1f} Å; widen the field"
        )
    width = int(count.max()) if len(count) else 0
    placed = radius.new_zeros((len(count), width, 2))
    spheres = radius.new_full((len(count), width), -torch.inf)
    for k in range(width):
        mine = (rank == k).nonzero()[:, 0]
        here, r = scene[mine], radius[mine]
        placed[here, k] = _free_places(placed[here], spheres[here], r + distance, field, generator, r * whole)
        spheres[here, k] = r
    return placed[scene, rank]


def _free_places(
    placed: Tensor, spheres: Tensor, radius: Tensor, field: Tensor, generator: torch.Generator, border: Tensor
) -> Tensor:
    """A place (n, 2) for one sphere in each of n fields that hold others (n, k); those of radius -inf are none."""
    n = len(placed)
    found, place = torch.zeros(n, dtype=torch.bool, device=placed.device), placed.new_zeros((n, 2))
    for _ in range(ROUNDS):
        tries = torch.rand((n, TRIES, 2), generator=generator, dtype=placed.dtype, device=placed.device)
        tries = border[:, None, None] + tries * (field - 2 * border[:, None, None])
        away = tries[:, :, None] - placed[:, None]
        away = away - field * (away / field).round()
        free = (away.norm(dim=-1) >= (radius[:, None] + spheres)[:, None]).all(-1)
        pick = tries[torch.arange(n, device=placed.device), free.int().argmax(1)]
        place = torch.where(found[:, None], place, pick)
        found = found | free.any(1)
        if bool(found.all()):
            return place
    raise InputError(
        f"centres: expected room for all particles without overlap, found none for one of radius "
        f"{float((radius[~found]).max()):.1f} Å in {ROUNDS * TRIES} tries; take fewer or smaller ones, or a wider field"
    )


def ranks(scene: Tensor) -> Tensor:
    """The number (particle,) of each particle within its specimen, from 0; `scene` is non-decreasing."""
    return torch.arange(len(scene), device=scene.device) - torch.searchsorted(scene, scene)


def concatenated(templates: Sequence[Template]) -> tuple[Tensor, Tensor, Tensor]:
    """Positions (atom, 3), numbers (atom,) and how many atoms each template has (template,)."""
    counts = [len(t.numbers) for t in templates]
    return (
        torch.cat([t.positions for t in templates]),
        torch.cat([t.numbers for t in templates]),
        torch.tensor(counts, device=templates[0].positions.device),
    )
