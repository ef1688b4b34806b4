"""``predict``: apply a run to new scans, on each scan's own grid.

Knows the networks of a run and how results are named. Scans are found and read by ``voxloom.run.scans``; the arithmetic is in
``voxloom.inference`` and ``voxloom.prepare``.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voxloom.augment import AugmentSettings
from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.measures import USUAL, Measures
from voxloom.inference import (
    Reading,
    Slab,
    Windowing,
    autocast_dtype,
    keep_largest,
    restore_labels,
    restore_probabilities,
    source_planes,
    stream_map,
)
from voxloom.inference.device import pick_device
from voxloom.inference.labels import add_share, decide
from voxloom.inference.looks import mean_of_views
from voxloom.inference.variation import Variation
from voxloom.inference.views import Member, View, views
from voxloom.networks import build_network, network_settings
from voxloom.prepare import PLAIN_SLICES, PrepareSettings, SliceSettings, Statistics
from voxloom.run.mirroring import sided_axes
from voxloom.run.run import Run
from voxloom.run.scan_check import TrainedOn
from voxloom.run.scans import admit, read_channels
from voxloom.runfiles import folders_of
from voxloom.tasks.segmentation.postprocessing import Activations, ChosenStep, used_steps
from voxloom.training.settings import InferenceSettings
from voxloom.training.weights import load_weights
from voxloom.volume import Volume

#: Voxels of the planes that are handed out at a time.
PLANE_VOXELS = 1 << 22


@dataclass(frozen=True, eq=False)
class Postprocessed(Volume):
    """A label map after post-processing, and ``before``, its values (I, J, K) without it; None where there is none to do."""

    before: np.ndarray | None = None


@dataclass(frozen=True)
class Predictor:
    """The networks of a run, ready to predict.

    Parameters
    ----------
    members : the folds; their probabilities are averaged.
    prepare, inference, labels, channels, patch, precision, channels_last : as in ``model.json``.
    device : where the networks live.
    largest : names of labels of which only the largest component is kept.
    slices : which slices the networks see, as in ``model.json``.
    steps : post-processing steps of the run.
    augment : the random changes of training; None where a run of an earlier version does not say.
    looks : views of the scan whose mean is taken, see ``voxloom.tasks.segmentation.tta``; none for the scan alone.
    trained_on : what the training cases were like; scans that differ are told.
    measures : what the run's recipe measures of its predictions.
    may_lack : whether the networks learned to do without a channel (``augment.channel_dropout``).
    """

    members: tuple[Member, ...]
    prepare: PrepareSettings
    inference: InferenceSettings
    labels: Labels
    channels: tuple[str, ...]
    patch: tuple[int, int, int]
    precision: str
    channels_last: bool
    device: torch.device
    largest: tuple[str, ...]
    slices: SliceSettings = PLAIN_SLICES
    steps: tuple[ChosenStep, ...] = ()
    augment: AugmentSettings | None = None
    looks: tuple[Variation, ...] = ()
    may_lack: bool = False
    trained_on: TrainedOn | None = None
    measures: Measures = USUAL

    @classmethod
    def of(cls, run: Run, *, device: str = "auto") -> Predictor:
        """Load all trained folds of a run."""
        largest = tuple(run.summary.get("largest_component", ()))
        return cls.from_folds(folders_of(run.folds), device=device, largest=largest).with_run(run)

    def with_run(self, run: Run) -> Predictor:
        """The same networks with what the run knows beside them: its post-processing, and how and on what it was trained.

        Mirror images that training never showed are left out, which a run of an earlier version may ask for.
        """
        augment = AugmentSettings.model_validate(run.recipe.augment)
        on = TrainedOn.of(run.data)
        known = replace(
            self,
            steps=used_steps(run.summary),
            augment=augment,
            trained_on=on,
            measures=Measures.model_validate(run.recipe.evaluate),
        )
        mirror = tuple(axis for axis in self.inference.mirror if axis in known.trained_mirror)
        return replace(known, inference=self.inference.model_copy(update={"mirror": mirror}))

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The torch modules, one per fold."""
        return tuple(member.network for member in self.members)

    @property
    def trained_mirror(self) -> tuple[int, ...]:
        """Prepared axes along which the networks know mirror images; left-right is none of them where labels tell the sides."""
        seen = () if self.augment is None else self.augment.mirror
        sided = sided_axes(self.labels.names, self.prepare.orientation)
        return tuple(axis for axis in seen if axis not in sided and (axis < 2 or self.patch[2] > 1))

    @classmethod
    def from_folds(
        cls,
        folders: Sequence[Path],
        *,
        device: str = "auto",
        largest: tuple[str, ...] = (),
    ) -> Predictor:
        """Load folds from their folders (``model.safetensors`` and ``model.json``)."""
        place = torch.device(pick_device(device))
        loaded = [load_weights(folder) for folder in folders]
        try:
            return cls._assemble(loaded, place, largest)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            fix = "Copy the run again"
            raise BadInput(f"model.json is damaged or does not fit the weights ({error})", folders[0], fix) from error

    @classmethod
    def _assemble(
        cls,
        loaded: Sequence[tuple[dict[str, torch.Tensor], dict[str, Any]]],
        place: torch.device,
        largest: tuple[str, ...],
    ) -> Predictor:
        """Networks of weights and descriptions."""
        about = loaded[0][1]
        members = []
        for weights, described in loaded:
            network = build_network(network_settings(described["network"]))
            network.load_state_dict(weights)
            layout = torch.channels_last if described["network"]["dims"] == 2 else torch.channels_last_3d
            network = network.to(place)
            network = network.to(memory_format=layout) if described["channels_last"] else network
            learned = described["statistics"]
            members.append(Member(network.eval(), Statistics.from_dict(learned) if learned else None))
        inference = InferenceSettings.model_validate(about["inference"])
        i, j, k = about["patch"]
        return cls(
            members=tuple(members),
            prepare=PrepareSettings.model_validate(about["prepare"]),
            inference=inference,
            labels=Labels.from_nnunet(about["labels"], about["regions_order"]),
            channels=tuple(about["channels"]),
            patch=(i, j, k),
            precision=about["precision"],
            channels_last=about["channels_last"],
            device=place,
            largest=largest,
            slices=SliceSettings.model_validate(about.get("slices", {})),
            augment=AugmentSettings.model_validate(about["augment"]) if "augment" in about else None,
            may_lack=all(described.get("channel_dropout", 0) > 0 for _, described in loaded),
        )

    def predict(self, source: str | Path | Volume | Sequence[Path], *, resample_tilt: bool = False) -> Volume:
        """Label map of one scan.

        Parameters
        ----------
        source : a volume with the run's channels (one that holds nothing but NaN is missing), a file, a DICOM folder, or one file
            per channel.
        resample_tilt : read a CT with gantry tilt or uneven slices onto an upright grid instead of refusing it.

        Returns
        -------
        Volume (1, I, J, K) of the data set's label values, on the grid of the scan.
        """
        volume = source if isinstance(source, Volume) else read_channels(source, resample_tilt)
        admit(volume, self.channels, self.may_lack, self.trained_on)
        return Volume(self._postprocessed(volume, self._labels(volume))[None], volume.affine, dict(volume.meta))

    def predict_with_before(self, volume: Volume) -> Postprocessed:
        """The label map of one scan, and the one before post-processing; see ``predict``."""
        admit(volume, self.channels, self.may_lack, self.trained_on)
        before = self._labels(volume)
        after = self._postprocessed(volume, before)
        kept = before if self.largest or self.steps else None
        return Postprocessed(after[None], volume.affine, dict(volume.meta), kept)

    def _postprocessed(self, volume: Volume, labels: np.ndarray) -> np.ndarray:
        """Outer label values (I, J, K) after the run's post-processing."""
        if self.largest:
            labels = keep_largest(labels, self.labels, self.largest)
        if not self.steps:
            return labels
        with self.activations(volume) as activations:
            for step in self.steps:
                labels = step.apply(labels, self.labels, volume.affine, activations)
        return labels

    def probabilities(self, volume: Volume, out: np.ndarray | None = None) -> np.ndarray:
        """Probabilities float16 (L, I, J, K) on the scan's own grid: background first, or one per region.

        ``out`` takes them where given, e.g. a memory map; L is ``self.maps``.
        """
        out = np.empty((self.maps, *volume.shape), np.float16) if out is None else out
        with self.views(volume) as seen:
            return self.seen_through(seen, volume, out)

    def seen_through(self, seen: Sequence[View], volume: Volume, out: np.ndarray) -> np.ndarray:
        """Mean probabilities of the networks of some views, written into ``out`` float16 (L, I, J, K) on the scan's own grid."""
        if len(seen) == 1:
            return restore_probabilities(self.slabs(seen[0]), seen[0].geometry, self.labels, out)
        with self._mean(volume, seen) as mean:
            for into, values in zip(out, mean, strict=True):
                into[...] = values
        return out

    def planes(self, volume: Volume) -> Iterator[tuple[int, int, Iterator[np.ndarray]]]:
        """Probabilities on the scan's own grid, a few planes at a time and never whole: see ``voxloom.inference.source_planes``.

        Yields the axis that the planes lie across, the first of them, and one map after the other (background first, or one per
        region), planes first; the maps must be taken before the next planes.
        """
        with self.views(volume) as seen:
            if len(seen) == 1:
                for axis, start, _, maps in source_planes(self.slabs(seen[0]), seen[0].geometry, self.labels):
                    yield axis, start, maps
                return
            with self._mean(volume, seen) as mean:
                step = max(1, PLANE_VOXELS // mean[0, :1].size)
                for start in range(0, mean.shape[1], step):
                    yield 0, start, iter(mean[:, start : start + step])

    @property
    def maps(self) -> int:
        """Number of probability maps."""
        return self.labels.count if self.labels.has_regions else len(self.labels.atoms) + 1

    @contextlib.contextmanager
    def activations(self, volume: Volume) -> Iterator[Activations]:
        """Gives the probability of a label (I, J, K); predicted when first asked for, kept on disk meanwhile."""
        with tempfile.TemporaryDirectory(prefix="voxloom") as folder:

            @cache
            def whole() -> np.ndarray:
                shape = (self.maps, *volume.shape)
                return self.probabilities(volume, np.lib.format.open_memmap(f"{folder}/p.npy", "w+", np.float16, shape))

            first = 0 if self.labels.has_regions else 1
            yield lambda name: whole()[first + self.labels.names.index(name)]
            whole.cache_clear()

    def views(self, volume: Volume) -> contextlib.AbstractContextManager[tuple[View, ...]]:
        """The scan as the networks must see it, while the block runs; see ``voxloom.inference.views.views``."""
        return views(volume, self.prepare, self.members, self.slices.stack.depth)

    @property
    def windowing(self) -> Windowing:
        """How the networks go over a prepared scan."""
        return Windowing(
            self.patch,
            overlap=self.inference.overlap,
            batch=self.inference.batch,
            device=self.device,
            activation="sigmoid" if self.labels.has_regions else "softmax",
            autocast_dtype=autocast_dtype(self.precision, self.device),
            tta_axes=self.inference.mirror,
            channels_last=self.channels_last,
            stack=self.slices.stack,
        )

    def slabs(self, view: View, *, reading: Reading | None = None) -> Iterator[Slab]:
        """Mean probabilities of the networks of a view, or what is read in their place, on its prepared grid."""
        if not self.looks:
            return self._stream(view, Variation(), reading)
        if len(self.looks) == 1 and not self.looks[0].moves:
            return self._stream(view, self.looks[0], reading)
        return mean_of_views(
            self.looks, partial(self._stream, view), view.image.shape[1:], view.geometry.spacing, reading
        )

    def _stream(self, view: View, look: Variation, reading: Reading | None = None) -> Iterator[Slab]:
        """Slabs of one look at a view; a moved scan is not yet brought back."""
        return stream_map(
            tuple(look.network(network) for network in view.networks),
            look.image(view.image, view.geometry.spacing),
            self.windowing,
            reading=reading,
        )

    def _labels(self, volume: Volume) -> np.ndarray:
        """Outer label values (I, J, K) before post-processing."""
        with self.views(volume) as seen:
            if len(seen) == 1:
                inner = restore_labels(partial(self.slabs, seen[0]), seen[0].geometry, self.labels)
            else:
                with self._mean(volume, seen) as mean:
                    inner = decide(iter(mean), self.labels)
        return self.labels.decode(inner)

    @contextlib.contextmanager
    def _mean(self, volume: Volume, seen: Sequence[View]) -> Iterator[np.ndarray]:
        """Mean probabilities float32 (L, I, J, K) on the scan's own grid, on disk, over views on grids of their own."""
        shape = (self.maps, *volume.shape)
        with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
            total = np.lib.format.open_memmap(f"{folder}/mean.npy", "w+", np.float32, shape)
            held = np.lib.format.open_memmap(f"{folder}/view.npy", "w+", np.float16, shape)
            for view in seen:
                restore_probabilities(self.slabs(view), view.geometry, self.labels, held)
                add_share(total, held, len(view.networks) / len(self.members))
            yield total
