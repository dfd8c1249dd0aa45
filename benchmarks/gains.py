"""How near a filter by spatial frequency comes to the target of a restorer, by what it is told.

python benchmarks/gains.py draw STORE -o learnt.pt --n 4000              # some 15 images a second
python benchmarks/gains.py draw OTHER_STORE -o held_out.pt --n 640 --network
python benchmarks/gains.py score learnt.pt held_out.pt                   # some minutes

A filter multiplies each spatial frequency by a real gain that depends on its length alone. What it leaves of the target
follows from three sums over rings of frequencies, so filters are learnt without a single Fourier transform: the gains
come from a perceptron that sees the lens (its defocus and other aberrations, of which no user knows as much), from the
network of the restorer's own that sees the power spectrum, or from both. The best filter of each image, which is told
the target, is what all of them would be with perfect knowledge.
"""

import argparse
from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path

import torch
from torch import Tensor, nn

from facetem.core.physics import wavelength
from facetem.data.chance import Lens
from facetem.data.samples import SampleStream, energies
from facetem.data.sources import Share, StoreSource, visits_after
from facetem.learn.normalise import normalise
from facetem.learn.restorer import LEVEL, PATCH, ContrastRestorer, Spectrum
from facetem.learn.weights_file import load_network

RINGS = 48  # from frequency 0 to Nyquist; what lies beyond, in the corners, is one more
BANDS = {
    "beyond 5 Å": (1, 9),
    "5 to 2.9 Å": (9, 15),
    "2.9 to 1.9 Å": (15, 21),
    "1.9 to 1.3 Å": (21, 31),
}  # rings
AT_ONCE = 16
Set = dict[str, Tensor]


def rings(power: Tensor) -> Tensor:
    """Sums of (n, y, x) on the half plane of `torch.fft.rfft2` over rings of frequencies, as (n, `RINGS` + 1)."""
    height, width = power.shape[-2], 2 * (power.shape[-1] - 1)
    ky, kx = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    ring = (2 * (RINGS - 1) * torch.sqrt(ky**2 + kx**2)).round().long().clamp_max(RINGS)
    counted = torch.full((width // 2 + 1,), 2.0)
    counted[[0, -1]] = 1.0
    sums = power.new_zeros(len(power), RINGS + 1)
    return sums.scatter_add_(1, ring.reshape(1, -1).expand(len(power), -1), (power * counted).flatten(1))


def told(lens: Lens, energy: float, dose: float) -> Tensor:
    """All that decides the transfer, as numbers of about 1: the round phase at each ring, and what is not round."""
    lam, optics = wavelength(energy), lens.optics
    aberrations = optics.aberrations
    k = torch.arange(RINGS) / (RINGS - 1) * 1.25
    phase = (
        torch.pi * lam * k**2 * (-float(aberrations.defocus) + 0.5 * float(aberrations.C30) * (lam * k) ** 2)
    )
    others = [
        lam * float(aberrations.defocus) / 4,
        lam * abs(float(aberrations.defocus)) / 4,
        lam * float(aberrations.C12),
        lam**2 * float(aberrations.C21) / 0.1,
        lam**2 * float(aberrations.C23) / 0.1,
        lam * float(optics.focal_spread),
        energy / 2e5 - 1,
        torch.tensor(dose).log().item() - 7.5,
        100 * lens.loss,
        lens.stray,
    ]
    return torch.cat([phase.sin(), phase.abs().sin(), phase.cos(), torch.tensor(others)])


def draw(store: Path, n: int, seed: int, network: bool) -> Set:
    """Ring sums of images and targets of a store, with what tells of their lenses."""
    source = StoreSource(store, memory=3e9)
    stream = SampleStream(source.recipe, split="train", size=PATCH, anywhere=True, seed=seed)
    net = load_network(None, ContrastRestorer)[0].eval()
    parts: list[Set] = []
    groups = filter(None, source.load(visits_after(source, Share(seed), 0)))
    showings = chain.from_iterable(groups)
    for first in range(0, n, AT_ONCE):
        some = list(islice(showings, min(AT_ONCE, n - first)))
        drawn = stream.chance.draw([showing.visit for showing in some], energies(some))
        batch = stream.image(some, drawn)
        images, wanted = normalise(batch.noisy), batch.target - 1
        seen, aim = (torch.fft.rfft2(part, norm="forward") for part in (images[:, 0].float(), wanted))
        part = {
            "power": rings(seen.abs().square()),
            "cross": rings((seen * aim.conj()).real),
            "wanted": rings(aim.abs().square()),
            "spectrum": net.spectrum.log_power(images).half(),
            "lens": torch.stack(
                [
                    told(one.lens, showing.item.energy, one.exposure.camera.dose)
                    for one, showing in zip(drawn, some, strict=True)
                ]
            ),
        }
        if network:
            with torch.no_grad():
                answer = net(images)
            for name, made in (("restored", answer.restored), ("filter", answer.filtered[:, 0])):
                part[name] = rings((torch.fft.rfft2(made.float(), norm="forward") - aim).abs().square())
        parts.append(part)
        print(f"\r{first + len(some)} of {n}", end="", flush=True)
    print()
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def left(gains: Tensor, images: Set) -> Tensor:
    """Power (n, rings) of the difference between filtered image and target."""
    return gains**2 * images["power"] - 2 * gains * images["cross"] + images["wanted"]


def say(name: str, rest: Tensor, images: Set) -> None:
    wanted = images["wanted"]
    row = [rest[:, 1:].sum() / wanted[:, 1:].sum()]
    row += [rest[:, a:b].sum() / wanted[:, a:b].sum() for a, b in BANDS.values()]
    print(f"| {name} | " + " | ".join(f"{float(value):.3f}" for value in row) + " |", flush=True)


class Gains(nn.Module):
    """The lens and the spectrum, or one of them, -> gains."""

    def __init__(self, numbers: int, seen: tuple[bool, bool], start: Tensor, width: int = 128) -> None:
        super().__init__()
        self.start, self.seen = start, seen
        self.lens = nn.Sequential(
            nn.Linear(numbers, 2 * width), nn.ReLU(), nn.Linear(2 * width, width), nn.ReLU()
        )
        self.eye = Spectrum(width)
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, RINGS + 1))

    def forward(self, images: Set) -> Tensor:
        lens = self.lens(images["lens"]) * self.seen[0]
        spectrum = self.eye.head(self.eye.layers(images["spectrum"].float()).flatten(1)) * self.seen[1]
        return self.start + LEVEL * self.head(torch.cat([lens, spectrum], dim=1))


def learnt(network: nn.Module, images: Set, epochs: int, rate: float = 2e-3) -> Callable[[Set], Tensor]:
    """The network after learning to leave as little as it can of each target, in parts of it."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.02)
    batch, n = 64, len(images["power"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (n // batch))
    for _ in range(epochs):
        for rows in torch.randperm(n)[: n // batch * batch].split(batch):
            some = {name: part[rows] for name, part in images.items()}
            loss = left(network(some), some)[:, 1:].sum(1) / (some["wanted"][:, 1:].sum(1) + 1e-3)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            schedule.step()
    network.eval()
    return torch.no_grad()(network)


def score(train: Set, test: Set, epochs: int) -> None:
    torch.manual_seed(0)
    print("| gains by | all | " + " | ".join(BANDS) + " |")
    print("| --- |" + " --- |" * (1 + len(BANDS)))
    always = train["cross"].mean(0) / train["power"].mean(0)
    say("one filter for all images", left(always, test), test)
    for name, seen in (
        ("lens", (True, False)),
        ("spectrum", (False, True)),
        ("lens and spectrum", (True, True)),
    ):
        network = Gains(test["lens"].shape[1], seen, always)
        say(f"the {name}", left(learnt(network, train, epochs)(test), test), test)
    say("the target", left(test["cross"] / test["power"].clamp_min(1e-12), test), test)
    for name in ("filter", "restored"):
        if name in test:
            say(f"facetem, {name}", test[name], test)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("draw")
    one.add_argument("store", type=Path)
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--n", type=int, default=4000)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--network", action="store_true", help="what facetem's restorer leaves, too")
    two = commands.add_parser("score")
    two.add_argument("train", type=Path)
    two.add_argument("test", type=Path)
    two.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.command == "draw":
        torch.save(draw(given.store, given.n, given.seed, given.network), given.output)
    else:
        score(torch.load(given.train), torch.load(given.test), given.epochs)


if __name__ == "__main__":
    main()
