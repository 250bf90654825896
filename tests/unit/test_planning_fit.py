"""Ways to fit and the largest batch, on traces written by hand that a made-up retrace gives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
from sojourn.forecast.changes import Blocks, Chain, Changes, Kept, Traits, Variant
from sojourn.forecast.memory import Verdict
from sojourn.forecast.scaling import BatchScale, Traced
from sojourn.forecast.trace import Alloc, Event, Phase, Role, Trace
from sojourn.planning.fit import forecast_on
from sojourn.planning.plan import Option, Plan, make_plan
from sojourn.planning.snippets import (
    accumulation_code,
    autocast_code,
    checkpoint_code,
    optimizer_code,
    release_code,
)
from sojourn.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T4 = Accelerator(id="t4", name="T4", memory_bytes=15 * GIB, compute_capability="7.5")
L4 = Accelerator(id="l4", name="L4", memory_bytes=23 * GIB, compute_capability="8.9")
CATALOG = Catalog(
    accelerators={card.id: card for card in (T4, L4)},
    runtime_types={
        name: RuntimeType(
            id=name, name=name, provider="x", accelerator=card, rate_units_per_hour=rate
        )
        for name, card, rate in (("x/t4", "t4", 1.0), ("x/t4-big", "t4", 2.0), ("x/l4", "l4", 3.0))
    },
    subscriptions={},
)
KEPT = Kept(line="a.py:9", holder="losses", is_variable=False, is_large=False, step_bytes=100 * MIB)
ADAM = Traits(optimizers=("AdamW",))


def block(number: int, size_bytes: int, role: Role = Role.ACTIVATIONS) -> Alloc:
    return Alloc(block=number, size_bytes=size_bytes, role=role, phase=Phase.FORWARD, line="a.py:9")


def trace_of(
    *events: Event,
    batch_size: int | None = 64,
    samples: int | None = 6400,
    traits: Traits | None = None,
    step_ends: tuple[int, ...] = (),
) -> Trace:
    return Trace(
        target="a.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=1,
        batch_size=batch_size,
        samples_per_epoch=samples,
        is_batch_size_known_to_loader=batch_size is not None,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=events,
        step_ends=step_ends,
        traits=traits or Traits(),
    )


@dataclass(slots=True)
class Script:
    """A script of which only its sizes are known: activations per sample, optimizer's state."""

    sample_bytes: int
    state_bytes: int = 0
    traits: Traits = field(default_factory=Traits)
    batch_size: int | None = 64
    asked: list[Changes] = field(default_factory=list)
    rounds: int = 0

    def trace(self, changes: Changes) -> Trace:
        batch_size = changes.batch_size or self.batch_size or 64
        sample_bytes = self.sample_bytes // (2 if changes.autocast else 1)
        if changes.is_checkpointed:
            sample_bytes = sample_bytes * 2 // 5
        state_bytes = self.state_bytes // (4 if changes.optimizer else 1)
        events = [block(0, sample_bytes * batch_size)]
        if state_bytes:
            events.append(block(1, state_bytes, Role.OPTIMIZER))
        return trace_of(
            *events,
            batch_size=None if self.batch_size is None else batch_size,
            traits=self.traits,
        )

    def retrace(self, variants: Sequence[Variant]) -> list[Trace | None]:
        self.rounds += 1
        self.asked += [v.changes for v in variants if v.changes not in self.asked]
        return [self.trace(variant.changes) for variant in variants]

    def plan(
        self, retrace: Callable[[Sequence[Variant]], Sequence[Trace | None]] | None = None
    ) -> Plan:
        first = self.trace(Changes())
        scale = None
        if self.batch_size is not None:
            scale = BatchScale(first, self.trace(Changes(batch_size=32)))
        return make_plan(
            target="a.py",
            runtime_types=tuple(CATALOG.runtime_types.values()),
            catalog=CATALOG,
            trace_for=lambda _: Traced(trace=first, scale=scale),
            retrace=retrace or self.retrace,
        )


def option(plan: Plan, name: str) -> Option:
    return next(o for o in plan.options if o.runtime_type.id == name)


def ways(plan: Plan, name: str) -> dict[str, Verdict]:
    return {way.change: way.verdict for way in option(plan, name).ways_to_fit}


def test_a_micro_batch_that_divides_the_batch_is_offered_where_it_does_not_fit() -> None:
    plan = Script(sample_bytes=30 * GIB // 64, traits=Traits(is_half=True)).plan()
    assert ways(plan, "x/t4") == {"micro-batch 16, accumulate 4": Verdict.FITS}
    assert ways(plan, "x/l4") == {"micro-batch 32, accumulate 2": Verdict.FITS}


def test_what_each_card_can_do_decides_the_type_of_mixed_precision() -> None:
    plan = Script(sample_bytes=25 * GIB // 64, batch_size=None).plan()
    assert ways(plan, "x/t4") == {"mixed precision (float16)": Verdict.FITS}
    assert ways(plan, "x/l4") == {"mixed precision (bfloat16)": Verdict.FITS}
    code = option(plan, "x/t4").ways_to_fit[0].code
    assert "GradScaler" in code


def test_ways_are_ranked_by_what_they_cost_in_time() -> None:
    traits = Traits(optimizers=("AdamW",), blocks=(Blocks(kind="Block", paths=("0", "1")),))
    plan = Script(sample_bytes=12 * GIB // 64, state_bytes=6 * GIB, traits=traits).plan()
    assert (
        list(ways(plan, "x/t4"))
        == [
            "mixed precision (float16)",
            "micro-batch 32, accumulate 2",
            "Adam's state in 8 bits",
            "gradient checkpointing",
        ][: len(ways(plan, "x/t4"))]
    )
    assert "gradient checkpointing" in ways(plan, "x/t4")


def test_less_state_is_not_tried_where_all_else_is_too_large_by_itself() -> None:
    hopeless = Script(sample_bytes=30 * GIB // 64, state_bytes=GIB, traits=ADAM)
    assert ways(hopeless.plan(), "x/t4")
    assert not any(changes.optimizer for changes in hopeless.asked)
    promising = Script(sample_bytes=13 * GIB // 64, state_bytes=GIB * 2, traits=ADAM)
    assert "Adam's state in 8 bits" in ways(promising.plan(), "x/t4")


def test_a_job_that_fits_gets_no_ways_and_nothing_is_traced_for_them() -> None:
    script = Script(sample_bytes=GIB // 64, traits=ADAM)
    plan = script.plan()
    assert not any(o.ways_to_fit for o in plan.options)
    assert not any(changes.autocast or changes.optimizer for changes in script.asked)


def test_what_the_script_does_already_is_not_offered() -> None:
    traits = Traits(
        is_half=True,
        is_checkpointed=True,
        blocks=(Blocks(kind="Block", paths=("0", "1")),),
        optimizers=("SGD",),
    )
    script = Script(sample_bytes=30 * GIB // 64, traits=traits, batch_size=None)
    assert ways(script.plan(), "x/t4") == {}
    assert script.asked == []


def test_a_change_that_changes_nothing_is_left_out() -> None:
    script = Script(sample_bytes=30 * GIB // 64, traits=ADAM)

    def unchanged(variants: Sequence[Variant]) -> list[Trace | None]:
        return [script.trace(replace(v.changes, autocast=None)) for v in variants]

    assert not any("mixed" in change for change in ways(script.plan(unchanged), "x/t4"))


def test_a_change_that_cannot_be_traced_is_left_out() -> None:
    plan = Script(sample_bytes=30 * GIB // 64).plan(lambda variants: [None] * len(variants))
    assert ways(plan, "x/t4") == {}


def test_two_changes_are_tried_at_once_only_where_no_single_one_is_sure_to_fit() -> None:
    blocks = Traits(blocks=(Blocks(kind="Block", paths=("0", "1")),))
    large = Script(sample_bytes=60 * GIB // 64, traits=blocks, batch_size=None)
    assert ways(large.plan(), "x/t4") == {
        "mixed precision (float16), and gradient checkpointing": Verdict.FITS
    }
    small = Script(sample_bytes=25 * GIB // 64, traits=blocks, batch_size=None)
    small.plan()
    assert not any(changes.autocast and changes.is_checkpointed for changes in small.asked)


def test_runtime_types_with_one_card_share_their_ways() -> None:
    script = Script(sample_bytes=30 * GIB // 64, batch_size=None)
    plan = script.plan()
    assert option(plan, "x/t4").ways_to_fit == option(plan, "x/t4-big").ways_to_fit
    assert len(script.asked) == len(set(script.asked))


def test_a_micro_batch_that_turns_out_too_large_is_followed_by_smaller_ones() -> None:
    script = Script(sample_bytes=30 * GIB // 64, traits=Traits(is_half=True))

    def with_more(variants: Sequence[Variant]) -> list[Trace | None]:
        script.asked += [v.changes for v in variants]
        made = []
        for variant in variants:
            trace = script.trace(variant.changes)
            kept = variant.changes.accumulate > 1
            more = (block(7, 8 * GIB, Role.GRADIENTS),) if kept else ()
            made.append(replace(trace, events=(*trace.events, *more)))
        return [*made]

    found = ways(script.plan(with_more), "x/t4")
    assert "micro-batch 16, accumulate 4" not in found
    assert found["micro-batch 8, accumulate 8"] is Verdict.FITS


def test_a_scale_that_a_trace_bears_out_is_trusted() -> None:
    script = Script(sample_bytes=GIB // 10)
    plan = script.plan()
    assert any(changes.batch_size not in {None, 64} for changes in script.asked)
    largest = option(plan, "x/t4").max_batch_size
    assert largest is not None
    fits = [forecast_on(script.trace(Changes(batch_size=largest + more)), T4) for more in (0, 1)]
    assert [f.verdict is Verdict.FITS for f in fits if f] == [True, False]


@pytest.mark.parametrize("names", [("x/t4",), ("x/t4", "x/l4")])
def test_where_not_even_one_sample_fits_the_largest_batch_is_0_whatever_else_is_asked(
    names: tuple[str, ...],
) -> None:
    script = Script(sample_bytes=GIB // 10, state_bytes=16 * GIB)
    first = script.trace(Changes())
    scale = BatchScale(first, script.trace(Changes(batch_size=32)))
    plan = make_plan(
        target="a.py",
        runtime_types=[CATALOG.runtime_types[name] for name in names],
        catalog=CATALOG,
        trace_for=lambda _: Traced(trace=first, scale=scale),
        retrace=script.retrace,
    )
    assert option(plan, "x/t4").max_batch_size == 0


def test_a_scale_that_a_trace_contradicts_gives_way_to_traced_sizes() -> None:
    script = Script(sample_bytes=GIB // 10)

    def twice_beyond_80(variants: Sequence[Variant]) -> list[Trace | None]:
        script.asked += [v.changes for v in variants]
        made = []
        for variant in variants:
            trace = script.trace(variant.changes)
            if trace.batch_size is not None and trace.batch_size > 80:
                trace = replace(trace, events=(*trace.events, block(7, 8 * GIB)))
            made.append(trace)
        return [*made]

    largest = option(script.plan(twice_beyond_80), "x/t4").max_batch_size
    assert largest in {changes.batch_size for changes in script.asked} | {64}
    assert largest is not None
    assert largest <= 80


@pytest.mark.parametrize(
    ("sample_bytes", "is_known"), [(GIB // 40, True), (GIB // 100, True), (GIB // 2000, False)]
)
def test_traced_sizes_that_all_fit_lead_on_to_the_card_s_end_or_to_no_answer(
    *, sample_bytes: int, is_known: bool
) -> None:
    script = Script(sample_bytes=sample_bytes)

    def otherwise(variants: Sequence[Variant]) -> list[Trace | None]:
        """Take a third more, so that the scale of the first two traces is given up."""
        script.sample_bytes = sample_bytes * 4 // 3
        return script.retrace(variants)

    largest = option(script.plan(otherwise), "x/t4").max_batch_size
    assert (largest is not None) is is_known
    if largest is not None:
        forecast = forecast_on(script.trace(Changes(batch_size=largest)), T4)
        assert forecast is not None
        assert forecast.verdict is Verdict.FITS
        assert forecast.peak_reserved_bytes.high > 0.88 * forecast.usable_bytes


def test_of_the_script_s_own_size_alone_no_largest_batch_follows() -> None:
    script = Script(sample_bytes=GIB // 64, batch_size=None)
    assert option(script.plan(), "x/t4").max_batch_size is None


def test_what_is_kept_from_step_to_step_is_counted_to_the_end_of_an_epoch() -> None:
    """Two steps fit with ease; 98 more of an epoch's hundred add 9.6 GiB."""
    first = trace_of(block(0, 7 * GIB), block(1, MIB), block(2, MIB), step_ends=(2, 3))
    asked: list[Changes] = []

    def retrace(variants: Sequence[Variant]) -> list[Trace | None]:
        asked.extend(v.changes for v in variants)
        kept = Traits(kept=(KEPT,))
        return [replace(first, traits=Traits() if v.changes.released else kept) for v in variants]

    plan = make_plan(
        target="a.py",
        runtime_types=(CATALOG.runtime_types["x/t4"], CATALOG.runtime_types["x/l4"]),
        catalog=CATALOG,
        trace_for=lambda _: Traced(trace=first, scale=None),
        retrace=retrace,
    )
    t4 = option(plan, "x/t4")
    assert plan.kept == (KEPT,)
    assert plan.growth_bytes == 98 * KEPT.step_bytes
    assert t4.verdict is Verdict.DOES_NOT_FIT
    assert option(plan, "x/l4").verdict is Verdict.FITS
    (way,) = t4.ways_to_fit
    assert (way.verdict, "a.py:9" in way.change, "losses" in way.code) == (Verdict.FITS, True, True)
    assert way.peak_reserved_bytes.expected < 8 * GIB
    assert asked[0] == Changes(looks_for_kept=True)


HOLDERS = (
    KEPT,
    replace(KEPT, is_large=True, holder="self.history['loss']"),
    replace(KEPT, is_variable=True, holder="total"),
    replace(KEPT, holder=""),
)


@pytest.mark.parametrize("trainer", ["", "transformers", "lightning"])
def test_all_code_that_is_offered_is_python(trainer: str) -> None:
    base = Traits(trainer=trainer, optimizers=("AdamW",), passes=2)
    models = (
        replace(base, has_checkpoint_switch=True),
        replace(base, chain=Chain(path="features", segments=4)),
        replace(base, chain=Chain(path="", segments=2)),
        replace(base, blocks=(Blocks(kind="Block", paths=("layers.0", "layers.1")),)),
        replace(base, blocks=(Blocks(kind="Sequential", paths=("0", "1")),)),
    )
    offered = [
        *(autocast_code(dtype, base) for dtype in ("float16", "bfloat16")),
        *(checkpoint_code(traits) for traits in models),
        *(release_code(kept) for kept in HOLDERS),
        accumulation_code(16, 4, base),
        optimizer_code(base),
    ]
    for code in offered:
        compile(code, "way", "exec")


def test_a_trainer_that_accumulates_already_is_told_the_product() -> None:
    traits = Traits(trainer="transformers", passes=2)
    assert "gradient_accumulation_steps=8" in accumulation_code(16, 4, traits)
