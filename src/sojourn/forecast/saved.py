"""A job's traces as one text, so that it can be planned again elsewhere, and without torch.

    {"schema": "sojourn.traces/1", "digest": "sha256 of the rest",
     "index": "{what each trace is for}", "traces": ["{a trace}", …]}

Texts within the text are decoded when they are asked for: most plans need few of them. What stands
in them was made harmless before it was saved.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sojourn.errors import TraceError
from sojourn.forecast.changes import Variant, load_changes
from sojourn.forecast.checking import is_whole
from sojourn.forecast.scaling import BatchScale, Traced
from sojourn.forecast.trace import Trace, dump_trace, load_trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRACES_SCHEMA = "sojourn.traces/1"
# Cards differ in what a script may ask about (bf16, flash attention) at this line, and hardly
# elsewhere; one trace stands for all cards on either side of it.
_AMPERE = (8, 0)
BEFORE_AMPERE, SINCE_AMPERE = "7.5", "8.0"


def told_capability(compute_capability: str, *, asked_capability: bool) -> str:
    """Return what a script is told when it asks: one answer for all cards if it does not."""
    major, _, minor = compute_capability.partition(".")
    if (int(major), int(minor)) >= _AMPERE or not asked_capability:
        return SINCE_AMPERE
    return BEFORE_AMPERE


@dataclass(slots=True)
class SavedTraces:
    """Traces that were saved, decoded one by one as they are asked for.

    `main` are the numbers of the trace and of the one at another batch size (None where the job
    does not scale) by what the script was told; `varied` those of changed scripts, None where it
    could not be traced. `data_bytes` is what the job has to bring along, if that was known,
    `job` what tells it from others (`correction.job_key`).
    """

    target: str
    asked_capability: bool
    main: Mapping[str, tuple[int, int | None]]
    varied: Mapping[Variant, int | None]
    texts: Sequence[str]
    data_bytes: int | None = None
    job: str = ""
    _decoded: dict[int, Trace] = field(default_factory=dict)
    _pairs: dict[str, Traced] = field(default_factory=dict)
    _missing: set[Variant] = field(default_factory=set)

    @property
    def missing(self) -> int:
        """How many changes were asked for that nobody traced before it was saved."""
        return len(self._missing)

    def trace_for(self, compute_capability: str) -> Traced:
        """Return the job's trace for such a card, and how it scales with the batch size.

        Raises:
            TraceError: a trace in it is not one that this version reads, or does not go with the
                one at another batch size.
        """
        told = self._told(compute_capability)
        if told not in self._pairs:
            first, second = self.main[told]
            trace = self._trace(first)
            scale = None if second is None else BatchScale(trace, self._trace(second))
            if scale is not None and not scale.is_possible:
                raise _unreadable("two of its traces do not go together")
            self._pairs[told] = Traced(trace=trace, scale=scale)
        return self._pairs[told]

    def retrace(self, variants: Sequence[Variant]) -> tuple[Trace | None, ...]:
        """Return traces of the changed script; None for what was not traced before it was saved.

        Raises:
            TraceError: a trace in it is not one that this version reads.
        """
        wanted = [self._as_saved(variant) for variant in variants]
        self._missing.update(variant for variant in wanted if variant not in self.varied)
        numbers = [self.varied.get(variant) for variant in wanted]
        return tuple(None if number is None else self._trace(number) for number in numbers)

    def _as_saved(self, variant: Variant) -> Variant:
        told = self._told(variant.compute_capability)
        return Variant(compute_capability=told, changes=variant.changes)

    def _told(self, compute_capability: str) -> str:
        return told_capability(compute_capability, asked_capability=self.asked_capability)

    def _trace(self, number: int) -> Trace:
        if number not in self._decoded:
            self._decoded[number] = load_trace(self.texts[number])
        return self._decoded[number]


def dump_traces(
    target: str,
    main: Mapping[str, Traced],
    varied: Mapping[Variant, Trace | None],
    *,
    data_bytes: int | None = None,
    job: str = "",
) -> str:
    """Write a job's traces as one text.

    Args:
        target: The script, as it is shown.
        main: By what the script was told: its trace, and how it scales.
        varied: Traces of the changed script.
        data_bytes: What the job has to bring along, if that is known.
        job: What tells it from others; "" where nothing does.
    """
    texts: list[str] = []
    numbers: dict[int, int] = {}

    def number_of(trace: Trace) -> int:
        if id(trace) not in numbers:
            numbers[id(trace)] = len(texts)
            texts.append(dump_trace(trace))
        return numbers[id(trace)]

    index = {
        "target": target,
        "data_bytes": data_bytes,
        "job": job,
        "asked_capability": any(traced.trace.asked_capability for traced in main.values()),
        "main": {
            told: [
                number_of(traced.trace),
                None if traced.scale is None else number_of(traced.scale.second),
            ]
            for told, traced in main.items()
        },
        "varied": [
            {"variant": asdict(variant), "trace": None if trace is None else number_of(trace)}
            for variant, trace in varied.items()
        ],
    }
    index_text = json.dumps(index, separators=(",", ":"))
    document = {
        "schema": TRACES_SCHEMA,
        "digest": _digest(index_text, texts),
        "index": index_text,
        "traces": texts,
    }
    return json.dumps(document, separators=(",", ":"))


def load_traces(text: str) -> SavedTraces:
    """Read what `dump_traces` wrote.

    Raises:
        TraceError: the text is something else, of another version, or not whole.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        schema, texts = document["schema"], document["traces"]
        if schema != TRACES_SCHEMA:
            raise _unreadable(f"its schema is {schema!r}")
        if document["digest"] != _digest(document["index"], texts):
            raise _unreadable("it was changed, or damaged, after it was saved")
        return _checked(_from_index(json.loads(document["index"]), texts))
    except json.JSONDecodeError as error:
        raise _unreadable("it is no JSON, or was cut short") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable("it is JSON of another kind") from error


def _checked(saved: SavedTraces) -> SavedTraces:
    """Return saved traces of which each number is that of a text.

    Raises:
        ValueError, KeyError: they are not so.
    """
    told = {SINCE_AMPERE, BEFORE_AMPERE} if saved.asked_capability else {SINCE_AMPERE}
    firsts = [saved.main[each][0] for each in sorted(told | saved.main.keys())]
    others = [*(second for _, second in saved.main.values()), *saved.varied.values()]
    numbers = [*firsts, *(number for number in others if number is not None)]
    if not all(is_whole(number) and number < len(saved.texts) for number in numbers):
        raise ValueError("there is no such trace")
    texts = [saved.target, saved.job, *saved.texts]
    is_fit = isinstance(saved.asked_capability, bool) and isinstance(saved.texts, list)
    has_size = saved.data_bytes is None or is_whole(saved.data_bytes)
    if not is_fit or not has_size or not all(isinstance(text, str) for text in texts):
        raise ValueError("a field of another type")
    return saved


def _from_index(index: dict[str, Any], texts: list[str]) -> SavedTraces:
    return SavedTraces(
        target=index["target"],
        asked_capability=index["asked_capability"],
        main={told: (first, second) for told, (first, second) in index["main"].items()},
        varied={_load_variant(row["variant"]): row["trace"] for row in index["varied"]},
        texts=texts,
        data_bytes=index["data_bytes"],
        job=index["job"],
    )


def _load_variant(document: dict[str, Any]) -> Variant:
    return Variant(
        compute_capability=document["compute_capability"],
        changes=load_changes(document["changes"]),
    )


def _digest(index_text: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(index_text.encode())
    for text in texts:
        digest.update(f"\n{len(text)}\n{text}".encode())
    return digest.hexdigest()


def _unreadable(why: str) -> TraceError:
    return TraceError(
        f"These are no saved traces that this version of Sojourn reads: {why}.",
        remedy="Save them again: sojourn plan SCRIPT --save-trace FILE.",
    )
