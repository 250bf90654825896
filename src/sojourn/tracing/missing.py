"""What a script asks a hub for and cannot get offline: why it failed, and what to fetch first.

The script gets the error that its library raises, as it would in a cut-off place; the remedy is
kept beside it until it turns out that nobody caught it.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from sojourn.script.imports import after_import

if TYPE_CHECKING:
    from collections.abc import Callable

_CONFIG_FILES = "config.json"
_TOKENIZER_FILES = '--include "tokenizer*" --include "*.model" --include "vocab*" --include "*.txt"'


class Missing:
    """The errors that came of something not being at hand, each with its remedy."""

    def __init__(self) -> None:
        # Errors are kept: their identity is what they are known by.
        self._known: list[tuple[BaseException, str, str]] = []

    def install(self) -> None:
        """Watch the libraries that fetch from hubs, for the rest of the process."""
        after_import(
            {
                "transformers.configuration_utils": self._watch_configs,
                "transformers.tokenization_utils_base": self._watch_tokenizers,
                "transformers.models.auto.tokenization_auto": self._watch_auto_tokenizers,
                "transformers.image_processing_base": self._watch_processors,
                "transformers.feature_extraction_utils": self._watch_extractors,
                "transformers.processing_utils": self._watch_multimodal,
                "datasets.load": self._watch_datasets,
                "huggingface_hub": self._watch_hub,
                "torch.hub": self._watch_torch_hub,
            }
        )

    def find(self, error: BaseException | None) -> tuple[str, str] | None:
        """Return what was missing, and the remedy, if that is what an error came of."""
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            # What was asked for last was asked for by the script itself.
            for known, message, remedy in reversed(self._known):
                if known is error:
                    return message, remedy
            error = error.__cause__ or error.__context__
        return None

    def _watch(self, holder: Any, name: str, explain: Callable[[str], tuple[str, str]]) -> None:
        """Remember what a function raises; its first argument names what it was to get."""
        descriptor = vars(holder).get(name)
        if descriptor is None:  # another version keeps it elsewhere
            return
        is_method = isinstance(descriptor, classmethod)
        original = descriptor.__func__ if is_method else descriptor

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            except Exception as error:
                given = [value for value in (*args, *kwargs.values()) if isinstance(value, str)]
                if given and not _is_local(given[0]):
                    self._known.append((error, *explain(given[0])))
                raise

        setattr(holder, name, classmethod(watched) if is_method else watched)

    def _watch_configs(self, module: Any) -> None:
        holder = getattr(module, "PreTrainedConfig", None) or module.PretrainedConfig
        self._watch(holder, "get_config_dict", _explain_config)

    def _watch_tokenizers(self, module: Any) -> None:
        self._watch(module.PreTrainedTokenizerBase, "from_pretrained", _explain_tokenizer)

    def _watch_auto_tokenizers(self, module: Any) -> None:
        self._watch(module.AutoTokenizer, "from_pretrained", _explain_tokenizer)

    def _watch_processors(self, module: Any) -> None:
        self._watch(module.ImageProcessingMixin, "get_image_processor_dict", _explain_processor)

    def _watch_extractors(self, module: Any) -> None:
        self._watch(module.FeatureExtractionMixin, "get_feature_extractor_dict", _explain_processor)

    def _watch_multimodal(self, module: Any) -> None:
        self._watch(module.ProcessorMixin, "from_pretrained", _explain_tokenizer)

    def _watch_datasets(self, module: Any) -> None:
        self._watch(module, "load_dataset", _explain_dataset)

    def _watch_hub(self, module: Any) -> None:
        from huggingface_hub import _snapshot_download, file_download

        for holder, name in (
            (file_download, "hf_hub_download"),
            (_snapshot_download, "snapshot_download"),
        ):
            self._watch(holder, name, _explain_file)
            setattr(module, name, getattr(holder, name))

    def _watch_torch_hub(self, module: Any) -> None:
        self._watch(module, "load", _explain_torch_hub)


def _is_local(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or os.path.isdir(name)  # noqa: PTH112 - text as given


def _explain_config(name: str) -> tuple[str, str]:
    remedy = (
        f"Fetch it, without the weights: hf download {name} {_CONFIG_FILES} (older: "
        f"huggingface-cli download {name} {_CONFIG_FILES}), then plan again."
    )
    return f"The config of {name!r} is not on this machine, and planning is offline.", remedy


def _explain_tokenizer(name: str) -> tuple[str, str]:
    remedy = (
        f"Fetch it, without the weights: hf download {name} {_CONFIG_FILES} && hf download {name} "
        f"{_TOKENIZER_FILES}, then plan again."
    )
    return f"The tokenizer of {name!r} is not on this machine, and planning is offline.", remedy


def _explain_processor(name: str) -> tuple[str, str]:
    remedy = (
        f"Fetch it, without the weights: hf download {name} {_CONFIG_FILES} "
        "preprocessor_config.json, then plan again."
    )
    return f"The preprocessor of {name!r} is not on this machine, and planning is offline.", remedy


def _explain_file(name: str) -> tuple[str, str]:
    remedy = f"Fetch what the script needs of it: hf download {name} FILE, then plan again."
    return f"A file of {name!r} is not on this machine, and planning is offline.", remedy


def _explain_dataset(name: str) -> tuple[str, str]:
    remedy = (
        "Fetch it once: python -c \"from datasets import load_dataset; load_dataset('"
        f"{name}')\" with the arguments that the script gives, then plan again."
    )
    return f"The data set {name!r} is not on this machine, and planning is offline.", remedy


def _explain_torch_hub(name: str) -> tuple[str, str]:
    remedy = (
        f"Fetch it, without the weights: python -c \"import torch; torch.hub.list('{name}', "
        'trust_repo=True)", then plan again.'
    )
    return f"The code of {name!r} is not on this machine, and planning is offline.", remedy
