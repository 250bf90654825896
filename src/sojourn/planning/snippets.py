"""The lines that a user writes for each change, by which library runs the training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sojourn.forecast.changes import Kept, Traits


def autocast_code(dtype: str, traits: Traits) -> str:
    """Mixed precision in "float16" or "bfloat16"; the former needs its losses scaled."""
    short = {"float16": "fp16", "bfloat16": "bf16"}[dtype]
    if traits.trainer == "transformers":
        return f"args = TrainingArguments(..., {short}=True)\n"
    if traits.trainer == "lightning":
        return f'trainer = Trainer(..., precision="{short.removeprefix("fp")}-mixed")\n'
    forward = f"""\
with torch.autocast("cuda", dtype=torch.{dtype}):
    loss = compute_loss(batch)  # the forward pass and the loss, as they are
"""
    if dtype == "bfloat16":
        return f"{forward}loss.backward()\noptimizer.step()\n"
    scaler = 'scaler = torch.amp.GradScaler("cuda")  # once, before the loop\n'
    return (
        f"{scaler}{forward}scaler.scale(loss).backward()\nscaler.step(optimizer)\nscaler.update()\n"
    )


def accumulation_code(micro_batch: int, accumulate: int, traits: Traits) -> str:
    """Micro-batches that make up the same global batch."""
    if traits.trainer == "transformers":
        return (
            f"args = TrainingArguments(..., per_device_train_batch_size={micro_batch}, "
            f"gradient_accumulation_steps={accumulate * traits.passes})\n"
        )
    if traits.trainer == "lightning":
        return (
            f"loader = DataLoader(..., batch_size={micro_batch})\n"
            f"trainer = Trainer(..., accumulate_grad_batches={accumulate * traits.passes})\n"
        )
    return f"""\
for i, batch in enumerate(loader):  # DataLoader(..., batch_size={micro_batch})
    loss = compute_loss(batch) / {accumulate}
    loss.backward()
    if (i + 1) % {accumulate} == 0:
        optimizer.step()
        optimizer.zero_grad()
"""


def checkpoint_code(traits: Traits) -> str:
    """Repeated blocks are computed again in the backward pass."""
    if traits.has_checkpoint_switch:
        if traits.trainer == "transformers":
            return "args = TrainingArguments(..., gradient_checkpointing=True)\n"
        return (
            "model.gradient_checkpointing_enable("
            'gradient_checkpointing_kwargs={"use_reentrant": False})\n'
        )
    if traits.chain is not None:
        path = traits.chain.path
        chain = f'model.get_submodule("{path}")' if path else "model"
        return f"""\
from functools import partial
from torch.utils.checkpoint import checkpoint_sequential

layers = {chain}
layers.forward = partial(
    checkpoint_sequential, layers, {traits.chain.segments}, use_reentrant=False
)
"""
    kinds = [blocks.kind for blocks in traits.blocks]
    paths = [path for blocks in traits.blocks for path in blocks.paths]
    if "Sequential" in kinds:  # so are others in the model
        found = f"for path in {paths!r}:\n    block = model.get_submodule(path)\n"
        body = "    block.forward = partial(checkpoint, block.forward, use_reentrant=False)\n"
    else:
        found = f"for block in model.modules():\n    if type(block).__name__ in {kinds!r}:\n"
        body = "        block.forward = partial(checkpoint, block.forward, use_reentrant=False)\n"
    return (
        "from functools import partial\nfrom torch.utils.checkpoint import checkpoint\n\n"
        f"{found}{body}"
    )


def optimizer_code(traits: Traits) -> str:
    """Adam's state in 8 bits."""
    if traits.trainer == "transformers":
        return 'args = TrainingArguments(..., optim="adamw_bnb_8bit")  # needs bitsandbytes\n'
    name = "AdamW" if "AdamW" in traits.optimizers else "Adam"
    return f"""\
import bitsandbytes

# With the arguments of torch.optim.{name}, but for fused, foreach and capturable.
optimizer = bitsandbytes.optim.{name}8bit(...)
"""


def release_code(kept: Kept) -> str:
    """What is kept from step to step loses its graph, or leaves the card."""
    if kept.is_variable:
        return (
            f"# What is added is made at {kept.line}; without .item(), {kept.holder} keeps the "
            f"graphs of all steps.\n{kept.holder} += value.item()\n"
        )
    fixed = "value.detach().cpu()" if kept.is_large else "value.detach()"
    keeper = kept.holder or "the script"
    return (
        f"# {kept.line} makes what {keeper} keeps, step after step.\n"
        f"value = {fixed}  # before {keeper} takes it\n"
    )
