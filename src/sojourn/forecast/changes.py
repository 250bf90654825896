"""What a script can be changed in before it is traced again, and which changes suit it.

A change is applied around the script, whose text stays as it is; what the user would write for it
stands with the ways to fit, in `planning`. Glossary:

    Changes   what is asked of the next trace
    Traits    what the script was seen to do in this one
    Kept      what the script holds on to, and holds more of after each step
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sojourn.forecast.checking import checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes around an unmodified script; with all defaults there are none.

    Attributes:
        batch_size: Instead of what the script gives its DataLoaders, in samples.
        keeps_epoch_of: An epoch has as many batches as with this batch size, in samples; data are
            repeated, or left out, for that.
        autocast: The type in which forward passes and losses are computed where torch thinks it
            safe: "float16" or "bfloat16".
        is_checkpointed: Repeated blocks keep their inputs only, and are computed again in the
            backward pass.
        accumulate: Backward passes to a step of the optimizer.
        optimizer: Which of bitsandbytes' optimizers takes the place of torch's Adam and AdamW.
        looks_for_kept: Four steps are traced, and what the script keeps of each is looked for.
        released: What the script kept of each step, let go at the step's end.
    """

    batch_size: int | None = None
    keeps_epoch_of: int | None = None
    autocast: str | None = None
    is_checkpointed: bool = False
    accumulate: int = 1
    optimizer: str | None = None
    looks_for_kept: bool = False
    released: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Tensors that stay on the device after the step that made them, more in each step.

    Attributes:
        line: Of the user's code, that made the tensor which holds the rest.
        holder: The name of what holds it, such as "losses"; empty where it has none.
        is_variable: Whether `holder` is that tensor itself, not a container of several.
        is_large: Whether the tensor itself takes the memory, so that cutting its graph off does
            not help; it must leave the device.
        step_bytes: What each step adds.
    """

    line: str
    holder: str
    is_variable: bool
    is_large: bool
    step_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Repeated parts of a model: modules of the class `kind`, by their paths in it."""

    kind: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """An nn.Sequential of plain layers: its path in the model, "" for the model itself.

    `segments` is in how many parts it is best cut, of which each keeps its input only.
    """

    path: str
    segments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a script was seen to do that decides which changes make sense.

    Attributes:
        is_half: Forward passes run in half precision already.
        is_checkpointed: Something is computed again in the backward pass already.
        blocks: What could be; the model's own, outermost ones.
        chain: What could be cut in segments instead; None where there is none, or there are blocks.
        has_checkpoint_switch: The model has transformers' `gradient_checkpointing_enable`.
        optimizers: Class names of those that stepped.
        passes: Backward passes to a step of the optimizer.
        trainer: Which library runs the loop: "transformers", "lightning", or "" for the script.
        kept: What stays from step to step, where it was looked for.
    """

    is_half: bool = False
    is_checkpointed: bool = False
    blocks: tuple[Blocks, ...] = ()
    chain: Chain | None = None
    has_checkpoint_switch: bool = False
    optimizers: tuple[str, ...] = ()
    passes: int = 1
    trainer: str = ""
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A trace that is asked for: of a changed script, for cards of a compute capability."""

    compute_capability: str
    changes: Changes


# Backward passes to a step that are traced where a changed job accumulates, however many it has:
# with two, gradients live through a forward pass, and more change nothing in memory.
TRACED_PASSES = 2

NO_CHANGES = Changes()
NO_TRAITS = Traits()


def load_changes(document: dict[str, Any]) -> Changes:
    """Read what `dataclasses.asdict` and JSON made of changes."""
    released = tuple(Kept(**row) for row in document["released"])
    return Changes(**{**document, "released": released})


def load_traits(document: dict[str, Any]) -> Traits:
    """Read what `dataclasses.asdict` and JSON made of traits.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is something else.
    """
    traits = Traits(
        **{
            **document,
            "blocks": tuple(
                checked(Blocks(kind=row["kind"], paths=tuple(row["paths"])))
                for row in document["blocks"]
            ),
            "chain": checked(Chain(**document["chain"])) if document["chain"] else None,
            "optimizers": tuple(document["optimizers"]),
            "kept": tuple(checked(Kept(**row)) for row in document["kept"]),
        }
    )
    return checked(traits)
