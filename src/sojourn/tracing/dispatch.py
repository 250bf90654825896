"""Real CPU, fake CUDA: what touches the device is faked, all else is real.

A dispatch mode sees every operator. One that involves the device runs on shapes alone (torch's
FakeTensor); values that come back to the host are made up, and said to be. CPU tensors stay real,
so that pandas, samplers and loaders just work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from sojourn.errors import TraceError
from sojourn.forecast.trace import Phase, Role
from sojourn.tracing.convolutions import note_convolution, note_convolution_backward
from sojourn.tracing.kernel_work import note_foreach, note_operator, note_transfer
from sojourn.tracing.kernels import STEPS_IN_PLACE, WHOLE
from sojourn.tracing.recorder import storage_of
from sojourn.tracing.refusals import refuse_as_on_card
from sojourn.tracing.scratch import scratch_bytes
from sojourn.tracing.shape_rules import shape_rule
from sojourn.tracing.unknown_sizes import largest_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.tracing.recorder import Recorder
    from sojourn.tracing.unwritten import Unwritten

_CONVOLUTIONS = {
    "convolution": note_convolution,
    "convolution_backward": note_convolution_backward,
}
_MATMULS = {"mm", "addmm", "bmm", "baddbmm", "addmv", "mv", "addbmm", "_scaled_mm", "dot"}
# Elements; integers up to this many are remembered when they go to the device, so that lengths and
# labels come back as they went.
_REMEMBERED_ELEMENTS = 1 << 20
# Who holds the storage of a gradient that only autograd has: the tensor, and the one who asks.
_HOLDERS_OF_ITS_OWN = 2
# What keeps or picks from remembered integers: its result is as well known as they are.
_KNOWING = {
    *("alias", "clone", "detach", "expand", "permute", "select", "slice", "squeeze", "unsqueeze"),
    *("view", "_unsafe_view", "t", "transpose", "cat", "stack", "amax", "amin", "max", "min"),
    *("sum", "add", "sub", "mul", "cumsum"),
}
_TO_HOST = {"_to_copy", "empty_like", "zeros_like", "ones_like", "rand_like", "randn_like"}


def _format(tensor: Any, specification: str) -> str:
    return format(tensor.item() if tensor.dim() == 0 else repr(tensor), specification)


def _numpy(tensor: Any, *, force: bool = False) -> Any:
    """Source: PyTorch, torch/csrc/utils/tensor_numpy.cpp, tensor_to_numpy."""
    if force or tensor.device.type == "cpu":
        return tensor.detach().cpu().numpy()
    raise TypeError(
        f"can't convert {tensor.device} device type tensor to numpy. Use Tensor.cpu() to copy the "
        "tensor to host memory first."
    )


# torch formats one number as a number, but knows no fake ones: f"{loss:.4f}" would fail.
FakeTensor.__format__ = _format  # type: ignore[method-assign]
# It refuses fake ones as they are no tensors of its own, before it comes to what a card's lack.
FakeTensor.numpy = _numpy  # type: ignore[method-assign,assignment]


def is_on_device(device: Any) -> bool:
    """Whether a device argument means the CUDA device. A bare number does, as in torch."""
    if device is None:
        return False
    return isinstance(device, int) or torch.device(device).type == "cuda"


class FakeCudaMode(TorchDispatchMode):
    """The dispatch mode under which the user's script runs.

    Args:
        recorder: Where allocations are written down.
        kernels: Operators that have an implementation of their own here, by operator name.
        unwritten: The large parameters on the host whose initialisation is left out.
    """

    def __init__(
        self, recorder: Recorder, kernels: dict[str, Callable[..., Any]], unwritten: Unwritten
    ) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._recorder = recorder
        self._kernels = kernels
        self._unwritten = unwritten

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        has_fake = any(isinstance(value, FakeTensor) for value in flat)
        name = func._overloadpacket.__name__  # noqa: SLF001 - the name without its overload
        if not has_fake and not is_on_device(kwargs.get("device")):
            if kwargs.get("pin_memory"):
                kwargs = {**kwargs, "pin_memory": False}
            return self._unwritten.run(func, name, args, kwargs)
        if name in self._kernels:
            return self._run_replaced(name, args, kwargs)
        if torch.is_inference_mode_enabled() and _is_composite(func, name):
            # Elsewhere autograd has taken it apart before it gets here.
            with self:
                return func.decompose(*args, **kwargs)
        if name.endswith("_") and args and hasattr(args[0], "host_copy"):
            del args[0].host_copy
        handled, value = self._leave_device(name, args, kwargs)
        if handled:
            return value
        if self._is_accumulation(func, args, kwargs):
            self._note_kernel(func, name, args, kwargs, args[0])
            return args[0]
        output = self._run(func, name, args, kwargs, has_fake=has_fake)
        self._note_outputs(name, args, output)
        with self._recorder.passing(scratch_bytes(name, args, kwargs)):
            pass
        if name in _KNOWING:
            _remember(func, args, kwargs, output)
        return output

    def _run_replaced(self, name: str, args: Any, kwargs: Any) -> Any:
        if name in STEPS_IN_PLACE:
            log, phase = self._recorder.kernels, self._recorder.phase_now()
            note_foreach(log, phase, name, args, None)
        return self._kernels[name](*args, **kwargs)

    def _run(self, func: Any, name: str, args: Any, kwargs: Any, *, has_fake: bool) -> Any:
        if name == "_to_copy" and not has_fake:
            output = self._enter_device(func, args, kwargs)
            self._note_transfer(output)
        else:
            output = self._run_fake(func, name, args, kwargs)
            self._note_kernel(func, name, args, kwargs, output)
        return output

    def _is_accumulation(self, func: Any, args: Any, kwargs: Any) -> bool:
        """Whether this is autograd adding up two gradients of one tensor.

        On a card it adds in place where nobody else holds the first; since these tensors are of
        Python's making, it does not dare to.
        Source: PyTorch, torch/csrc/autograd/input_buffer.cpp, accumulate.
        """
        if func is not torch.ops.aten.add.Tensor or self._recorder.phase is not Phase.BACKWARD:
            return False
        if kwargs or torch.is_grad_enabled() or not all(isinstance(a, FakeTensor) for a in args):
            return False
        held, more = args
        storage = held.untyped_storage()._cdata  # noqa: SLF001 - torch's own count of holders
        return (
            held.shape == more.shape
            and held.dtype == more.dtype
            and torch._C._storage_Use_Count(storage) <= _HOLDERS_OF_ITS_OWN  # noqa: SLF001
            and bool(torch.ops.aten.is_non_overlapping_and_dense.default(held))
        )

    def _leave_device(self, name: str, args: Any, kwargs: Any) -> tuple[bool, Any]:
        """Make up what comes back to the host. Returns whether it did, and the value."""
        first: Any = args[0] if args else None
        known = getattr(first, "host_copy", None)
        if name in {"_local_scalar_dense", "equal", "is_nonzero", "allclose"}:
            return True, self._read_value(name, first, known)
        if name == "copy_" and not isinstance(first, FakeTensor):
            self._note_transfer(args[1])
            return True, first
        device = kwargs.get("device")
        goes_to_host = device is not None and not is_on_device(device)
        if name in _TO_HOST and goes_to_host and torch.device(device).type == "cpu":
            if name == "_to_copy":
                self._note_transfer(first)
            dtype = kwargs.get("dtype") or first.dtype
            if known is not None and name == "_to_copy":
                return True, known.to(dtype, copy=True)
            self._recorder.make_up("tensors copied back from the device are filled with zeros")
            return True, torch.zeros(first.shape, dtype=dtype)
        return False, None

    def _note_transfer(self, tensor: Any) -> None:
        note_transfer(self._recorder.kernels, self._recorder.phase_now(), tensor)

    def _read_value(self, name: str, tensor: Any, known: Any) -> bool | int | float:
        if known is not None and name == "_local_scalar_dense":
            value: bool | int | float = known.item()
            return value
        self._recorder.make_up("values read from the device (.item(), if tensor:) are made up")
        if name != "_local_scalar_dense" or tensor.dtype == torch.bool:
            return False
        return 1.0 if tensor.dtype.is_floating_point else 1

    def _enter_device(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Copy a host tensor to the device: its shape, strides and dtype, no data.

        Not through `from_tensor`, which keeps a weak reference to the original; torch then could
        not swap a parameter's contents in place when a module moves.
        """
        shape_only = func(
            *args, **{**kwargs, "device": torch.device("meta"), "non_blocking": False}
        )
        with self.fake:
            entered: Any = torch.empty_strided(
                shape_only.size(), shape_only.stride(), dtype=shape_only.dtype, device="cuda:0"
            )
        source = args[0]
        if not source.dtype.is_floating_point and source.numel() <= _REMEMBERED_ELEMENTS:
            entered.host_copy = source.clone()
        return entered

    def _run_fake(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        if kwargs.get("generator") is not None:
            # A host generator cannot seed a device that isn't there; nothing is drawn anyway.
            kwargs = {**kwargs, "generator": None}
        rule = shape_rule(name)
        if rule is not None:
            with self.fake:
                result = rule(*args, **kwargs)
            if result is not None:
                return result
        largest = largest_result(name)
        if largest is not None:
            with self.fake:
                result = largest(*args, **kwargs)
            if result is not None:
                self._recorder.make_up(
                    "masks, nonzero() and unique() are taken to select everything"
                )
                self._recorder.has_made_up_sizes = True
                return result
        args, kwargs = tree_map(self._as_fake, args), tree_map(self._as_fake, kwargs)
        refuse_as_on_card(name, args)
        try:
            with self.fake:
                return func(*args, **kwargs)
        except (DynamicOutputShapeException, DataDependentOutputException) as error:
            raise TraceError(
                f"The size of what {func} gives depends on values on the device, which are not "
                "known without one.",
                remedy="Move that line to the CPU or out of the training loop, and plan again.",
            ) from error
        except (UnsupportedOperatorException, NotImplementedError) as error:
            if isinstance(error, NotImplementedError) and "'CUDA' backend" not in str(error):
                raise
            raise TraceError(
                f"The operator {func} has no shape rule in torch, so it cannot be traced.",
                remedy="Use a built-in operator while planning, and plan again.",
            ) from error

    def _as_fake(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and not isinstance(value, FakeTensor):
            return self.fake.from_tensor(value, static_shapes=True)
        return value

    def _note_kernel(self, func: Any, name: str, args: Any, kwargs: Any, output: Any) -> None:
        if name not in _CONVOLUTIONS:
            log, phase = self._recorder.kernels, self._recorder.phase_now()
            note_operator(log, phase, func, name, args, kwargs, output)
        if name in _MATMULS:
            first, second = _matrices(args)
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else ()
            self._recorder.multiply(tensor=first, weight=second, output_shape=shape)
        elif name in _CONVOLUTIONS:
            # Asking torch which kernel it would take makes fake tensors.
            with self.fake:
                _CONVOLUTIONS[name](self._recorder, args, output)

    def _note_outputs(self, name: str, args: Any, output: Any) -> None:
        source = args[0] if args else None
        from_host = (
            name in {"_to_copy", "copy_", "lift_fresh"}
            and isinstance(source, torch.Tensor)
            and not isinstance(source, FakeTensor)
        )
        # What comes back from the host for a backward pass had been moved there from the device.
        is_input = from_host and self._recorder.phase is not Phase.BACKWARD
        role = Role.INPUTS if is_input else None
        for value in tree_flatten(output)[0]:
            storage = storage_of(value) if isinstance(value, FakeTensor) else None
            if storage is not None and value.device.type == "cuda":
                self._recorder.take(storage, role=role)
                if value.dtype is torch.bfloat16:
                    self._recorder.note_bfloat16()


def _is_composite(func: Any, name: str) -> bool:
    """Whether torch takes an operator apart; "prim" names what asks a tensor for its device."""
    return func.namespace == "aten" and name not in WHOLE and func._can_decompose()  # noqa: SLF001


def _remember(func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """Let a result be known on the host where all tensors that it is made of are."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, FakeTensor)]
    is_one = type(output) is FakeTensor
    if not is_one or not all(hasattr(tensor, "host_copy") for tensor in tensors):
        return
    args, kwargs = tree_map(lambda value: getattr(value, "host_copy", value), (args, kwargs))
    output.host_copy = func(*args, **kwargs)


def _matrices(args: Any) -> tuple[Any, Any]:
    """Return the two factors: the last two tensors among the first three arguments."""
    tensors = [value for value in args[:3] if isinstance(value, torch.Tensor)]
    return tensors[-2], tensors[-1]
