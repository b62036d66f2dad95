"""A network's forward pass on decoded images, as fast as the machine allows."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from repro.errors import UserError
from repro.features.backbones import Preprocess, batch_norms
from repro.features.fusion import fused
from repro.features.pixels import normalised

logger = logging.getLogger("repro")


class Forward:
    """A network's forward pass on decoded images, in evaluation mode.

    On a CPU: channels last, layers fused where possible; safe to call from several threads. On a
    graphics card: float16 where it is safe (autocast), channels last, copies that run beside the
    computation. Out of memory halves the batch, with a warning, and goes on; but not where
    BatchNorm takes its statistics from the batch, whose size then decides the result.
    """

    def __init__(
        self,
        module: nn.Module,
        preprocess: Preprocess,
        device: torch.device,
        fuse: bool = True,
    ) -> None:
        """Put ``module`` on ``device``; its tensors are moved, their values stay."""
        self.device = device
        self.mean = torch.tensor(preprocess.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(preprocess.std, device=device).view(1, 3, 1, 1)
        self.module: nn.Module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.most: int | None = None
        if fuse and device.type == "cpu":
            self.module = fused(self.module, self._example(preprocess.crop))

    def _example(self, side: int) -> Tensor:
        noise = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (2, side, side, 3), generator=noise, dtype=torch.uint8)
        return normalised(pixels, self.mean, self.std)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (n, h, w, 3) to features (n, width), float32, on the device."""
        while True:
            try:
                parts = [
                    self._forward(part) for part in torch.split(pixels, self.most or len(pixels))
                ]
                return torch.cat(parts) if len(parts) > 1 else parts[0]
            except RuntimeError as error:
                size = min(self.most or len(pixels), len(pixels))
                if not _out_of_memory(error):
                    raise
                if any(layer.training for layer in batch_norms(self.module)):
                    raise UserError(
                        f"{self.device}: out of memory with {size} images at once, and with fewer "
                        "the results of this protocol would be others. Close other programs that "
                        "use it, run this net on another device, or set a smaller "
                        "flowers.batch_size (adapted) or flowers.head.batch_size (notebook)"
                    ) from error
                if size <= 1:
                    raise UserError(
                        f"{self.device}: out of memory even with a single image; close other "
                        "programs that use it, or run this net on another device"
                    ) from error
                self.most = size // 2
            # Outside the handler: inside it the traceback would keep the tensors alive.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            logger.warning(
                "%s: out of memory with %d images at once; going on with %d",
                self.device,
                size,
                self.most,
            )

    def _forward(self, pixels: Tensor) -> Tensor:
        x = normalised(pixels.to(self.device, non_blocking=True), self.mean, self.std)
        with ExitStack() as stack:
            if self.device.type == "cuda":
                stack.enter_context(torch.autocast("cuda", dtype=torch.float16))
            features: Tensor = self.module(x)
        return features.float()


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
