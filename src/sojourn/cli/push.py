"""`sojourn push`: send a folder to a store."""

from __future__ import annotations

from typing import Any

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.argument("store")
@click.option("-m", "--message", default="", metavar="M", help="A line about this revision.")
@click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Leave out what GLOB names; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option(
    "--engine",
    type=click.Choice(["threads", "ray"]),
    default="threads",
    show_default=True,
    help="What packs: this machine, or the Ray cluster that RAY_ADDRESS names.",
)
@click.option("--title", metavar="T", help="The heading of a new data set on Kaggle.")
@click.option("--license", metavar="L", help="Its licence: CC0-1.0, CC-BY-SA-4.0, …")
@click.option("--public", is_flag=True, help="Let everybody read it. Private if not given.")
@common_options
def command(output: Output, *, folder: str, store: str, dry_run: bool, **asked: Any) -> None:
    """Send the folder DIR to STORE; only shards whose content changed since the last push.

    A shard holds files that follow one another by name, 64 to 256 MiB of them before compression;
    a larger file has one to itself, and what is left at the end may be less. Where a byte of it
    changed, all of the shard is sent again.

    Everything goes: hidden files, empty folders, permission bits, links that stay inside of DIR;
    but for what --exclude names, folders with all that is in them. In GLOB, * and ? stay within one
    folder, ** crosses folders, [abc] is one of these; '**/NAME' is NAME at any depth.

    Readers see the new revision when all of it is there. An interrupted push, run again, goes on.
    Tables (CSV, TSV, JSON lines) are kept as columns where their text can be written anew from
    these, byte for byte; that is checked while packing. Overlapping windows are kept once.

    DIR may be the address of a store: the files of a data set there are sent, those in zips
    unpacked; else its objects, as the files of a folder. With --engine ray the workers of a cluster
    read objects there and send the shards, byte for byte the same.

    STORE is kaggle://OWNER/DATASET, hf://datasets/OWNER/NAME (made private), s3://BUCKET/PREFIX,
    gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, file:///PATH or a plain path. On Kaggle a push makes
    a data set, or a new version; --title, --license and --public are for a new one there. Who you
    are say KAGGLE_API_TOKEN, or what Kaggle's own tools find; for S3 the AWS_ variables.

    Costs what the store asks for its space and requests. Needs free space for packed data beside
    DIR: up to three shards, most often less than 500 MiB.

    \b
    Example:
      sojourn push data/ s3://bucket/leaks -m "two more networks"
      sojourn push data/ /mnt/usb/leaks --dry-run
      sojourn push data/ kaggle://me/leaks-2024 --title "Leaks of 2024" --license CC0-1.0
      sojourn push . s3://bucket/leaks --exclude .git --exclude '**/__pycache__'
      sojourn push s3://bucket/raw s3://bucket/leaks --engine ray

    \b
    Exit status:
      0  sent, or there already
      2  DIR cannot be sent: missing, empty, unreadable, with links that lead out of it; or a GLOB
         names nothing in it
      5  STORE refused, or could not be reached
      6  a file changed meanwhile, or the data set in STORE is damaged
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.api import push
    from sojourn.render.dataset import push_document, push_text

    report = push(folder, store, dry_run=dry_run, progress=output.progress(), **asked)
    output.result(
        push_document(report, dry_run=dry_run), lambda: push_text(report, dry_run=dry_run)
    )
