"""Saved traces: the same plan as from the traces themselves; a clear word for what is none."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
from sojourn.errors import SojournError, TraceError, UsageError
from sojourn.forecast.changes import Blocks, Changes, Traits, Variant
from sojourn.forecast.saved import (
    SINCE_AMPERE,
    SavedTraces,
    _digest,
    dump_traces,
    load_traces,
)
from sojourn.forecast.scaling import BatchScale, Traced
from sojourn.forecast.schedule import Loading, Schedule
from sojourn.forecast.trace import Alloc, Convolution, Free, Op, Pass, Phase, Role, Trace
from sojourn.planning.plan import Plan, make_plan
from sojourn.render.plan_document import plan_document
from sojourn.tracing.saved_file import (
    Recording,
    check_trace_file,
    is_trace_file,
    load_trace_file,
)
from sojourn.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.tracing.tracer import Tracer

T4 = Accelerator(id="t4", name="T4", memory_bytes=15 * GIB, compute_capability="7.5")
L4 = Accelerator(id="l4", name="L4", memory_bytes=23 * GIB, compute_capability="8.9")
CATALOG = Catalog(
    accelerators={card.id: card for card in (T4, L4)},
    runtime_types={
        f"x/{card}": RuntimeType(
            id=f"x/{card}", name=card, provider="x", accelerator=card, rate_units_per_hour=1.0
        )
        for card in ("t4", "l4")
    },
    subscriptions={},
)


def trace_of(changes: Changes, *, told: str = "8.0", asks: bool = False) -> Trace:
    batch_size = changes.batch_size or 64
    sample_bytes = (GIB if told == "8.0" else GIB // 2) // (4 if changes.autocast else 2)
    return Trace(
        target="a.py",
        torch="2.13.0",
        steps=2,
        seconds=1.5,
        host_memory_bytes=GIB,
        batch_size=batch_size,
        samples_per_epoch=6400,
        is_batch_size_known_to_loader=True,
        compute_capability=told,
        asked_capability=asks,
        assumptions=("something",),
        events=(
            Alloc(
                block=0,
                size_bytes=sample_bytes * batch_size,
                role=Role.ACTIVATIONS,
                phase=Phase.FORWARD,
                line="a.py:9",
                estimated=True,
            ),
            Op(
                kind="matmul",
                phase=Phase.FORWARD,
                line="a.py:9",
                input_shape=(batch_size, 8),
                weight_shape=(8, 8),
                output_shape=(batch_size, 8),
                item_bytes=4,
                thread=1,
            ),
            Convolution(
                kernel=Pass.FORWARD,
                phase=Phase.FORWARD,
                line="a.py:10",
                input_shape=(batch_size, 3, 8, 8),
                weight_shape=(4, 3, 3, 3),
                output_shape=(batch_size, 4, 8, 8),
                stride=(1, 1),
                padding=(1, 1),
                dilation=(1, 1),
                groups=1,
                dtype="float32",
                is_channels_last=False,
                allows_tf32=True,
                is_benchmarked=False,
            ),
            Free(block=0),
        ),
        step_ends=(2, 4),
        traits=Traits(optimizers=("SGD",), blocks=(Blocks(kind="Block", paths=("0", "1")),)),
        schedule=Schedule(steps_per_epoch=100, epochs=3, evaluation_batches=0),
        loading=Loading(seconds_per_batch=0.1, measured_batches=4, workers=2),
    )


@dataclass(slots=True)
class Script:
    """A tracer of a script of which only its sizes are known."""

    asks: bool = False
    made: list[Variant] = field(default_factory=list)

    def told(self, compute_capability: str) -> str:
        return "7.5" if self.asks and compute_capability == "7.5" else "8.0"

    def trace_for(self, compute_capability: str) -> Traced:
        told = self.told(compute_capability)
        first = trace_of(Changes(), told=told, asks=self.asks)
        second = trace_of(Changes(batch_size=32), told=told, asks=self.asks)
        return Traced(trace=first, scale=BatchScale(first, second))

    def retrace(self, variants: Sequence[Variant]) -> tuple[Trace | None, ...]:
        self.made += variants
        return tuple(
            None
            if v.changes.is_checkpointed
            else trace_of(v.changes, told=self.told(v.compute_capability), asks=self.asks)
            for v in variants
        )

    def recording(self) -> Recording:
        tracer: Any = self
        return Recording(tracer)


def planned(
    traces: Recording | SavedTraces | Tracer, names: Sequence[str] = ("x/t4", "x/l4")
) -> Plan:
    return make_plan(
        target="a.py",
        runtime_types=[CATALOG.runtime_types[name] for name in names],
        catalog=CATALOG,
        trace_for=traces.trace_for,
        retrace=traces.retrace,
    )


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_a_plan_from_saved_traces_is_the_plan_from_the_script(
    tmp_path: Path, name: str, *, asks: bool
) -> None:
    recording = Script(asks=asks).recording()
    first = plan_document(planned(recording))
    recording.save(tmp_path / name, "a.py", data_bytes=7, job="key")
    saved = load_trace_file(tmp_path / name)
    assert plan_document(planned(saved)) == first
    assert any(option["ways_to_fit"] for option in first["options"])
    assert (saved.target, saved.data_bytes, saved.job, saved.missing) == ("a.py", 7, "key", 0)


def test_other_cards_are_planned_from_what_was_traced_for_some(tmp_path: Path) -> None:
    recording = Script(asks=True).recording()
    planned(recording, ["x/l4"])
    recording.save(tmp_path / "t.json", "a.py", data_bytes=None)
    saved = load_trace_file(tmp_path / "t.json")
    plan = planned(saved, ["x/t4"])
    direct = planned(Script(asks=True).recording(), ["x/t4"])
    assert plan.options[0].memory == direct.options[0].memory
    assert plan.options[0].max_batch_size == direct.options[0].max_batch_size
    assert saved.missing > 0  # its ways to fit were not traced


def test_what_could_not_be_traced_is_not_called_missing(tmp_path: Path) -> None:
    script = Script()
    recording = script.recording()
    planned(recording)
    assert any(variant.changes.is_checkpointed for variant in script.made)
    recording.save(tmp_path / "t.json", "a.py", data_bytes=None)
    saved = load_trace_file(tmp_path / "t.json")
    planned(saved)
    assert saved.missing == 0


def test_a_trace_stands_in_the_file_once_and_the_file_is_the_same_each_time(
    tmp_path: Path,
) -> None:
    recording = Script().recording()
    planned(recording)
    paths = [tmp_path / name for name in ("a.json.gz", "b.json.gz")]
    for path in paths:
        recording.save(path, "a.py", data_bytes=None)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


TEXT = dump_traces("a.py", {SINCE_AMPERE: Script().trace_for("8.0")}, {})


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(TEXT)
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cut short"),
        (TEXT[:-1], "cut short"),
        (TEXT[: len(TEXT) // 2], "cut short"),
        ("[]", "another kind"),
        ("3", "another kind"),
        ("{}", "another kind"),
        ("[" * 100_000, "another kind"),
        (changed(lambda d: d.update(schema="sojourn.traces/9")), "sojourn.traces/9"),
        (changed(lambda d: d.update(digest="0")), "damaged"),
        (changed(lambda d: d["traces"].pop()), "damaged"),
        (changed(lambda d: d.update(index=d["index"].replace("a.py", "b.py"))), "damaged"),
        (changed(lambda d: d.update(traces=3)), "another kind"),
        (changed(lambda d: d.update(index=None)), "another kind"),
    ],
)
def test_what_is_no_whole_file_of_traces_is_refused_with_why(text: str, why: str) -> None:
    with pytest.raises(TraceError) as refused:
        load_traces(text)
    assert why in refused.value.message
    assert "--save-trace" in refused.value.remedy


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_to_the_file_is_noticed_or_harmless(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    letter = data.draw(st.characters(codec="ascii"))
    text = TEXT[:at] + letter + TEXT[at + 1 :]
    try:
        loaded = load_traces(text)
    except TraceError:
        return
    assert loaded.trace_for("8.0").trace == Script().trace_for("8.0").trace


def test_a_trace_of_an_older_version_is_refused() -> None:
    first = Script().trace_for("8.0")
    loaded = load_traces(TEXT)
    old = [text.replace("sojourn.trace/", "sojourn.trace/0") for text in loaded.texts]
    with pytest.raises(TraceError, match="not a trace that this version"):
        replace(loaded, texts=old).trace_for("8.0")
    assert loaded.trace_for("8.0").trace == first.trace


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("t.json.gz", b"no gzip", TraceError),
        ("t.json.gz", gzip.compress(TEXT.encode())[:-9], TraceError),
        ("t.json", b"\xff\xfe", TraceError),
        ("t.json", None, UsageError),
    ],
)
def test_a_file_that_cannot_be_read_as_traces_is_refused(
    tmp_path: Path, name: str, content: bytes | None, kind: type[SojournError]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind):
        load_trace_file(path)


def sealed(change: Callable[[dict[str, Any]], object], *, of: str) -> str:
    """Return the file as somebody would write it who knows the form: all digests are right."""
    document = json.loads(TEXT)
    index, traces = json.loads(document["index"]), [json.loads(t) for t in document["traces"]]
    for part in [index] if of == "index" else traces:
        change(part)
    document["index"], document["traces"] = json.dumps(index), [json.dumps(t) for t in traces]
    document["digest"] = _digest(document["index"], document["traces"])
    return json.dumps(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.update(main={"8.0": [9, None]}),
        lambda index: index.update(main={"8.0": [-1, None]}),
        lambda index: index.update(main={"8.0": [0, True]}),
        lambda index: index.update(main={"7.5": [0, None]}),
        lambda index: index.update(main={}),
        lambda index: index.update(target=3),
        lambda index: index.update(job=["j"]),
        lambda index: index.update(data_bytes=-1),
        lambda index: index.update(data_bytes=float("nan")),
        lambda index: index.update(asked_capability=1),
        lambda index: index.update(varied=[["x"]]),
    ],
)
def test_an_index_that_leads_nowhere_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(TraceError, match="another kind"):
        load_traces(sealed(change, of="index"))


def set_event(number: int, place: int, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda trace: trace["events"][number].__setitem__(place, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda trace: trace.update(seconds=float("nan")),
        lambda trace: trace.update(seconds=-1.0),
        lambda trace: trace.update(seconds=1e308),
        lambda trace: trace.update(seconds=True),
        lambda trace: trace.update(batch_size="64"),
        lambda trace: trace.update(batch_size=1 << 62),
        lambda trace: trace.update(host_memory_bytes=None),
        lambda trace: trace.update(samples_per_epoch=-5),
        lambda trace: trace.update(target=["a.py"]),
        lambda trace: trace.update(assumptions=[3]),
        lambda trace: trace.update(step_ends=[[1]]),
        lambda trace: trace["schedule"].update(epochs=1.5),
        lambda trace: trace["schedule"].update(epochs=10**400),
        lambda trace: trace["loading"].update(seconds_per_batch=float("inf")),
        lambda trace: trace["loading"].update(workers="2"),
        lambda trace: trace["host"].update(before_bytes="x"),
        lambda trace: trace["traits"].update(passes=None),
        lambda trace: trace["traits"].update(optimizers=[1]),
        lambda trace: trace.update(events=[[]]),
        lambda trace: trace.update(events=[["a"]]),
        lambda trace: trace.update(events=[["f", 0]]),
        lambda trace: trace["events"].insert(0, trace["events"][0]),
        set_event(0, 1, "0"),
        set_event(0, 2, -1),
        set_event(0, 2, 1e9),
        set_event(0, 3, "loot"),
        set_event(0, 5, None),
        set_event(0, 6, 1),
        set_event(1, 4, [64, -8]),
        set_event(2, 4, 64),
        set_event(3, 1, 0.0),
        set_event(2, 4, [64]),
        set_event(2, 7, []),
        set_event(2, 10, 0),
    ],
)
def test_a_trace_of_other_types_or_sizes_is_refused_whatever_its_digest(
    change: Callable[[dict[str, Any]], object],
) -> None:
    loaded = load_traces(sealed(change, of="traces"))
    with pytest.raises(TraceError, match="not a trace that this version"):
        loaded.trace_for("8.0")


@pytest.mark.parametrize(
    "change",
    [
        lambda trace: trace.update(batch_size=None),
        lambda trace: trace.update(batch_size=64),
        lambda trace: trace["events"].pop(2),
        set_event(1, 5, [8]),
        set_event(2, 6, [64, 4, 8]),
    ],
)
def test_traces_that_do_not_go_together_are_refused(
    change: Callable[[dict[str, Any]], object],
) -> None:
    loaded = load_traces(TEXT)
    second = json.loads(loaded.texts[1])
    change(second)
    with pytest.raises(TraceError, match="do not go together"):
        replace(loaded, texts=[loaded.texts[0], json.dumps(second)]).trace_for("8.0")


def test_a_trace_that_is_nested_too_deep_is_refused() -> None:
    loaded = replace(load_traces(TEXT), texts=["[" * 100_000] * 2)
    with pytest.raises(TraceError, match="not a trace that this version"):
        loaded.trace_for("8.0")


def test_a_file_that_unpacks_to_more_than_any_traces_take_is_refused(tmp_path: Path) -> None:
    packed, plain = tmp_path / "t.json.gz", tmp_path / "t.json"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    plain.write_text(TEXT)
    for path in (packed, plain):
        assert load_trace_file(path, most_bytes=len(TEXT)).target == "a.py"
        with pytest.raises(TraceError, match="holds more than"):
            load_trace_file(path, most_bytes=len(TEXT) - 1)


def test_a_file_that_could_not_be_a_target_again_is_refused_beforehand(tmp_path: Path) -> None:
    assert is_trace_file(Path("a.json"))
    assert not is_trace_file(Path("a.py"))
    for path in (tmp_path / "t.trace", tmp_path / "missing" / "t.json"):
        with pytest.raises(UsageError):
            check_trace_file(path)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UsageError, match="it is a folder"):
        check_trace_file(tmp_path / "folder.json")
    check_trace_file(tmp_path / "t.json")


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.json"
    path.write_text("before")
    recording = Script().recording()

    def full(_self: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match="No space left"):
        recording.save(path, "a.py", data_bytes=None)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.json"]


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # as where it is not installed: importing it fails
from sojourn.cli import main
main(sys.argv[1:])
"""


def test_a_saved_job_is_planned_where_there_is_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "t.json.gz"
    recording = Script().recording()
    planned(recording)
    recording.save(path, "a.py", data_bytes=None)
    command = [sys.executable, "-c", WITHOUT_TORCH, "plan", str(path), "--json", "--on", "colab/t4"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    document = json.loads(result.stdout)
    assert "Traceback" not in result.stderr
    assert document["target"] == "a.py"
    assert document["options"][0]["runtime"] == "colab/t4"
    assert document["options"][0]["verdict"] == "does_not_fit"
    assert result.returncode == 8
