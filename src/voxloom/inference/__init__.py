"""Trained networks at work: volumes in, probabilities and label maps out, in bounded memory."""

from voxloom.inference.band import Slab
from voxloom.inference.forward import Forward, NetworkFunction, Reading
from voxloom.inference.labels import Stream, restore_labels, restore_probabilities, source_planes
from voxloom.inference.mask_steps import Surroundings
from voxloom.inference.postprocess import apply_step, keep_largest
from voxloom.inference.precision import autocast_dtype
from voxloom.inference.windowing import Windowing
from voxloom.inference.windows import predict_map, stream_map

__all__ = [
    "Forward",
    "NetworkFunction",
    "Reading",
    "Slab",
    "Stream",
    "Surroundings",
    "Windowing",
    "apply_step",
    "autocast_dtype",
    "keep_largest",
    "predict_map",
    "restore_labels",
    "restore_probabilities",
    "source_planes",
    "stream_map",
]
