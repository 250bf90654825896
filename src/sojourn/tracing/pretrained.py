"""Pretrained models, of which only the shape counts: built from their config, no weights read.

transformers    from_pretrained builds the model of the config that is in the cache or folder
torchvision     weights=... is as weights=None
timm            pretrained=True is as False
torch.hub       load_state_dict_from_url gives a state that loads into any model
"""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import torch

from sojourn.script.imports import after_import

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.tracing.recorder import Recorder
    from sojourn.tracing.unwritten import Unwritten

# Arguments of from_pretrained that say where and how to read the weights.
_ABOUT_WEIGHTS = {
    *("state_dict", "from_tf", "from_flax", "ignore_mismatched_sizes", "use_safetensors"),
    *("weights_only", "low_cpu_mem_usage", "max_memory", "offload_folder", "offload_state_dict"),
    *("offload_buffers", "variant", "_fast_init", "mirror", "key_mapping", "disable_mmap"),
    *("output_loading_info", "tp_plan", "tp_size", "device_mesh", "generation_config"),
    *("use_kernels", "kernel_config", "allow_all_kernels", "fusion_config", "tqdm_class"),
    *("adapter_kwargs", "adapter_name", "distributed_config", "_from_pipeline", "_commit_hash"),
}
# Arguments that say where the config is.
_ABOUT_PLACE = {
    *("cache_dir", "force_download", "proxies", "local_files_only", "token", "revision"),
    *("subfolder", "_from_auto", "trust_remote_code", "gguf_file"),
}
_DTYPE_IS_AUTO_SINCE = 5


class NotLoaded(dict[str, Any]):
    """Weights that were not read: has every entry, and loads into every model."""

    def __missing__(self, key: str) -> NotLoaded:
        return self

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - dict's signature
        """Return what stands for the entry."""
        return self

    def pop(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - dict's signature
        """Return what stands for the entry."""
        return self

    def __contains__(self, key: object) -> bool:
        return True

    def __delitem__(self, key: str) -> None:
        pass


class Pretrained:
    """Lets pretrained models be built without their weights.

    Args:
        recorder: Gets a note of what was not loaded.
        unwritten: Is told of parameters that a library builds on the device itself.
        quantize: Called with a model and its quantization config, before it moves.
    """

    def __init__(
        self, recorder: Recorder, unwritten: Unwritten, quantize: Callable[[Any, Any], None]
    ) -> None:
        self._recorder = recorder
        self._unwritten = unwritten
        self._quantize = quantize

    def install(self) -> None:
        """Change what loads weights, for the rest of the process."""
        load = torch.nn.Module.load_state_dict

        def load_unless_absent(module: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(state_dict, NotLoaded):
                return torch.nn.modules.module._IncompatibleKeys([], [])  # noqa: SLF001
            return load(module, state_dict, *args, **kwargs)

        torch.nn.Module.load_state_dict = load_unless_absent  # type: ignore[method-assign,assignment]
        torch.hub.load_state_dict_from_url = self._from_url
        after_import(
            {
                "torchvision.models._api": self._change_torchvision,
                "timm.models._builder": self._change_timm,
                "transformers.modeling_utils": self._change_transformers,
            }
        )

    def _from_url(self, url: str, *_args: Any, **_kwargs: Any) -> NotLoaded:
        self._note(url.rpartition("/")[2])
        return NotLoaded()

    def _note(self, name: str) -> None:
        self._recorder.assume(f"the weights of {name} are not loaded; only their shape counts")

    def _change_torchvision(self, module: Any) -> None:
        def get_state_dict(weights: Any, *_args: Any, **_kwargs: Any) -> NotLoaded:
            self._note(str(weights))
            return NotLoaded()

        module.WeightsEnum.get_state_dict = get_state_dict

    def _change_timm(self, module: Any) -> None:
        def load_pretrained(model: Any, *_args: Any, **_kwargs: Any) -> None:
            self._note(type(model).__name__)

        module.load_pretrained = load_pretrained

    def _change_transformers(self, module: Any) -> None:
        def from_pretrained(cls: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
            if name is None:
                return original(cls, name, *args, **kwargs)
            return self._build(cls, name, kwargs)

        original = module.PreTrainedModel.from_pretrained.__func__
        module.PreTrainedModel.from_pretrained = classmethod(from_pretrained)
        module.PreTrainedModel.save_pretrained = self._save_nothing

    def _save_nothing(self, *_args: Any, **_kwargs: Any) -> None:
        self._recorder.assume("save_pretrained writes nothing")

    def _build(self, cls: Any, name: Any, given: dict[str, Any]) -> Any:
        """Build what `cls.from_pretrained(name, **given)` would, with parameters never set."""
        import transformers

        is_told = bool(given.get("output_loading_info"))
        options = {key: value for key, value in given.items() if key not in _ABOUT_WEIGHTS}
        place = {key: options.pop(key) for key in _ABOUT_PLACE & options.keys()}
        dtype = options.pop("dtype", None)
        dtype = options.pop("torch_dtype", None) if dtype is None else dtype
        device_map = options.pop("device_map", None)
        quantization = options.pop("quantization_config", None)
        implementation = options.pop("attn_implementation", None)
        config = options.pop("config", None)
        if not isinstance(config, transformers.PretrainedConfig):
            config, options = cls.config_class.from_pretrained(
                name if config is None else config, return_unused_kwargs=True, **place, **options
            )
        self._note(str(name))
        if implementation is not None:
            options["attn_implementation"] = self._attention(implementation)
        quantization = quantization or getattr(config, "quantization_config", None)
        dtype = _resolved(dtype, config, int(transformers.__version__.partition(".")[0]))
        with self._unwritten.loaded_in_place() if device_map else contextlib.nullcontext():
            model = cls._from_config(config, **{_dtype_name(cls): dtype}, **options)
        _keep_single(model, dtype)
        if quantization is not None:
            self._quantize(model, quantization)
            device_map = device_map or {"": 0}
        model.eval()
        _place(model, device_map)
        nothing: dict[str, list[str]] = {"missing_keys": [], "unexpected_keys": []}
        return (model, nothing) if is_told else model

    def _attention(self, implementation: str) -> str:
        if not str(implementation).startswith("flash_attention"):
            return implementation
        self._recorder.assume(f"{implementation} is traced as sdpa, whose memory is the same")
        return "sdpa"


def _resolved(dtype: Any, config: Any, major: int) -> torch.dtype:
    """Return the dtype that from_pretrained gives the parameters.

    Source: transformers, modeling_utils.py, _get_dtype; since version 5 "auto" is the default.
    """
    if dtype is None and major >= _DTYPE_IS_AUTO_SINCE:
        dtype = "auto"
    if dtype == "auto":
        text = getattr(config, "get_text_config", lambda: config)()
        dtype = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None)
        dtype = dtype or getattr(text, "dtype", None) or getattr(text, "torch_dtype", None)
    if isinstance(dtype, str):
        dtype = getattr(torch, dtype.removeprefix("torch."))
    return dtype if isinstance(dtype, torch.dtype) else torch.get_default_dtype()


def _dtype_name(cls: Any) -> str:
    return "dtype" if 'pop("dtype"' in inspect.getsource(cls._from_config) else "torch_dtype"


def _keep_single(model: Any, dtype: torch.dtype) -> None:
    """Keep in single precision what the model's class says must be."""
    names: set[str] = set()
    if dtype is torch.float16:
        names |= set(getattr(model, "_keep_in_fp32_modules", None) or ())
    if dtype in {torch.float16, torch.bfloat16}:
        names |= set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for path, module in model.named_modules():
        if path.rpartition(".")[2] in names:
            module.to(torch.float32)


def _place(model: Any, device_map: Any) -> None:
    """Move the model, or parts of it, where a device map says; "auto" is the device."""
    if device_map is None:
        return
    places = device_map if isinstance(device_map, dict) else {"": device_map}
    for path, place in places.items():
        if str(place) not in {"cpu", "disk", "meta"}:
            model.get_submodule(path).to("cuda")
    model.hf_device_map = {path: _number(place) for path, place in places.items()}


def _number(place: Any) -> Any:
    return place if str(place) in {"cpu", "disk", "meta"} else 0
