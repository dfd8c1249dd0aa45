"""Steps of a network replayed on a GPU as they were once recorded.

A step of these networks is some thousand small kernels, which Python hands out more slowly than a GPU works them off. A
CUDA graph holds them all and starts them at once.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from facetem.learn.processes import Precision


def replayed(model: nn.Module, images: Tensor, precision: Precision) -> nn.Module:
    """The network on a GPU, whose training passes, forward and backward, are replayed from now on.

    Every input has to have the shape of `images`; what they hold does not matter. Nothing else may use the GPU until
    this returns. Gradients last until the next pass, whose memory is the same. The network in its evaluation mode is as
    before.
    """
    torch.backends.cudnn.benchmark = True  # of all ways to convolve, the quickest for this shape
    # What is recorded runs on a stream of its own; PyTorch waits for it where gradients are summed, and says so.
    told = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)  # torch >= 2.9
    if told:
        told(False)
    before = copy.deepcopy(model.state_dict())
    mixed = precision == "bf16-mixed"
    cast = torch.autocast("cuda", torch.bfloat16, cache_enabled=False) if mixed else nullcontext()
    with cast:
        recorded = torch.cuda.make_graphed_callables(model.train(), (images,))
    assert recorded is model  # its passes are exchanged, not the network
    model.load_state_dict(before)  # the passes that were recorded have moved the normalisation's statistics
    return model
