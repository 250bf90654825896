"""What the measured models are made of: published configurations, written down, never fetched.

Each entry's figures are those of https://huggingface.co/NAME/raw/main/config.json, where NAME is
its key, less what does not change the shape of a tensor. Keys that a file leaves to the defaults of
its transformers class are left to them here too. `torch_dtype` is left out on purpose: the measured
runs trained in float32, whatever the file says (their peaks cannot be explained otherwise).

The images' models are torchvision's by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CAUSAL = "AutoModelForCausalLM"
SEQ2SEQ = "AutoModelForSeq2SeqLM"


class UnknownModelError(LookupError):
    """A row names a model whose configuration is not written down here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformer:
    """`head` is the transformers class that builds it, `config` what AutoConfig is given."""

    name: str
    head: str
    config: dict[str, Any]

    @property
    def source(self) -> str:
        return f"https://huggingface.co/{self.name}/raw/main/config.json"


def _gpt2(**changes: Any) -> dict[str, Any]:
    figures = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
    return {"model_type": "gpt2"} | figures | changes


def _opt(**changes: Any) -> dict[str, Any]:
    figures = {
        "vocab_size": 50272,
        "max_position_embeddings": 2048,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "activation_function": "relu",
    }
    return {"model_type": "opt"} | figures | changes


def _pythia(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "gpt_neox",
        "vocab_size": 50304,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "hidden_act": "gelu",
        "max_position_embeddings": 2048,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
    }


def _t5(width: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_model": width,
        "d_kv": 64,
        "d_ff": inner,
        "num_layers": layers,
        "num_heads": heads,
        "dropout_rate": 0.1,
        "n_positions": 512,
        "decoder_start_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }


def _qwen2(hidden: int, inner: int, layers: int, heads: int, *, tied: bool) -> dict[str, Any]:
    return {
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": tied,
    }


def _qwen3(hidden: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "qwen3",
        "vocab_size": 151936,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000,
        "tie_word_embeddings": True,
    }


def _llama32(hidden: int, layers: int, heads: int, head: int) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": hidden,
        "intermediate_size": 8192,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": head,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
    }


_GPT_NEO_125M = {
    "model_type": "gpt_neo",
    "vocab_size": 50257,
    "hidden_size": 768,
    "num_layers": 12,
    "num_heads": 12,
    "max_position_embeddings": 2048,
    "attention_types": [[["global", "local"], 6]],
    "window_size": 256,
    "activation_function": "gelu_new",
    "resid_dropout": 0.0,
    "embed_dropout": 0.0,
    "attention_dropout": 0.0,
}
_CEREBRAS_111M = _gpt2(
    n_layer=10,
    n_inner=3072,
    n_positions=2048,
    activation_function="gelu",
    attn_pdrop=0.0,
    embd_pdrop=0.0,
    resid_pdrop=0.0,
)
_OPT_125M = _opt(
    hidden_size=768,
    word_embed_proj_dim=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    ffn_dim=3072,
)
# The one OPT that normalizes after its blocks and projects its embeddings.
_OPT_350M = _opt(
    hidden_size=1024,
    word_embed_proj_dim=512,
    num_hidden_layers=24,
    num_attention_heads=16,
    ffn_dim=4096,
    do_layer_norm_before=False,
)

_CAUSAL: dict[str, dict[str, Any]] = {
    "openai-community/gpt2": _gpt2(),
    "openai-community/gpt2-medium": _gpt2(n_embd=1024, n_layer=24, n_head=16),
    "distilbert/distilgpt2": _gpt2(n_layer=6),
    "cerebras/Cerebras-GPT-111M": _CEREBRAS_111M,
    "EleutherAI/gpt-neo-125M": _GPT_NEO_125M,
    "EleutherAI/pythia-70m": _pythia(512, 6, 8),
    "EleutherAI/pythia-160m": _pythia(768, 12, 12),
    "EleutherAI/pythia-410m": _pythia(1024, 24, 16),
    "EleutherAI/pythia-1b": _pythia(2048, 16, 8),
    "EleutherAI/pythia-1.4b": _pythia(2048, 24, 16),
    "facebook/opt-125m": _OPT_125M,
    "facebook/opt-350m": _OPT_350M,
    "Qwen/Qwen2.5-0.5B": _qwen2(896, 4864, 24, 14, tied=True),
    "Qwen/Qwen2.5-1.5B": _qwen2(1536, 8960, 28, 12, tied=True),
    "Qwen/Qwen2.5-3B": _qwen2(2048, 11008, 36, 16, tied=True),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": _qwen2(1536, 8960, 28, 12, tied=False),
    "Qwen/Qwen3-0.6B": _qwen3(1024, 3072, 28, 16),
    "Qwen/Qwen3-1.7B": _qwen3(2048, 6144, 28, 16),
    "Qwen/Qwen3-4B": _qwen3(2560, 9728, 36, 32),
    "meta-llama/Llama-3.2-1B": _llama32(2048, 16, 32, 64),
    "meta-llama/Llama-3.2-3B": _llama32(3072, 28, 24, 128),
}
_SEQ2SEQ = {
    "google-t5/t5-small": _t5(512, 2048, 6, 8),
    "google-t5/t5-base": _t5(768, 3072, 12, 12),
}
_BY_SHORT_NAME = {
    name.rsplit("/", maxsplit=1)[-1].lower(): Transformer(name=name, head=head, config=config)
    for head, table in ((CAUSAL, _CAUSAL), (SEQ2SEQ, _SEQ2SEQ))
    for name, config in table.items()
}
# A variant trained further is its base model in shape.
_SUFFIXES = ("-instruct", "-base", "-deduped")


def transformer(name: str) -> Transformer:
    """Return the model that `name` means, with or without its owner, in either case.

    Raises:
        UnknownModelError: if its configuration is not here.
    """
    short = name.rsplit("/", maxsplit=1)[-1].lower()
    for suffix in ("", *_SUFFIXES):
        found = _BY_SHORT_NAME.get(short.removesuffix(suffix))
        if found is not None:
            return found
    known = ", ".join(sorted(_BY_SHORT_NAME))
    raise UnknownModelError(
        f"{name}: its configuration is not written down in {__file__}; those are: {known}"
    )
