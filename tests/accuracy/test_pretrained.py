"""Pretrained models offline: built from their config, or refused with what to fetch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sojourn.errors import TraceError
from sojourn.forecast.memory import forecast_memory
from sojourn.forecast.trace import Phase, Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script
from sojourn.units import GIB

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent / "scripts"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 1000,
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}
# Attention and the gated layers; words in and out; norms; the rotary embedding's frequencies.
LINEAR = 2 * (4 * 1024 * 1024 + 3 * 1024 * 2048)
WORDS = 2 * 1000 * 1024
NORMS = 5 * 1024
ROTARY_BYTES = 2 * 64 * 4


def traced(script: Path, *arguments: str) -> Trace:
    return trace_script(
        script,
        arguments=arguments,
        compute_capability="8.0",
        timeout_s=120,
        progress=NoProgress(),
    )


def parameters_of(trace: Trace) -> int:
    forecast = forecast_memory(trace, memory_bytes=40 * GIB, compute_capability="8.0")
    return forecast.peak.by_role_bytes[Role.PARAMETERS]


def beside_its_config(name: str, folder: Path) -> Path:
    """Copy a script to where a model's folder, with a config and no weights, lies beside it."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    return Path(shutil.copy(SCRIPTS / name, folder))


def test_a_config_in_the_hub_s_cache_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "hub" / "models--someone--llama"
    (model / "snapshots" / "abc").mkdir(parents=True)
    (model / "snapshots" / "abc" / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc", "utf-8")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    trace = traced(SCRIPTS / "pretrained_language.py", "someone/llama", "auto")
    # In bfloat16, as the config says.
    assert parameters_of(trace) == 2 * (LINEAR + WORDS + NORMS) + ROTARY_BYTES
    note = "the weights of someone/llama are not loaded; only their shape counts"
    assert note in trace.assumptions


def test_a_model_in_four_bits_is_trained_through_its_adapters(tmp_path: Path) -> None:
    trace = traced(beside_its_config("pretrained_qlora.py", tmp_path), "model")
    packed = LINEAR // 2
    # A maximum per 64 in 8 bits, one per 256 of those, two tables and an offset for each layer.
    statistics = LINEAR // 64 + LINEAR // 64 // 256 * 4 + 14 * (256 + 16 + 1) * 4
    # In single precision: what is not packed, and the adapters of queries and values.
    single = 4 * (WORDS + NORMS + 2 * 2 * 2 * 8 * 1024)
    expected = packed + statistics + single + ROTARY_BYTES
    # Autocast may hold the adapters in half precision beside that.
    assert expected <= parameters_of(trace) <= expected + 2 * (2 * 2 * 2 * 8 * 1024)
    assert (trace.batch_size, trace.samples_per_epoch) == (4, 64)


def test_torchvision_s_weights_and_those_from_an_address_are_left_out() -> None:
    trace = traced(SCRIPTS / "pretrained_vision.py")
    # ResNet-18 with 10 classes: 11,181,642 parameters, 9,600 running values, 20 counters.
    assert parameters_of(trace) == 4 * (11_181_642 + 9_600) + 20 * 8
    assert sum("not loaded" in line for line in trace.assumptions) == 2
    # Nothing is said of operators that nobody asks for.
    assert not any("compiled operators" in line for line in trace.assumptions)
    assert all(getattr(event, "phase", None) is not Phase.EVALUATION for event in trace.events)


@pytest.mark.parametrize(
    ("what", "line", "remedy"),
    [
        ("model", 6, "hf download nobody/no-such-model config.json"),
        ("tokenizer", 10, 'hf download nobody/no-such-model --include "tokenizer*"'),
        ("code", 14, "torch.hub.list('nobody/no-such-code'"),
    ],
)
def test_what_is_not_at_hand_is_named_with_how_to_fetch_it(
    what: str, line: int, remedy: str
) -> None:
    with pytest.raises(TraceError, match=f"pretrained_missing.py:{line}: .*offline") as caught:
        traced(SCRIPTS / "pretrained_missing.py", what)
    assert remedy in caught.value.remedy
