"""Frozen phonons: specimens with their atoms where thermal vibration may have caught them.

Every atom vibrates on its own (Einstein's model), and a fast electron passes while it stands still. The image is the
mean of the images, in intensity, of many such specimens, each of resting atoms: without a Debye-Waller factor
(`debye_waller={}`), which is the mean of their potentials instead. Loane, Xu & Silcox, Acta Cryst. A47 (1991) 267.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite, pi

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.structure import Structure


def displaced(
    structure: Structure, debye_waller: Mapping[int, float], generator: torch.Generator
) -> Structure:
    """One configuration of vibrating specimens; see `configurations`."""
    return next(configurations(structure, debye_waller, generator, n=1))


def configurations(
    structure: Structure, debye_waller: Mapping[int, float], generator: torch.Generator, *, n: int
) -> Iterator[Structure]:
    """Draw `n` configurations of vibrating specimens, one after the other as they are asked for.

    Displacements are Gaussian and alike in x, y and z, <u^2> = B / (8 pi^2) each. Every specimen has its own
    stream of random numbers, seeded from `generator` before this function returns: its configurations do not depend
    on the specimens beside it, on n, or on the device and precision of `structure`, and batches of specimens taken
    in order give what all give at once. Draw for all specimens and let `exit_waves` divide the work.

    An atom that would leave its cell along the beam stays at the cell's face: there is no slice beyond it. The shift
    across the beam, which is what spreads the potential, remains as drawn, and the tenth of an Å that is cut from the
    shift along it is small beside a slice. Across the beam the grid is periodic.

    Parameters
    ----------
    structure
        Atoms at rest; its positions keep their gradients.
    debye_waller
        B [Å^2] by atomic number; elements that it lacks stay at rest.
    generator
        Of the seeds; one on the CPU gives the same seeds everywhere.
    n
        Configurations, > 0.

    Raises
    ------
    InputError
        If `n` is not a positive whole number, or a B is negative or not finite.
    """
    if not (isinstance(n, int) and n > 0):
        raise InputError(f"n: expected a positive number of configurations, got {n!r}")
    amplitude = _amplitudes(structure, debye_waller)
    seeds = torch.randint(
        2**62, (structure.n_specimens,), generator=generator, device=generator.device
    ).tolist()
    # On the CPU and in double precision, so that every device and precision sees the same atoms.
    streams = [torch.Generator().manual_seed(seed) for seed in seeds]
    counts = torch.bincount(structure.batch, minlength=structure.n_specimens).tolist()
    return (_moved(structure, amplitude, streams, counts) for _ in range(n))


def _amplitudes(structure: Structure, debye_waller: Mapping[int, float]) -> Tensor:
    """Root mean square displacement along an axis [Å] of each atom, (atom, 1)."""
    for number, B in debye_waller.items():
        if not (isfinite(B) and B >= 0):
            raise InputError(f"debye_waller: expected B >= 0 Å^2 for atomic number {number}, got {B!r}")
    numbers, which = torch.unique(structure.numbers, return_inverse=True)
    rms = [(debye_waller.get(number, 0.0) / (8 * pi**2)) ** 0.5 for number in numbers.tolist()]
    return torch.tensor(rms, dtype=structure.positions.dtype, device=structure.positions.device)[which, None]


def _moved(
    structure: Structure, amplitude: Tensor, streams: list[torch.Generator], counts: list[int]
) -> Structure:
    draws = [
        torch.randn((count, 3), generator=stream, dtype=torch.float64)
        for stream, count in zip(streams, counts, strict=True)
    ]
    shift = torch.cat(draws).to(structure.positions) * amplitude
    # The shift is cut, not the place: gradients stay, and an atom outside its cell at rest is still found there.
    z, height = structure.positions[:, 2].detach(), structure.cell[structure.batch, 2]
    along = torch.minimum(torch.maximum(shift[:, 2], (-z).clamp_max(0)), (height - z).clamp_min(0))
    return replace(structure, positions=structure.positions + torch.column_stack([shift[:, :2], along]))
