"""Make the library of quenched films that ships with the package (src/facetem/atoms/films).

    python benchmarks/film_library.py RAW [-o FOLDER]

RAW is a folder for the films as LAMMPS leaves them, one a file; those that are there are not made again, so that a
stopped run goes on. The manifest is written whenever a film has been added. About an hour on one core, with
`facetem[carbon]` installed. The same seeds give the same films on the same processor and LAMMPS only: molecular
dynamics is chaotic.
"""

import argparse
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from ase import Atoms

from facetem.atoms import statistics
from facetem.atoms.films import SHIPPED, packed, surfaces, unpacked
from facetem.atoms.quench import POTENTIAL, POTENTIAL_SOURCE, Protocol, quench_film

PERIOD = 102.0  # Å
# (part, density of the liquid [g/cm3], its thickness [Å], seed). Opened, the light films shrink and the dense ones grow
# by up to four per cent; the manifest has the density that comes out.
FILMS = (
    ("training", 2.20, 44, 1),
    ("training", 1.62, 36, 2),
    ("training", 3.05, 26, 3),
    ("training", 1.80, 36, 4),
    ("training", 2.50, 32, 5),
    ("training", 2.05, 30, 6),
    ("training", 2.68, 26, 7),
    ("training", 2.20, 20, 8),
    ("training", 2.35, 28, 9),
    ("training", 2.85, 26, 10),
    ("training", 1.92, 32, 11),
    ("training", 2.00, 100, 12),
    ("test", 2.05, 40, 101),
    ("test", 1.62, 34, 102),
    ("test", 2.85, 24, 103),
    ("test", 2.30, 30, 104),
    ("test", 2.55, 26, 105),
    ("test", 1.80, 30, 106),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("raw", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    parser.add_argument("--pack-only", action="store_true", help="Of the films in RAW; make none.")
    options = parser.parse_args()
    options.raw.mkdir(parents=True, exist_ok=True)
    options.output.mkdir(parents=True, exist_ok=True)
    entries = []
    for part, density, thickness, seed in FILMS:
        raw = options.raw / f"{part}-{seed:03d}.npz"
        if not raw.exists() and not options.pack_only:
            start = time.perf_counter()
            film = quench_film((PERIOD, PERIOD), thickness=float(thickness), density=density, seed=seed)
            whole = raw.with_name("partial.npz")
            np.savez(whole, positions=film.positions, evaporated=film.info["evaporated"])
            whole.rename(raw)
            print(f"{raw}: {len(film)} atoms in {time.perf_counter() - start:.0f} s", flush=True)
        if raw.exists():
            entries.append(pack(raw, options.output, part, density, thickness, seed))
            write_manifest(options.output, entries)


def pack(
    raw: Path, folder: Path, part: str, density: float, thickness: float, seed: int
) -> dict[str, object]:
    """Write one film of the library; return its entry in the manifest."""
    with np.load(raw) as arrays:
        positions, evaporated = arrays["positions"], int(arrays["evaporated"])
    data = packed(positions, PERIOD)
    (folder / f"{raw.stem}.npz").write_bytes(data)
    inner, lower, thick = surfaces(positions, PERIOD)
    # The checks are made on what a user reads, not on what was written.
    xyz = unpacked(data, PERIOD).T.astype(float)
    film = Atoms(numbers=np.full(len(xyz), 6), positions=xyz, cell=(PERIOD, PERIOD, thick), pbc=(1, 1, 0))
    return {
        "name": raw.stem,
        "part": part,
        "sha256": hashlib.sha256(data).hexdigest(),
        "period": PERIOD,
        "atoms": len(positions),
        "thickness": round(thick, 3),
        "lower": round(lower, 3),
        "density": round(inner, 4),
        "liquid": {"density": density, "thickness": thickness, "seed": seed},
        "evaporated": evaporated,
        "checks": checks(film),
    }


def checks(film: Atoms) -> dict[str, object]:
    """First peak of g(r) [Å], its largest value in the gap, and the parts of the atoms with 2, 3 and 4 neighbours."""
    r, g = statistics.pair_distribution(film, longest=4.0, width=0.02)
    neighbours = statistics.coordination(film)
    return {
        "first_peak": round(float(r[g[r < 1.8].argmax()]), 3),
        "largest_in_gap": round(float(g[(r > 1.85) & (r < 2.0)].max()), 4),
        "coordination": {str(n): round(float(np.mean(neighbours == n)), 4) for n in (1, 2, 3, 4)},
    }


def write_manifest(folder: Path, entries: list[dict[str, object]]) -> None:
    values = {
        "potential": f"{POTENTIAL}: {POTENTIAL_SOURCE}",
        "units": "Å, g/cm3; protocol: K, ps",
        "protocol": asdict(Protocol()),
        "films": sorted(entries, key=lambda entry: str(entry["name"])),
    }
    (folder / "manifest.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
