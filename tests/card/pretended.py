"""A pretended graphics card: tensors that say ``device="card"`` and compute on the processor, by a card's rules.

Built on PyTorch's backend for third parties (PrivateUse1), so that autograd, optimizers and autocast take the way of an
accelerator. An operation that mixes tensors of the processor and of the card is an error, as on a real card; whatever would make
the processor wait for the card is noted: values that are read, blocking copies, results whose shape depends on values. Numbers
are computed for real, so that results can be compared with those of the processor.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

NAME = "card"
aten = torch.ops.aten
#: Operations whose result has a shape, or is a number, that the processor must wait for.
_WAITS = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select", "aten::_unique2", "aten::bincount",
    "aten::unique_consecutive", "aten::unique_dim", "aten::is_nonzero", "aten::item", "aten::argwhere",
}  # fmt: skip
#: Operations that take tensors of both devices: copies, and indices, which a card fetches by itself (and waits for).
_BOTH = {
    "aten::copy_",
    "aten::_to_copy",
    "aten::index",
    "aten::index_put_",
    "aten::_index_put_impl_",
    "aten::index_put",
}


class Mixed(RuntimeError):
    """What a real card says: all tensors of an operation must be on one device."""


@dataclass
class Waits:
    """What made the processor wait for the card: the operation, and the line of Voxloom that asked for it."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def note(self, operation: str) -> None:
        lines = [f for f in traceback.extract_stack() if "/voxloom/" in f.filename and "/tests/" not in f.filename]
        place = lines[-1] if lines else traceback.extract_stack()[-4]
        self.found.append((operation, f"{place.filename.rpartition('/voxloom/')[2]}:{place.lineno} {place.line}"))


class OnCard(torch.Tensor):
    """A tensor of the card; ``held`` is its content, on the processor."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnCard:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=torch.device(NAME, 0),
        )  # fmt: skip
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], meta: None, size: Any, stride: Any) -> OnCard:
        return OnCard(inner["held"])

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.detach().clone().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"OnCard({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {}, Waits())


class PretendedCard(TorchDispatchMode):
    """Within the block ``device="card"`` works; ``waits`` grows."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # without autograd, operations come that are made of others
                if (found := func.decompose(*args, **(kwargs or {}))) is not NotImplemented:
                    return found
        return computed(func, args, kwargs or {}, self.waits)


def computed(func: Any, args: Any, kwargs: dict[str, Any], waits: Waits) -> Any:
    """The operation on the processor, under the rules of a card."""
    name = func._schema.name
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    mine = [x for x in tensors if isinstance(x, OnCard)]
    wanted = kwargs.get("device")
    wanted = torch.device(wanted) if wanted is not None else None
    to_card = wanted.type == NAME if wanted is not None else bool(mine)
    if name == "aten::copy_":
        to_card = isinstance(args[0], OnCard)
    elif mine and name not in _BOTH and any(x.dim() and not isinstance(x, OnCard) for x in tensors):
        where = ", ".join(f"{NAME if isinstance(x, OnCard) else 'cpu'} {tuple(x.shape)}" for x in tensors)
        raise Mixed(f"{name}: expected all tensors to be on the same device, found {where}")
    if mine or to_card:
        _note(name, args, kwargs, tensors, mine, to_card, waits)
    if not torch.is_inference_mode_enabled():
        return _carried_out(func, args, kwargs, to_card, wanted, bool(mine))
    with torch.inference_mode(False), torch.no_grad():  # a view of an ordinary tensor is an ordinary one there too
        return _carried_out(func, args, kwargs, to_card, wanted, bool(mine))


def _carried_out(
    func: Any, args: Any, kwargs: dict[str, Any], to_card: bool, wanted: torch.device | None, any_mine: bool
) -> Any:
    """The operation on the contents; its results are on the card where they belong there."""
    held_args, held = tree_map(_content, (args, kwargs))
    if to_card and wanted is not None:
        held["device"] = torch.device("cpu")
    found = func(*held_args, **held)
    if not (any_mine or to_card):
        return found
    if to_card:
        found = tree_map(lambda x: OnCard(x) if isinstance(x, torch.Tensor) else x, found)
        return return_and_correct_aliasing(func, args, kwargs, found)
    return args[0] if func._schema.name == "aten::copy_" else found


def _note(
    name: str, args: Any, kwargs: dict[str, Any], tensors: list[Any], mine: list[Any], to_card: bool, waits: Waits
) -> None:
    """Note what the processor would wait for."""
    if name in ("aten::copy_", "aten::_to_copy"):
        from_card = isinstance(args[1 if name == "aten::copy_" else 0], OnCard)
        blocking = not (kwargs.get("non_blocking") or (name == "aten::copy_" and len(args) > 2 and args[2]))
        if from_card != to_card and blocking:
            waits.note(name + (" to the processor" if from_card else " to the card"))
    elif name in _WAITS and mine:
        waits.note(name)
    elif name in _BOTH and any(not isinstance(x, OnCard) and x.dim() for x in tensors):
        waits.note(name + " with indices of the processor")
    elif name in ("aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"):
        if any(x.dtype in (torch.bool, torch.uint8) for x in args[1] if x is not None):
            waits.note(name + " with a mask")
    elif name == "aten::repeat_interleave" and kwargs.get("output_size") is None:
        waits.note(name)


def _content(x: Any) -> Any:
    return x.held if isinstance(x, OnCard) else x


class _Event:
    """Work is done as soon as it is asked for."""

    def record(self) -> None: ...

    def synchronize(self) -> None: ...


class _Module(backend_registration._DummyBackendModule):
    """What PyTorch asks of a backend."""

    Event = _Event

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def synchronize(self) -> None:
        """Work is done as soon as it is asked for."""

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def manual_seed_all(self, seed: int) -> None:
        """The processor's generator draws for the card too."""

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    def _is_in_bad_fork(self) -> bool:
        return False

    def is_available(self) -> bool:
        return True


def register() -> None:
    """Tell PyTorch of the backend, once per process."""
    if torch._C._get_privateuse1_backend_name() == NAME:
        return
    backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())
    others = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    others.fallback(torch.library.fallthrough_kernel)
    lowered = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for name in (
        "conv2d",
        "conv3d",
        "conv_transpose2d.input",
        "conv_transpose3d.input",
        "linear",
        "matmul",
        "bmm",
        "mm",
    ):
        packet, _, overload = name.partition(".")
        lowered.impl(name, _in_lower_precision(getattr(getattr(aten, packet), overload or "default")))
    memory = torch.library.Library("aten", "IMPL", "PrivateUse1")  # for threads that have no mode
    memory.impl(
        "empty_strided", lambda size, stride, dtype=None, **_: OnCard(torch.empty_strided(size, stride, dtype=dtype))
    )
    memory.impl("empty.memory_format", _empty)
    memory.impl("_copy_from", _copy_from)  # lists that index a tensor
    _LIBRARIES.extend([others, lowered, memory])


_LIBRARIES: list[torch.library.Library] = []


def _empty(size: Any, dtype: Any = None, memory_format: Any = None, **_: Any) -> OnCard:
    return OnCard(torch.empty(size, dtype=dtype, memory_format=memory_format or torch.contiguous_format))


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _content(target).copy_(_content(source))
    return target


def _in_lower_precision(operation: Any) -> Any:
    """The operation as autocast runs it."""
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def kernel(*args: Any, **kwargs: Any) -> Any:
        dtype = torch.get_autocast_dtype(NAME)
        lower = lambda x: x.to(dtype) if isinstance(x, torch.Tensor) and x.dtype is torch.float32 else x
        with torch._C._ExcludeDispatchKeyGuard(key):
            return operation(*tree_map(lower, args), **tree_map(lower, kwargs))

    return kernel


_Generator = torch.Generator


class _AnyGenerator(torch.Generator):
    """A generator of the processor in the place of the card's."""

    def __new__(cls, device: Any = "cpu") -> _AnyGenerator:
        place = torch.device(device)
        made: _AnyGenerator = _Generator.__new__(cls, "cpu" if place.type == NAME else place)
        return made


@contextlib.contextmanager
def pretended_card() -> Iterator[Waits]:
    """A card for the length of the block, and what made the processor wait for it."""
    register()
    torch.Generator = _AnyGenerator  # type: ignore[misc]
    try:
        with PretendedCard() as mode:
            yield mode.waits
    finally:
        torch.Generator = _Generator  # type: ignore[misc]
