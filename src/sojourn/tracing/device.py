"""A CUDA device that isn't there: what torch's C++ side must believe before it makes CUDA tensors.

On a build without CUDA, and on a CUDA build with no GPU, torch refuses the device in two places:
the device guard (which switches devices) and the hooks (which tell generic code what CUDA offers).
Both are replaced by tables that say "one device, nothing to switch". Nothing here computes.
A card that is there is hidden first, so that there is no third case.

The hooks are a C++ object whose virtual functions have numbered slots. The numbers depend on the
torch version, so they are read off the headers that the wheel ships, then checked against answers
that the original functions must give, before anything is replaced. Run it in a process of its own.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any

from sojourn.errors import TraceError
from sojourn.tracing.versions import TESTED_RANGE, check_system

# c10::DeviceType::CUDA, from c10/core/DeviceType.h.
_CUDA_DEVICE_TYPE = 1
# The Itanium C++ ABI gives a virtual destructor two slots, and puts offset-to-top and RTTI before
# slot 0. Source: Itanium C++ ABI, section 2.5.
_DESTRUCTOR_SLOTS = 2
_WORDS_BEFORE_SLOT_0 = 2
# cuDNN 9.19.0 in cudnnGetVersion's form; a version that has every feature the hooks ask about.
CUDNN_VERSION = 91900
# ATen/cuda/detail/CUDAHooks.cpp: CUDNN_BN_MIN_EPSILON.
_BATCHNORM_MIN_EPSILON = 1e-5

_TRUE_SLOTS = (
    "isBuilt",
    "isAvailable",
    "hasPrimaryContext",
    "hasCUDA",
    "hasCuDNN",
    "compiledWithCuDNN",
    "supportsDilatedConvolutionWithCuDNN",
    "supportsDepthwiseConvolutionWithCuDNN",
    "supportsBFloat16ConvolutionWithCuDNNv8",
    "supportsBFloat16RNNWithCuDNN",
)
_INTEGER_SLOTS = {
    "init": 0,
    "getCurrentDevice": 0,
    "exchangeDevice": 0,
    "maybeExchangeDevice": 0,
    "setCurrentDevice": 0,
    "deviceCount": 1,
    "current_device": 0,
    "getNumGPUs": 1,
    "versionCuDNN": CUDNN_VERSION,
    "versionRuntimeCuDNN": CUDNN_VERSION,
    "deviceSynchronize": 0,
}
_NEEDED_SLOTS = (*_TRUE_SLOTS, "deviceCount", "getCurrentDevice", "versionCuDNN")

# ctypes keeps no reference to what C++ now points to; freed callbacks would crash the process.
_kept_alive: list[Any] = []


def install_fake_cuda(torch: Any) -> None:
    """Make this process's torch believe that one CUDA device exists.

    Args:
        torch: The imported torch module.

    Raises:
        TraceError: this torch build is not laid out as expected.
    """
    check_system(sys.platform)
    _hide_devices()
    torch_folder = Path(torch.__file__).parent
    _install_device_guard(torch, torch_folder)
    _install_hooks(torch, torch_folder)
    torch._C._set_only_lift_cpu_tensors(True)  # noqa: FBT003, SLF001 - a C function, no keywords


def _hide_devices() -> None:
    """Make a card that is there invisible to this process, so that torch finds none.

    It would be used otherwise: its memory taken, and its guard and hooks be those of a real device.
    The driver looks when it is first asked, which no import of torch does.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _unsupported(torch: Any, what: str) -> TraceError:
    return TraceError(
        f"torch {torch.__version__} is not laid out as tracing expects: {what}.",
        remedy=f"Install a version that is known to work: pip install '{TESTED_RANGE}'",
    )


def _install_device_guard(torch: Any, torch_folder: Path) -> None:
    """Let torch install its own no-op guard for CUDA.

    torch does so itself only where a CUDA guard is registered that counts no devices, as in a CUDA
    build without a GPU. In a build without CUDA a guard whose every function returns 0 stands in.
    """
    library = ctypes.CDLL(str(torch_folder / "lib" / "libc10.so"))
    slots = _CUDA_DEVICE_TYPE + 1
    registry = (ctypes.c_void_p * slots).in_dll(
        library, "_ZN3c104impl26device_guard_impl_registryE"
    )
    placeholder = None
    if not registry[_CUDA_DEVICE_TYPE]:
        callback = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(lambda _this: 0)
        address = ctypes.cast(callback, ctypes.c_void_p).value
        table = (ctypes.c_void_p * 64)(*([address] * 64))
        instance = (ctypes.c_void_p * 2)(ctypes.addressof(table), 0)
        _kept_alive.extend([callback, table, instance])
        placeholder = ctypes.addressof(instance)
        registry[_CUDA_DEVICE_TYPE] = placeholder
    torch._C._ensureCUDADeviceGuardSet()  # noqa: SLF001
    if placeholder is not None and registry[_CUDA_DEVICE_TYPE] == placeholder:
        registry[_CUDA_DEVICE_TYPE] = None
        raise _unsupported(torch, "its no-op device guard was not installed")


def read_hook_slots(include_folder: Path) -> dict[str, int]:
    """Read the virtual functions' slot numbers of the CUDA hooks off torch's headers.

    Args:
        include_folder: torch's `include` folder.

    Returns:
        Slot number by function name, counted from the vtable's first function.
    """
    names: list[str] = []
    for interface in ("AcceleratorHooksInterface", "CUDAHooksInterface"):
        header = (include_folder / "ATen" / "detail" / f"{interface}.h").read_text("utf-8")
        names += [name for name in _virtual_functions(header, interface) if name not in names]
    return {name: _DESTRUCTOR_SLOTS + index for index, name in enumerate(names)}


def _virtual_functions(header: str, interface: str) -> list[str]:
    header = re.sub(r"//[^\n]*", "", header)
    header = re.sub(r"#ifdef USE_ROCM.*?#endif", "", header, flags=re.DOTALL)
    body = header[header.index(f"struct TORCH_API {interface}") :]
    body = body[: body.index("\n};")]
    return re.findall(r"\bvirtual\s+[^;{~()]*?\b(\w+)\s*\(", body)


def _install_hooks(torch: Any, torch_folder: Path) -> None:
    try:
        slots = read_hook_slots(torch_folder / "include")
    except (OSError, ValueError) as error:
        raise _unsupported(torch, f"its headers could not be read ({error})") from error
    if missing := [name for name in _NEEDED_SLOTS if name not in slots]:
        raise _unsupported(torch, f"its CUDA hooks lack {', '.join(missing)}")
    library = ctypes.CDLL(str(torch_folder / "lib" / "libtorch_cpu.so"))
    get_hooks = library._ZN2at6detail12getCUDAHooksEv  # noqa: SLF001
    get_hooks.restype = ctypes.c_void_p
    hooks = get_hooks()
    table_pointer = ctypes.c_void_p.from_address(hooks)
    length = _WORDS_BEFORE_SLOT_0 + _DESTRUCTOR_SLOTS + len(slots)
    start = (table_pointer.value or 0) - _WORDS_BEFORE_SLOT_0 * ctypes.sizeof(ctypes.c_void_p)
    original = (ctypes.c_void_p * length).from_address(start)
    _check_slots(torch, original, hooks, slots)
    replaced = (ctypes.c_void_p * length)(*original)
    for name, callback in _answers().items():
        if name in slots:
            _kept_alive.append(callback)
            address = ctypes.cast(callback, ctypes.c_void_p).value
            replaced[_WORDS_BEFORE_SLOT_0 + slots[name]] = address
    _kept_alive.append(replaced)
    table_pointer.value = ctypes.addressof(replaced) + _WORDS_BEFORE_SLOT_0 * ctypes.sizeof(
        ctypes.c_void_p
    )


def _answers() -> dict[str, Any]:
    boolean = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)
    integer = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)
    double = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p)
    answers: dict[str, Any] = {name: boolean(lambda _this: True) for name in _TRUE_SLOTS}
    for name, value in _INTEGER_SLOTS.items():
        answers[name] = integer(lambda _this, value=value: value)
    answers["batchnormMinEpsilonCuDNN"] = double(lambda _this: _BATCHNORM_MIN_EPSILON)
    return answers


def _check_slots(torch: Any, table: Any, hooks: int, slots: dict[str, int]) -> None:
    """Call original functions whose answers are known, to see that the slots are right.

    Without a card both kinds of build say that there is no device; one with CUDA says besides that
    it is one, with cuDNN, and which.
    """
    is_cuda_build = bool(torch.version.cuda)
    known: dict[str, tuple[Any, int]] = {
        "isBuilt": (ctypes.c_bool, is_cuda_build),
        "deviceCount": (ctypes.c_int8, 0),
        "hasCUDA": (ctypes.c_bool, False),
        "hasCuDNN": (ctypes.c_bool, is_cuda_build),
        "current_device": (ctypes.c_int8, -1),
        "compiledWithCuDNN": (ctypes.c_bool, is_cuda_build),
        "getNumGPUs": (ctypes.c_int, 0),
    }
    if is_cuda_build:
        # Of the cuDNN that it was compiled with; the one that is loaded may be newer.
        major, minor, patch = torch._C._cudnn.getCompileVersion()  # noqa: SLF001 - no public name
        known["versionCuDNN"] = (ctypes.c_long, major * 10_000 + minor * 100 + patch)
    for name, (kind, expected) in known.items():
        function = ctypes.CFUNCTYPE(kind, ctypes.c_void_p)(
            table[_WORDS_BEFORE_SLOT_0 + slots[name]]
        )
        if function(hooks) != expected:
            raise _unsupported(torch, f"its CUDA hook {name} is not where its headers say")
