"""The dynamic U-Net: MONAI's blocks, with deep supervision at each head's own resolution.

Knows how to run MONAI's modules; the weights load into ``monai.networks.nets.DynUNet`` unchanged (``monai_config``).
"""

from __future__ import annotations

from typing import Any

from monai.networks.nets import DynUNet
from torch import Tensor, nn

from voxloom.networks.norm import FastInstanceNorm
from voxloom.networks.settings import NetworkSettings


def monai_config(settings: NetworkSettings) -> dict[str, Any]:
    """Keyword arguments of ``monai.networks.nets.DynUNet`` for the same network; ``UNet.net``'s weights load with ``strict=False``."""
    norm = ("INSTANCE", {"affine": True}) if settings.norm == "instance" else "BATCH"
    return {
        "spatial_dims": settings.dims,
        "in_channels": settings.in_channels,
        "out_channels": settings.out_channels,
        "kernel_size": [list(k) for k in settings.kernels],
        "strides": [list(s) for s in settings.strides],
        "upsample_kernel_size": [list(s) for s in settings.strides[1:]],
        "filters": list(settings.features),
        "dropout": settings.dropout or None,
        "norm_name": norm,
        "deep_supervision": settings.deep_supervision > 1,
        "deep_supr_num": max(1, settings.deep_supervision - 1),
        "res_block": settings.kind == "resunet",
    }


class UNet(nn.Module):
    """Plain or residual U-Net.

    Input (B, C, ...) whose size is a multiple of ``settings.multiple``. In evaluation the result is logits (B, L, ...); in
    training with deep supervision a list of logits, finest first, each at its own resolution.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.net = DynUNet(**monai_config(settings))
        del self.net.skip_layers  # names the same modules a second time; ``forward`` walks them itself
        if settings.norm == "instance":
            replace_instance_norms(self.net)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits; see the class."""
        skips = [self.net.input_block(x)]
        for down in self.net.downsamples:
            skips.append(down(skips[-1]))
        x = self.net.bottleneck(skips[-1])
        coarse: list[Tensor] = []
        heads = self.settings.deep_supervision - 1 if self.training else 0
        for n, (up, skip) in enumerate(zip(self.net.upsamples, reversed(skips), strict=True)):
            x = up(x, skip)
            place = len(skips) - 2 - n  # head 0 belongs to the second finest level
            if 0 <= place < heads:
                coarse.append(self.net.deep_supervision_heads[place](x))
        out: Tensor = self.net.output_block(x)
        return [out, *reversed(coarse)] if heads else out


def replace_instance_norms(module: nn.Module) -> None:
    """Put ``FastInstanceNorm`` in the place of every affine instance norm, parameters included."""
    for name, child in module.named_children():
        if isinstance(child, (nn.InstanceNorm2d, nn.InstanceNorm3d)):
            fast = FastInstanceNorm(child.num_features, child.eps)
            fast.weight, fast.bias = child.weight, child.bias
            setattr(module, name, fast)
        else:
            replace_instance_norms(child)


def build_network(settings: NetworkSettings) -> UNet:
    """The network of the settings, with He initialization (He et al. 2015), drawn from torch's global generator."""
    network = UNet(settings)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight, a=0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def count_parameters(network: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


