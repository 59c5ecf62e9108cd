"""`shopease cleanup`: delete objects and unfinished uploads of the lake, after showing them and asking."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from shopease_etl.cli import options
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid
from shopease_etl.contract.layout import LAYERS, dataset_of, month_of
from shopease_etl.wording import counted

if TYPE_CHECKING:
    from shopease_etl.lake.cleanup import Garbage
    from shopease_etl.lake.store import StoredObject


Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        metavar="NAME",
        help="Delete the datasets of this layer; repeatable.",
        autocompletion=options.completion(LAYERS),
    ),
]


def cleanup(
    context: CommandContext,
    uploads: Annotated[
        bool, typer.Option("--uploads", help="Abort unfinished uploads of runs that were killed.")
    ] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="HOURS", min=0, help="Only uploads older than HOURS.")
    ] = 24.0,
    layer: Layers = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all layers and manifests.")] = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    wait: options.Wait = 0,
) -> None:
    """Delete unfinished uploads, layers or the whole lake (shows the list and asks first).

    Example: shopease cleanup --uploads --dry-run
    """
    from shopease_etl.pipeline.cleanup import delete_garbage, find_garbage

    garbage = find_garbage(
        context.pipeline,
        uploads=uploads,
        older_than=older_than * 3600,
        layers=layer or (),
        everything=everything,
        dry_run=dry_run,
        wait=wait,
    )
    is_deleted = _show_and_ask(context, garbage, dry_run=dry_run, yes=yes)
    if is_deleted:
        delete_garbage(context.pipeline, garbage, wait=wait)
    _show_done(context, garbage, is_deleted=is_deleted, dry_run=dry_run)


def _show_and_ask(context: CommandContext, garbage: "Garbage", *, dry_run: bool, yes: bool) -> bool:
    """Show what was found, and ask if it should be deleted."""
    console = context.console
    if not console.json:
        console.result(garbage, lambda: _garbage(garbage))
    strays, younger = garbage.uploads.strays + garbage.datasets.strays, garbage.uploads.younger
    kept = [f"{counted(younger, 'younger upload')}, which the next run will abort"] if younger else []
    kept += [f"{counted(strays, 'object')} not of the lake's layout"] if strays else []
    if kept:
        console.message(f"Not deleted: {'; '.join(kept)}")
    if dry_run or yes or not garbage.count:
        return bool(garbage.count) and not dry_run
    hint = "add --yes to delete without asking, or --dry-run to list"
    return console.confirm(f"Delete {garbage.description}?", refusal="nothing deleted", hint=hint)


def _show_done(context: CommandContext, garbage: "Garbage", *, is_deleted: bool, dry_run: bool) -> None:
    from shopease_etl.pipeline import wiring

    console = context.console
    if is_deleted:
        has_versions = wiring.lake_store(context.settings).is_on_aws
        note = " Previous versions stay as long as the bucket keeps them." if has_versions else ""
        console.message(f"Deleted {garbage.description}.{note}")
    elif garbage.count and not dry_run:
        console.message("Nothing was deleted.")
    if console.json:
        done = f"deleted {garbage.description}" if is_deleted else None
        console.result({**asdict(garbage), "deleted": is_deleted}, lambda: "", done)


def _garbage(garbage: "Garbage") -> RenderableType:
    """What a cleanup would delete; the months of a table are one line."""
    if not garbage.count:
        return f"Nothing to delete in {garbage.location}"

    def since(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")

    files: dict[str, list[StoredObject]] = {}
    for item in garbage.datasets.objects:
        files.setdefault(dataset_of(item.key) if month_of(item.key) else item.key, []).append(item)
    uploads = (("upload", upload.key, "", since(upload.started)) for upload in garbage.uploads.uploads)
    objects = (
        (
            "object" if name == items[0].key else counted(len(items), "object"),
            name,
            sum(item.bytes for item in items),
            since(max(item.modified for item in items)),
        )
        for name, items in files.items()
    )
    headings = ("what", "key", "bytes", "since (UTC)")
    return Grid(headings, (*objects, *uploads), title=f"Lake {garbage.location}", droppable=("since (UTC)", "what"))
