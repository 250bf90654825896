"""The few functions that compose the parts: what the command line and a notebook call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sojourn.localpath import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sojourn.dataset.dataset import Dataset
    from sojourn.dataset.pull import PullReport
    from sojourn.dataset.push import PushReport
    from sojourn.dataset.verifying import VerifyReport
    from sojourn.forecast.correction import ProbeReport
    from sojourn.planning.plan import Plan
    from sojourn.planning.wallet import Wallet
    from sojourn.progress import Progress
    from sojourn.runs.history import RunSummary
    from sojourn.stores.login import LoginReport


def plan(
    target: str | Path | None = None,
    *arguments: str,
    step: str | Callable[..., object] | None = None,
    batch: str | Callable[..., object] | None = None,
    on: Sequence[str] = (),
    subscription: str | None = None,
    batch_size: int | None = None,
    paths: Mapping[str, str | Path] | None = None,
    timeout_s: float = 300.0,
    any_torch: bool = False,
    echo: bool = False,
    wallet: float | None = None,
    epochs: int | None = None,
    deadline_s: float | None = None,
    prefer: str = "cheapest",
    data_bytes: int | None = None,
    save_trace: str | Path | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Say where an unmodified training script fits, how long it takes and what it costs.

    The script runs on this machine in a scratch copy of its folder, offline, with a CUDA device
    that is not there, until its optimizers have stepped twice. Nothing is rented.

    What cannot be run as a script is planned by its training step: a function at the top of a .py
    file, which is imported and not run, so that what is below `if __name__ == "__main__":` is not.

        def make_batch(batch_size=32): return torch.randn(batch_size, 3, 224, 224)
        def train_step(batch): ...  # forward, backward, optimizer.step()

        sojourn.plan(step="train.py:train_step", batch="make_batch", batch_size=64)

    Args:
        target: A .py or .ipynb file, or traces that were saved with `save_trace`; may be left out
            where `step` names one.
        *arguments: What the script gets in `sys.argv[1:]`.
        step: The function that takes one training step, its name in `target`, or its file and name:
            "train.py:train_step". It brings the model to the device itself, and takes nothing, or
            what `batch` gives. It is called until its optimizers have stepped twice; if it uses
            none of torch's, each call is a step.
        batch: The function in the same file, or its name, that makes a batch: it takes the batch
            size in samples, so that the largest can be found.
        on: Runtime type ids to look at; all that the subscription gets if empty.
        subscription: Whose runtime types: "free", "payg", "pro", "pro+"; all if None.
        batch_size: Instead of what the script gives its DataLoaders, or what `batch` has as its
            default, in samples.
        paths: What the script opens under a key is found under its value on this machine.
        timeout_s: Seconds that one pass of tracing may take; there are two to four, and some more
            for ways to fit.
        any_torch: Go on with a version of torch that tracing is not tested with.
        echo: Show what the script prints, through `progress`.
        wallet: Compute units that there are to spend; what `sojourn wallet` knows if None.
        epochs: Instead of what the script's own loop says.
        deadline_s: Seconds within which the job shall end, from its start.
        prefer: What ranks first: "cheapest" or "fastest".
        data_bytes: Bytes that have to be brought to the runtime; what lies under `paths` if None.
        save_trace: A .json or .json.gz file for the traces, to plan from again without the script.
        progress: Where to report to.

    Raises:
        UsageError: the target or an argument cannot be meant, or torch's version is not tested.
        CatalogError: a runtime type is not in the catalog, or the user's overlay does not load.
        TraceError: the script could not be traced, or saved traces not be read.
        IntegrityError: the ledger of `sojourn wallet` is damaged.
    """
    from sojourn.planner import PlanRequest, plan_job
    from sojourn.progress import NoProgress

    request = PlanRequest(
        target=target,
        arguments=arguments,
        step=step,
        batch=batch,
        on=on,
        subscription=subscription,
        batch_size=batch_size,
        paths=paths or {},
        timeout_s=timeout_s,
        any_torch=any_torch,
        echo=echo,
        wallet=wallet,
        epochs=epochs,
        deadline_s=deadline_s,
        prefer=prefer,
        data_bytes=data_bytes,
        save_trace=save_trace,
    )
    return plan_job(request, progress or NoProgress())


def wallet(*, set_units: float | None = None) -> Wallet:
    """Say what there is to spend: balance, rates, quotas, and what past runs used.

    Args:
        set_units: Note this as the balance of compute units first.

    Raises:
        UsageError: that is no balance, or it cannot be written down.
        CatalogError: the user's overlay does not load.
        IntegrityError: the ledger is damaged.
    """
    from datetime import UTC, datetime

    from sojourn.catalog import default_overlay_path, load_catalog
    from sojourn.planning.wallet import make_wallet, with_observed_rates
    from sojourn.runs.history import default_root
    from sojourn.runs.ledger import Ledger, default_ledger_path, past_runs

    now = datetime.now(UTC)
    ledger = Ledger(path=default_ledger_path(), now=lambda: now)
    if set_units is not None:
        ledger.record_balance(set_units)
    entries = ledger.entries()
    catalog, _ = with_observed_rates(
        load_catalog(default_overlay_path()), entries, today=now.date()
    )
    return make_wallet(catalog, entries, past_runs(default_root()), now=now)


def probe(
    target: str | Path,
    *arguments: str,
    paths: Mapping[str, str | Path] | None = None,
    timeout_s: float = 600.0,
    any_torch: bool = False,
    echo: bool = False,
    progress: Progress | None = None,
) -> ProbeReport:
    """Take twenty real optimizer steps of an unmodified script on this machine's GPU.

    What they take is set beside the forecast for the same job on the same accelerator, and the
    difference is kept for later plans. The script really runs, with the network, in a scratch copy
    of its folder, and is ended after its steps.

    Args:
        target: A .py or .ipynb file.
        *arguments: What the script gets in `sys.argv[1:]`.
        paths: What the script opens under a key is found under its value on this machine.
        timeout_s: Seconds that the steps may take, the script's start included.
        any_torch: Forecast with a version of torch that tracing is not tested with.
        echo: Show what the script prints, through `progress`.
        progress: Where to report to.

    Raises:
        UsageError: the target or an argument cannot be meant.
        MissingPackageError: torch is not installed.
        TraceError: there is no GPU, or the script failed or took no step.
    """
    from sojourn.prober import ProbeJob, probe_target
    from sojourn.progress import NoProgress

    job = ProbeJob(
        target=target,
        arguments=arguments,
        paths=paths or {},
        timeout_s=timeout_s,
        any_torch=any_torch,
        echo=echo,
    )
    return probe_target(job, progress or NoProgress())


def run(
    target: str | Path,
    *arguments: str,
    on: str = "local",
    data: Mapping[str, str] | None = None,
    deadline_s: float | None = None,
    out: str | Path | None = None,
    on_output: Callable[[bytes], object] | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Run a script or notebook, and wait for its end.

    Args:
        target: A .py or .ipynb file.
        *arguments: What the script gets in `sys.argv[1:]`.
        on: The runtime; `local` is this machine.
        data: The folder for each store to be pulled before the job starts: relative to the job's
            own folder, or as on Colab, `/content/data`.
        deadline_s: After how many seconds from its start the run is stopped; None: never.
        out: Where to copy what the job wrote, however it ends.
        on_output: Gets what the job prints, as it comes.
        progress: Where to report to.

    Raises:
        UsageError: the target or an argument cannot be meant.
        CatalogError: jobs are not run on such a runtime.
        TraceError: the target is not valid Python.
        StoreError, IntegrityError: the data could not be brought; the job was not started.
        RunError: the job failed or ran into its deadline.
    """
    import random
    from datetime import UTC, datetime

    from sojourn.dataset.finding import is_local_file
    from sojourn.progress import NoProgress
    from sojourn.runs.history import RunFolder, default_root
    from sojourn.runs.request import check_request, check_runtime, new_run_id
    from sojourn.runs.supervisor import Supervisor
    from sojourn.runtimes.local import LocalRuntime
    from sojourn.stores.known_secrets import known_secrets
    from sojourn.stores.url import open_store

    check_runtime(on)
    request = check_request(
        target, arguments=arguments, data=data or {}, deadline_s=deadline_s, out=out
    )
    for wanted in request.data:
        if not is_local_file(wanted.store):  # a zip, say
            open_store(wanted.store)  # an address that cannot be meant is refused before the run
    run_id = new_run_id(request.target, now=datetime.now(UTC), randomness=random.SystemRandom())
    reporter = progress or NoProgress()
    supervisor = Supervisor(
        runtime=LocalRuntime(),
        pull=lambda store, folder: pull(store, folder, progress=reporter),
        on_output=on_output or (lambda _text: None),
        progress=reporter,
        now=lambda: datetime.now(UTC),
        secrets=known_secrets(os.environ),
    )
    return supervisor.supervise(request, RunFolder(path=default_root() / run_id))


def push(
    folder: str | Path,
    store: str | Path,
    *,
    message: str = "",
    dry_run: bool = False,
    engine: str = "threads",
    exclude: Sequence[str] = (),
    title: str | None = None,
    license: str | None = None,  # noqa: A002 - what everybody calls it
    public: bool = False,
    progress: Progress | None = None,
) -> PushReport:
    """Send a folder to a store; only what changed since the last push.

    Args:
        folder: What is sent, whole: hidden files, empty folders, links that stay inside of it. Or
            the address of a store, whose objects are sent as the files of a folder.
        store: Where to, as in `open`; but not https://, which is read only.
        message: A line about this revision.
        dry_run: Tell what would be sent, and send nothing.
        engine: What packs: "threads" of this machine, or "ray" for a Ray cluster, which reads and
            writes s3:// addresses by itself. The shards are the same.
        exclude: Globs of what is left out, as those of `pull`; a folder that one names is left out
            with all that is in it. Each has to name something.
        title: The heading of a new data set, where the store has a page for each.
        license: The name of its licence, as the store spells it.
        public: Everybody may read it; else only those it is shared with.
        progress: Where to report to.

    Raises:
        UsageError: the folder cannot be sent, or not with this engine; a glob names nothing; or the
            store has no pages.
        MissingPackageError: the engine is not installed.
        StoreError: the store refused, or could not be reached.
        IntegrityError: a file changed meanwhile, or the data set in the store is damaged.
    """
    from sojourn.progress import NoProgress
    from sojourn.pusher import PushRequest, push_job

    request = PushRequest(
        folder=folder,
        store=store,
        message=message,
        dry_run=dry_run,
        engine=engine,
        exclude=exclude,
        title=title,
        license=license,
        public=public,
    )
    return push_job(request, progress or NoProgress())


def share(store: str | Path, *, with_user: str) -> str:
    """Let somebody read a data set that is private.

    Args:
        store: Where it is: `kaggle://OWNER/DATASET`.
        with_user: The user's name there.

    Returns:
        The page on which that is seen, and can be taken back.

    Raises:
        UsageError: such a store cannot be shared from here.
        StoreError: the store refused, or could not be reached.
    """
    from sojourn.stores.sharing import share_store

    return share_store(store, with_user=with_user)


def pull(
    store: str | Path,
    folder: str | Path | None = None,
    *,
    include: Sequence[str] = (),
    revision: str | None = None,
    progress: Progress | None = None,
) -> PullReport:
    """Get a data set into a folder, byte for byte; only what is not there yet.

    Args:
        store: Where it is.
        folder: Where it goes; if None, a folder here named after the last part of the address, in
            which nothing is overwritten that no pull has put there.
        include: Globs; all if empty. `*` stays within a folder, `**` crosses folders.
        revision: An earlier one; the newest if None.
        progress: Where to report to.

    Raises:
        UsageError: the folder cannot be written to or has no room; a glob or the revision names
            nothing; or something would be overwritten in a folder that was not named.
        StoreError: the store holds no data set, refused, or could not be reached.
        IntegrityError: what the store holds does not match its digests.
    """
    from sojourn.stores.url import last_component

    dataset = open_dataset(store, revision=revision, progress=progress)
    target = local_path(last_component(dataset) if folder is None else folder)
    return dataset.extract(target, include, overwrite=folder is not None, progress=progress)


def open_dataset(
    store: str | Path, *, revision: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Return a data set to read from; fetches its manifest and nothing else.

    What was not pushed with Sojourn is read as well: the objects of the store are the files, or
    those in its zips; the address may be that of one object, too.

    Args:
        store: Where it is: `kaggle://OWNER/DATASET`, `hf://datasets/OWNER/NAME`,
            `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`,
            `https://HOST/PATH`, `file:///PATH` or a plain path.
        revision: An earlier one; the newest if None.
        progress: Is told when the store is waited for, now or later.

    Raises:
        UsageError: there is no such revision.
        StoreError: the store holds no data set, refused, or could not be reached.
        IntegrityError: the manifest cannot be used.
    """
    from sojourn.dataset.finding import find_dataset

    return find_dataset(store, revision=revision, progress=progress)


def verify(
    store: str | Path,
    folder: str | Path | None = None,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check every digest in a store; or those of a folder's files against it.

    Raises:
        UsageError: there is no such folder or revision.
        StoreError: the store holds no data set, refused, or could not be reached.
        IntegrityError: the manifest cannot be used. What else is wrong is in the report.
    """
    from sojourn.dataset.verifying import verify_folder, verify_store
    from sojourn.progress import NoProgress

    report_to = progress or NoProgress()
    found = open_dataset(store, revision=revision, progress=report_to)
    if folder is None:
        return verify_store(found.manifest, found.store, progress=report_to)
    return verify_folder(found.manifest, found.store, local_path(folder), progress=report_to)


def login(
    service: str, *, replace: bool = False, ask: Callable[[], str | None] | None = None
) -> LoginReport:
    """Store a credential where its vendor's own tools look, so that it is not asked for again.

    In Colab it is taken from the notebook's Secrets; if there is none, Kaggle's from the file that
    Colab's upload dialog brings. Elsewhere it is asked for, and not shown while it is typed. A
    token is not taken as an argument: it would stay in the notebook.

    Args:
        service: "kaggle" or "hf".
        replace: Whether a credential that is stored already is replaced.
        ask: Returns an access token, or the text of a kaggle.json, in place of the above.

    Raises:
        UsageError: there is no such service, nothing usable was given, or a credential is stored
            already and is to be kept.
    """
    from sojourn.stores.asking import asker_for
    from sojourn.stores.login import check_not_stored, check_service, store_credential

    check_service(service)
    if ask is None and not replace:
        check_not_stored(service, os.environ)
    text = (ask or asker_for(service, os.environ))()
    return store_credential(service, text or "", environment=os.environ, replace=replace)
