"""Two processes with gloo on the CPU: they train one network, stop together, and go on together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from facetem.core.errors import InputError
from facetem.learn.processes import make_fabric, own_part

from . import two_processes


def start(what: str, folder: Path) -> subprocess.Popen[bytes]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*torchrun, two_processes.__file__, what, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output.decode()


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
    finish(start("steps", tmp_path / "two"))
    first, second = (torch.load(tmp_path / "two" / f"{rank}.pt", weights_only=True) for rank in range(2))
    alone = two_processes.weights_after(two_processes.STEPS, tmp_path / "one")
    begun = two_processes.Blur(None).model.state_dict()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), name
        assert float((value - begun[name]).abs().max()) > 0.05, name
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-4)


def test_a_killed_run_of_two_goes_on_and_stops_by_one_clock(tmp_path: Path) -> None:
    process = start("endless", tmp_path)
    checkpoint = tmp_path / "blur.ckpt"
    until = time.monotonic() + 60
    while not checkpoint.exists():
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.05)
    os.kill(int((tmp_path / "1.pid").read_text()), signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    before = torch.load(checkpoint, weights_only=True)
    minutes = before["elapsed"] / 60 + 0.02
    finish(start(str(minutes), tmp_path))
    after = torch.load(checkpoint, weights_only=True)
    assert after["step"] > before["step"] > 0
    assert after["elapsed"] >= 60 * minutes
    assert all((tmp_path / f"{rank}.done").exists() for rank in range(2))
    rows = [json.loads(line) for line in (tmp_path / "blur-history.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows]
    assert len(set(steps)) == len(steps)  # one process writes
    assert steps[-1] == after["step"]


def test_a_batch_is_shared_out_evenly() -> None:
    fabric = make_fabric(devices=2)
    assert own_part(6, fabric) == 3
    with pytest.raises(InputError, match="batch: expected a multiple of 2, the number of devices, got 5"):
        own_part(5, fabric)


def test_more_devices_than_there_are_are_refused() -> None:
    with pytest.raises(InputError, match="devices: expected at most"):
        make_fabric(devices=10_000)
    with pytest.raises(InputError, match="at least 1"):
        make_fabric(devices=0)


def test_the_command_says_in_one_line_that_a_batch_cannot_be_shared_out(tmp_path: Path) -> None:
    options = ["--budget", "1", "--devices", "2", "--batch", "5", "--device", "cpu", "-o", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "facetem.app.cli", "train", "classifier", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("facetem")]
    assert said == ["facetem: batch: expected a multiple of 2, the number of devices, got 5"]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
