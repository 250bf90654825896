"""What is told of a script's own texts: no key is left in them, and the rest stays readable."""

from __future__ import annotations

import pytest

from sojourn.redact import hide_keys, hide_values, secret_values

ENVIRONMENT = {
    "WANDB_API_KEY": "canary-of-wandb",
    "hf_token": "canary-of-hf",
    "PRIVATE_KEY": "-----BEGIN-----\ncanary-in-a-line\n-----END-----",
    "TOKENIZERS_PARALLELISM": "false",
    "HOME": "/home/me/canary",
}


@pytest.mark.parametrize(
    "line",
    [
        "not run: wandb login canary",
        "not run: train.ipynb[1]:3: !huggingface-cli login --token canary",
        "not run: curl -H 'Authorization: Bearer canary' https://models.example",
        "not run: curl -u me:canary https://models.example",
        "not run: git clone https://me:canary@example.org/x",
        "train.py:3 raised ValueError: bad key hf_canarycanary.",
        "train.py:3 raised KeyError: 'api_key=canary'.",
        "environ({'OPENAI_API_KEY': 'canary', 'PATH': '/bin'})",
        "digest 0123456789canary0123456789abcdef01234567 of it",
    ],
)
def test_what_looks_like_a_key_is_hidden_in_running_text(line: str) -> None:
    hidden = hide_keys(f"first\n{line}\nlast")
    assert "canary" not in hidden
    assert hidden.startswith("first\n")
    assert hidden.endswith("\nlast")


@pytest.mark.parametrize(
    "line",
    [
        "train.py:3 raised KeyError: 'b'.",
        "auth_model.py:12 raised RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        "size mismatch for model.embed_tokens.weight: copying a param with shape [3]",
        "the weights of distilbert-base-uncased-finetuned-sst-2-english are not loaded",
        "not run: train.ipynb[1]:1: !pip install tokenizers==0.21",
        "offline while tracing: huggingface.co was not reached",
        "Say where that folder is on this machine: sojourn plan train.py --path REMOTE=LOCAL.",
    ],
)
def test_what_holds_no_key_stays_as_it_is(line: str) -> None:
    assert hide_keys(line, secret_values(ENVIRONMENT)) == line


def test_values_of_secret_variables_are_hidden_wherever_they_occur() -> None:
    secrets = secret_values(ENVIRONMENT)
    said = hide_keys("a canary-of-wandb,xcanary-of-hfx and canary-in-a-line", secrets)
    assert said == "a ***,x***x and ***"


def test_a_secret_that_was_cut_off_is_hidden_as_well() -> None:
    secrets = secret_values(ENVIRONMENT)
    assert hide_keys("ValueError: canary-of-wa…", secrets) == "ValueError: ***…"
    assert hide_keys("ValueError: can…", secrets) == "ValueError: can…"


def test_given_values_are_hidden_and_nothing_else() -> None:
    text = "leaks/0123456789abcdef0123456789abcdef token=abc first-secret!"
    assert hide_values(text, ("first-secret",)) == text.replace("first-secret", "***")
