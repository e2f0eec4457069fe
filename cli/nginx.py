"""`keelson nginx`: write how nginx finds the shards of risk."""

import re
from pathlib import Path
from typing import Annotated

import typer

from gateway.nginx.risk import LOCATION, SOCKETS, render

_ADDRESS = re.compile(r"[A-Za-z0-9.\-]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}")


def nginx(
    shard: Annotated[
        list[str], typer.Option(help="host:port of a shard's replicas, separated by commas; once for each, in order.")
    ],
    folder: Annotated[Path, typer.Option(help="Where to write risk.conf and risk-location.conf.")],
    sockets: Annotated[str, typer.Option(help="Folder in which nginx makes its own sockets.")] = SOCKETS,
) -> None:
    """Write risk.conf and risk-location.conf for nginx."""
    shards = [each.split(",") for each in shard]
    for address in (address for replicas in shards for address in replicas):
        if not _ADDRESS.fullmatch(address):
            raise typer.BadParameter(f"{address!r} is not host:port")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("risk.conf", render(shards, sockets)), ("risk-location.conf", LOCATION)):
        (folder / name).write_text(text, encoding="utf-8")
        typer.echo(f"written: {folder / name}")
