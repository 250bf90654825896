"""Thirty days in a water network, minute by minute, as its sensors would report them.

The pressures and flows come from EPANET, driven through its toolkit as the package wntr ships it,
on networks that wntr ships too. Leaks open at random junctions (an emitter: outflow grows with the
square root of the pressure) and operators switch pumps at random hours, so that not every change
is a leak. EPANET solves the network every ten minutes and at each event in between (a tank full, a
pump switched by its level control); between two solutions the state is held, and each sensor adds
its own noise each minute.

Units: flows and demands in m³/h, pressures in kPa; EPANET itself reckons pressures in metres.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wntr
from wntr.epanet.toolkit import ENepanet
from wntr.epanet.util import EN

SOLVE_EVERY_S = 600
MINUTES_PER_DAY = 1440
DAYS_PER_LEAK = 2.5
DAYS_PER_PUMP_SWITCH = 1.0
LEAK_HOURS = (2, 12)
PUMP_SWITCH_HOURS = (1, 4)
LEAK_SHARE_OF_DEMAND = (0.03, 0.10)  # of the network's mean demand
LOWEST_LEAK_PRESSURE_M = 5.0  # a leak is sized at no less than this, or its emitter would be huge
DEMAND_SPREAD = 0.06  # of one pattern step's demand around its usual value
DEMAND_MEMORY = 0.7  # how much of that deviation the next pattern step keeps
RELATIVE_FLOW_NOISE = 0.004
RELATIVE_DEMAND_NOISE = 0.01
PRESSURE_NOISE_KPA = 0.5
KPA_PER_M = 9.80665  # of water


@dataclass(frozen=True, kw_only=True)
class Site:
    """One network with its sensors: which links and junctions are measured.

    Every site has as many columns of each kind, so that one model can read them all.
    """

    network: str
    flows: tuple[str, ...]  # links: Q1, Q2, ...
    meters: tuple[str, ...]  # junctions whose demand is metered: M1, M2, ...
    pressures: tuple[str, ...]  # junctions: P1, P2, ...
    pumps: tuple[str, ...]  # the pumps that operators switch

    @property
    def columns(self) -> list[str]:
        """Return the names of the measured columns, in order."""
        kinds = (("Q", self.flows), ("M", self.meters), ("P", self.pressures))
        return [f"{kind}{n}" for kind, names in kinds for n in range(1, len(names) + 1)]


SITES = {
    "A": Site(
        network="Net3",
        flows=("335", "10", "40", "173"),
        meters=("123", "15", "35"),
        pressures=("107", "121", "143", "177", "205", "243"),
        pumps=("10",),
    ),
    "B": Site(
        network="ky4",
        flows=("~@Pump-1", "~@Pump-2", "P-540", "P-79"),
        meters=("J-510", "J-448", "J-381"),
        pressures=("J-186", "J-358", "J-443", "J-529", "J-767", "J-95"),
        pumps=("~@Pump-1",),
    ),
    "C": Site(
        network="ky10",
        flows=("~@Pump-7", "~@Pump-13", "P-991", "P-459"),
        meters=("J-236", "J-279", "J-276"),
        pressures=("J-100", "J-173", "J-355", "J-436", "J-599", "J-673"),
        pumps=("~@Pump-8", "~@Pump-9", "~@Pump-13"),
    ),
    "D": Site(
        network="Net1",
        flows=("9", "110", "11", "21"),
        meters=("22", "23", "31"),
        pressures=("10", "11", "12", "13", "21", "32"),
        pumps=("9",),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happens at a junction or pump from one minute to another."""

    place: str
    start_minute: int
    end_minute: int
    share_of_demand: float = 0.0  # leaks only


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What the sensors say: `values` [minute, column], and `anomaly` [minute], true while it leaks."""

    columns: list[str]
    values: np.ndarray
    anomaly: np.ndarray


def simulate(site: Site, *, days: int, rng: np.random.Generator) -> Readings:
    """Run EPANET over `days` days and read the site's sensors every minute."""
    model = _load_network(site, days=days, rng=rng)
    unmetered = sorted(set(model.junction_name_list) - set(site.meters))
    leaks = _draw_events(unmetered, days, DAYS_PER_LEAK, LEAK_HOURS, rng)
    switches = [
        event
        for pump in site.pumps
        for event in _draw_events([pump], days, DAYS_PER_PUMP_SWITCH, PUMP_SWITCH_HOURS, rng)
    ]
    times_s, states = _solve(model, site, leaks, switches)
    minutes_s = np.arange(days * MINUTES_PER_DAY) * 60
    held = states[np.searchsorted(times_s, minutes_s, side="right") - 1]
    anomaly = np.zeros(len(minutes_s), dtype=bool)
    for leak in leaks:
        anomaly[leak.start_minute : leak.end_minute] = True
    return Readings(columns=site.columns, values=_add_noise(held, site, rng), anomaly=anomaly)


def _load_network(
    site: Site, *, days: int, rng: np.random.Generator
) -> wntr.network.WaterNetworkModel:
    folder = Path(wntr.__file__).parent / "library" / "networks"
    model = wntr.network.WaterNetworkModel(str(folder / f"{site.network}.inp"))
    time = model.options.time
    time.duration = days * MINUTES_PER_DAY * 60
    time.hydraulic_timestep = time.report_timestep = SOLVE_EVERY_S
    model.options.quality.parameter = "NONE"
    # Controls by the clock cover the first week only; the operators' switches stand in for them.
    for name, control in list(model.controls()):
        if "SYSTEM TIME" in str(control):
            model.remove_control(name)
    _vary_demand(model, days=days, rng=rng)
    return model


def _vary_demand(
    model: wntr.network.WaterNetworkModel, *, days: int, rng: np.random.Generator
) -> None:
    """Make each day's demand its own, where the network's file has the same day for ever."""
    steps = days * MINUTES_PER_DAY * 60 // int(model.options.time.pattern_timestep)
    used = {
        demand.pattern_name
        for _, junction in model.junctions()
        for demand in junction.demand_timeseries_list
        if demand.pattern_name
    }
    for name in sorted(used):
        pattern = model.get_pattern(name)
        deviation = np.empty(steps)
        level = 0.0
        for step, shock in enumerate(rng.normal(0.0, DEMAND_SPREAD, steps)):
            level = DEMAND_MEMORY * level + shock
            deviation[step] = level
        pattern.multipliers = np.resize(pattern.multipliers, steps) * np.exp(deviation)


def _draw_events(
    places: list[str],
    days: int,
    days_each: float,
    hours: tuple[int, int],
    rng: np.random.Generator,
) -> list[Event]:
    """Draw one event per stretch of `days_each` days, so that none overlaps another."""
    minutes = days * MINUTES_PER_DAY
    count = max(1, round(days / days_each))
    step = SOLVE_EVERY_S // 60
    bounds = np.linspace(0, minutes // step, count + 1).astype(int)
    events = []
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        longest = max(1, int(last - first) - 2)
        length = min(longest, int(rng.integers(hours[0] * 60, hours[1] * 60 + 1)) // step)
        start = int(rng.integers(first + 1, max(first + 2, last - length)))
        events.append(
            Event(
                place=places[int(rng.integers(len(places)))],
                start_minute=start * step,
                end_minute=(start + length) * step,
                share_of_demand=float(rng.uniform(*LEAK_SHARE_OF_DEMAND)),
            )
        )
    return events


def _solve(
    model: wntr.network.WaterNetworkModel, site: Site, leaks: list[Event], switches: list[Event]
) -> tuple[np.ndarray, np.ndarray]:
    """Step EPANET through the whole time.

    Returns:
        The times in seconds [solution], and the sensors' true values [solution, column].
    """
    with tempfile.TemporaryDirectory() as scratch:
        network = f"{scratch}/network.inp"
        wntr.network.write_inpfile(model, network, units="CMH")
        engine = ENepanet(version=2.2)
        engine.ENopen(network, f"{scratch}/network.rpt", f"{scratch}/network.bin")
        try:
            return _step(engine, site, leaks, switches)
        finally:
            engine.ENclose()


def _step(
    engine: ENepanet, site: Site, leaks: list[Event], switches: list[Event]
) -> tuple[np.ndarray, np.ndarray]:
    links = [engine.ENgetlinkindex(name) for name in site.flows]
    meters = [engine.ENgetnodeindex(name) for name in site.meters]
    gauges = [engine.ENgetnodeindex(name) for name in site.pressures]
    happenings = [
        *(_leak(engine, leak, _mean_demand(engine)) for leak in leaks),
        *(_switch(engine, switch) for switch in switches),
    ]
    times_s, states = [], []
    engine.ENopenH()
    engine.ENinitH(0)
    now_s = 0
    while True:
        for happening in happenings:
            happening.send(now_s)
        with warnings.catch_warnings():
            # EPANET warns of low pressure at a pump's inlet while it is switched; the solution stands.
            warnings.simplefilter("ignore")
            solved_s = engine.ENrunH()
        times_s.append(solved_s)
        states.append(
            [
                *(engine.ENgetlinkvalue(link, EN.FLOW) for link in links),
                *(engine.ENgetnodevalue(meter, EN.DEMAND) for meter in meters),
                *(engine.ENgetnodevalue(gauge, EN.PRESSURE) * KPA_PER_M for gauge in gauges),
            ]
        )
        step_s = engine.ENnextH()
        if step_s == 0:
            break
        now_s = solved_s + step_s
    engine.ENcloseH()
    return np.array(times_s), np.array(states)


def _mean_demand(engine: ENepanet) -> float:
    nodes = range(1, engine.ENgetcount(EN.NODECOUNT) + 1)
    return sum(engine.ENgetnodevalue(node, EN.BASEDEMAND) for node in nodes)


def _leak(engine: ENepanet, leak: Event, demand_m3_per_h: float):
    """Open an emitter when the leak starts and shut it when it ends; is sent the time in seconds."""
    node = engine.ENgetnodeindex(leak.place)

    def follow():
        while (yield) < leak.start_minute * 60:
            pass
        pressure_m = max(engine.ENgetnodevalue(node, EN.PRESSURE), LOWEST_LEAK_PRESSURE_M)
        outflow_m3_per_h = leak.share_of_demand * demand_m3_per_h
        engine.ENsetnodevalue(node, EN.EMITTER, outflow_m3_per_h / pressure_m**0.5)
        while (yield) < leak.end_minute * 60:
            pass
        engine.ENsetnodevalue(node, EN.EMITTER, 0.0)
        while True:
            yield

    return _started(follow())


def _switch(engine: ENepanet, switch: Event):
    """Turn a pump to the other state for a while; its level control may still overrule."""
    pump = engine.ENgetlinkindex(switch.place)

    def follow():
        while (yield) < switch.start_minute * 60:
            pass
        before = engine.ENgetlinkvalue(pump, EN.STATUS)
        engine.ENsetlinkvalue(pump, EN.STATUS, 1.0 - before)
        while (yield) < switch.end_minute * 60:
            pass
        engine.ENsetlinkvalue(pump, EN.STATUS, before)
        while True:
            yield

    return _started(follow())


def _started(generator):
    next(generator)
    return generator


def _add_noise(values: np.ndarray, site: Site, rng: np.random.Generator) -> np.ndarray:
    flows, meters = len(site.flows), len(site.meters)
    scale = np.abs(values).mean(axis=0)
    scale[:flows] *= RELATIVE_FLOW_NOISE
    scale[flows : flows + meters] *= RELATIVE_DEMAND_NOISE
    scale[flows + meters :] = PRESSURE_NOISE_KPA
    return values + rng.normal(0.0, 1.0, values.shape) * scale
