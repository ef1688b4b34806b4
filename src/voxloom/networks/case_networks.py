"""Networks that answer for a whole image: features, pooling, a linear head. 2D images have two spatial axes.

Families of MONAI and timm are imported only when they are wanted. Does not know files or recipes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxloom.networks.base import StagedNetwork
from voxloom.networks.case_settings import (
    CaseNetworkSettings,
    DenseNetSettings,
    EfficientNetSettings,
    EncoderSettings,
    ResNetSettings,
    TimmSettings,
)
from voxloom.networks.settings import NetworkSettings
from voxloom.networks.unet_levels import UNetLevels

#: Of the smooth maximum of the answers of all places: sharp enough to begin at single places, since answers are small at first; the
#: mean of a thousand places learns nothing of one for hundreds of steps.
SHARPNESS = 32.0


def smooth_maximum(answers: Tensor, sharpness: float) -> Tensor:
    """log(mean(exp(r a))) / r over the places of answers (B, places, L), (B, L)."""
    count = answers.new_full((), float(answers.shape[1]))  # torch.tensor would wait for a card
    return (torch.logsumexp(sharpness * answers, dim=1) - count.log()) / sharpness


class CaseNetwork(StagedNetwork):
    """(B, C, ...) to answers (B, L).

    ``maps`` gives the last features before pooling, for class activation maps. Covariates (B, n) are joined to the pooled features.
    """

    settings: CaseNetworkSettings
    head: nn.Linear

    def __init__(self, settings: CaseNetworkSettings) -> None:
        super().__init__()
        self.settings = settings

    @abstractmethod
    def maps(self, image: Tensor) -> Tensor:
        """Features (B, F, ...) before pooling."""

    def pooled(self, maps: Tensor) -> Tensor:
        """Features (B, F) of the whole image."""
        return maps.flatten(2).mean(2)

    def answer(self, features: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Answers (B, L) of pooled features."""
        if self.settings.covariates:
            assert covariates is not None, "the network was built with covariates"
            features = torch.cat([features, covariates.to(features.dtype)], dim=-1)
        features = functional.dropout(features, self.settings.head_dropout, self.training)
        result: Tensor = self.head(features)
        return result

    def forward(self, image: Tensor, covariates: Tensor | None = None) -> Tensor:
        """See the class."""
        return self.answer(self.pooled(self.maps(image)), covariates)

    def make_head(self, features: int) -> None:
        """The last layer; small weights, so that the first answers are near its bias."""
        self.head = nn.Linear(features + self.settings.covariates, self.settings.out_channels)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)


class EncoderClassifier(CaseNetwork):
    """The contracting path of the U-Net; its weights have the names that a segmentation run gives them."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__(settings)
        unet = NetworkSettings(
            kind="resunet" if settings.residual else "unet",
            dims=settings.dims,
            in_channels=settings.in_channels,
            out_channels=1,
            features=settings.features,
            strides=settings.strides,
            kernels=settings.kernels,
            norm=settings.norm,
        )
        levels = UNetLevels(unet, 1, 0.0)
        self.net = nn.Module()
        self.net.input_block, self.net.downsamples, self.net.bottleneck = (
            levels.input_block,
            levels.downsamples,
            levels.bottleneck,
        )
        self.pooling = settings.pooling
        self.make_head(settings.features[-1] * (2 if settings.pooling == "both" else 1))

    def encoder_stages(self) -> list[list[nn.Module]]:
        """One stage per level, the coarsest last."""
        return [[block] for block in self._blocks()]

    def maps(self, image: Tensor) -> Tensor:
        """Features of the coarsest level."""
        for block in self._blocks():
            image = block(image)
        return image

    def pooled(self, maps: Tensor) -> Tensor:
        """Mean, maximum, or both."""
        flat = maps.flatten(2)
        if self.pooling == "both":
            return torch.cat([flat.mean(2), flat.amax(2)], dim=1)
        return flat.amax(2) if self.pooling == "max" else flat.mean(2)

    def forward(self, image: Tensor, covariates: Tensor | None = None) -> Tensor:
        """See the class; the answers of all places are put together where the settings want that."""
        maps = self.maps(image)
        if self.pooling != "lse":
            return self.answer(self.pooled(maps), covariates)
        places = maps.flatten(2).transpose(1, 2)
        if covariates is not None:
            covariates = covariates[:, None].expand(-1, places.shape[1], -1)
        return smooth_maximum(self.answer(places, covariates).float(), SHARPNESS)

    def _blocks(self) -> Sequence[nn.Module]:
        return [self.net.input_block, *self.net.downsamples, self.net.bottleneck]  # type: ignore[list-item,misc]


class Wrapped(CaseNetwork):
    """A network of a library, cut before its pooling."""

    def __init__(self, settings: CaseNetworkSettings, stages: Sequence[nn.Module], features: int) -> None:
        super().__init__(settings)
        self.stages = nn.ModuleList(stages)
        self.make_head(features)

    def encoder_stages(self) -> list[list[nn.Module]]:
        """As the library divides it."""
        return [[stage] for stage in self.stages]

    def maps(self, image: Tensor) -> Tensor:
        """Features after the last stage."""
        for stage in self.stages:
            image = stage(image)
        return image


class PreActivationBlock(nn.Module):
    """Norm, ReLU, convolution, twice; the input is added (He et al. 2016b)."""

    def __init__(self, dims: int, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        conv: type[nn.Module] = nn.Conv3d if dims == 3 else nn.Conv2d
        norm: type[nn.Module] = nn.BatchNorm3d if dims == 3 else nn.BatchNorm2d
        self.norm1, self.norm2 = norm(channels), norm(out_channels)
        self.conv1 = conv(channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.conv2 = conv(out_channels, out_channels, 3, padding=1, bias=False)
        same = stride == 1 and channels == out_channels
        self.skip = None if same else conv(channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to (B, D, ...)."""
        ready = functional.relu(self.norm1(x))
        past = x if self.skip is None else self.skip(ready)
        x = self.conv2(functional.relu(self.norm2(self.conv1(ready))))
        result: Tensor = x + past
        return result


def build_case_network(settings: CaseNetworkSettings) -> CaseNetwork:
    """The network of the settings with random weights, drawn from torch's global generator."""
    if isinstance(settings, EncoderSettings):
        return EncoderClassifier(settings)
    if isinstance(settings, ResNetSettings):
        return _pre_activation(settings) if settings.pre_activation else _resnet(settings)
    if isinstance(settings, DenseNetSettings):
        return _densenet(settings)
    if isinstance(settings, EfficientNetSettings):
        return _efficientnet(settings)
    assert isinstance(settings, TimmSettings)
    return _timm(settings)


#: Blocks per stage, and whether they are bottlenecks.
_LAYERS = {10: ((1, 1, 1, 1), False), 18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}


def _resnet(settings: ResNetSettings) -> CaseNetwork:
    from monai.networks.nets.resnet import ResNet

    layers, deep = _LAYERS[settings.depth]
    widths = [settings.width * 2**n for n in range(4)]
    made = ResNet(
        "bottleneck" if deep else "basic",
        list(layers),
        widths,
        spatial_dims=settings.dims,
        n_input_channels=settings.in_channels,
        conv1_t_size=7 if settings.stem_stride == 2 else 3,
        conv1_t_stride=settings.stem_stride,
        no_max_pool=not settings.stem_pool,
        num_classes=1,
    )
    stem: list[nn.Module] = [made.conv1, made.bn1, nn.ReLU(inplace=True)]
    if settings.stem_pool:
        stem.append(made.maxpool)
    stages = [nn.Sequential(*stem), made.layer1, made.layer2, made.layer3, made.layer4]
    return Wrapped(settings, stages, widths[-1] * (4 if deep else 1))


def _pre_activation(settings: ResNetSettings) -> CaseNetwork:
    layers, _ = _LAYERS[settings.depth]
    dims = settings.dims
    conv: type[nn.Module] = nn.Conv3d if dims == 3 else nn.Conv2d
    norm: type[nn.Module] = nn.BatchNorm3d if dims == 3 else nn.BatchNorm2d
    pool: type[nn.Module] = nn.MaxPool3d if dims == 3 else nn.MaxPool2d
    size = 7 if settings.stem_stride == 2 else 3
    stem: list[nn.Module] = [
        conv(settings.in_channels, settings.width, size, stride=settings.stem_stride, padding=size // 2, bias=False)
    ]
    if settings.stem_pool:
        stem.append(pool(3, stride=2, padding=1))
    stages, channels = [nn.Sequential(*stem)], settings.width
    for n, blocks in enumerate(layers):
        width = settings.width * 2**n
        stage = [PreActivationBlock(dims, channels, width, 1 if n == 0 else 2)]
        stage += [PreActivationBlock(dims, width, width, 1) for _ in range(blocks - 1)]
        channels = width
        stages.append(nn.Sequential(*stage))
    stages.append(nn.Sequential(norm(channels), nn.ReLU(inplace=True)))
    return Wrapped(settings, stages, channels)


def _densenet(settings: DenseNetSettings) -> CaseNetwork:
    from monai.networks.nets.densenet import DenseNet

    blocks = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}[settings.depth]
    made = DenseNet(
        settings.dims,
        settings.in_channels,
        1,
        init_features=settings.width,
        growth_rate=settings.growth,
        block_config=blocks,
    )
    stages = _grouped(made.features, ("transition1", "transition2", "transition3", "norm5"))
    stages[-1].append(nn.ReLU(inplace=True))
    last = made.class_layers.out
    assert isinstance(last, nn.Linear)
    return Wrapped(settings, stages, last.in_features)


def _grouped(features: nn.Module, ends: Sequence[str]) -> list[nn.Sequential]:
    """The named parts of a network in stages that end where ``ends`` says."""
    stages, part = [], []
    for name, module in features.named_children():
        part.append(module)
        if name in ends:
            stages.append(nn.Sequential(*part))
            part = []
    return [*stages, nn.Sequential(*part)] if part else stages


def _efficientnet(settings: EfficientNetSettings) -> CaseNetwork:
    from monai.networks.nets.efficientnet import EfficientNetBN

    made = EfficientNetBN(
        f"efficientnet-{settings.version}",
        pretrained=False,
        spatial_dims=settings.dims,
        in_channels=settings.in_channels,
        num_classes=1,
    )
    stem = nn.Sequential(made._conv_stem_padding, made._conv_stem, made._bn0, made._swish)
    top = nn.Sequential(made._conv_head_padding, made._conv_head, made._bn1, made._swish)
    return Wrapped(settings, [stem, *made._blocks, top], made._fc.in_features)


class _TimmFeatures(nn.Module):
    """The features of a timm network as one module; some keep their channels last."""

    def __init__(self, made: nn.Module, features: int) -> None:
        super().__init__()
        self.made, self.features = made, features

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, I, J) to (B, F, I', J')."""
        found: Tensor = self.made.forward_features(image)  # type: ignore[operator]
        return found if found.shape[1] == self.features else found.permute(0, 3, 1, 2)


def _timm(settings: TimmSettings) -> CaseNetwork:
    import timm

    from voxloom.errors import BadInput

    if settings.name not in timm.list_models():
        close = timm.list_models(f"*{settings.name}*")[:3]
        raise BadInput(
            f"timm has no network {settings.name}", "`network.name`", f"Perhaps {', '.join(close)}" if close else ""
        )
    made = timm.create_model(settings.name, pretrained=False, in_chans=settings.in_channels, num_classes=0)
    features = int(made.num_features)  # type: ignore[arg-type]
    return Wrapped(settings, [_TimmFeatures(made, features)], features)
