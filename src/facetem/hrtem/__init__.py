"""The microscope: atoms -> exit wave -> clean image -> camera image. Torch only, batched, differentiable."""
