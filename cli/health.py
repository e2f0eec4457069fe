"""`keelson health`: whether each service can do its work."""

from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import base_url, error_console, reporting_errors
from shared.migrations import SERVICES


def health(
    url: Annotated[str | None, typer.Option(help="Where the suite answers; the running one by default.")] = None,
) -> None:
    """Check each service and what it depends on; exit 1 where one cannot do its work."""
    with reporting_errors():
        base = base_url(url)
    table = Table("service", "state", "dependencies")
    well = True
    with httpx.Client(base_url=base, timeout=10, trust_env=False) as client:
        for service in SERVICES:
            ready, dependencies = _ask(client, service)
            well = well and ready
            table.add_row(service, "[green]ready[/green]" if ready else "[red]not ready[/red]", escape(dependencies))
    Console().print(table)
    if not well:
        error_console.print(f"[red]not everything is ready[/red] at {escape(base)}", soft_wrap=True)
        raise typer.Exit(1)


def _ask(client: httpx.Client, service: str) -> tuple[bool, str]:
    try:
        answer = client.get(f"/services/{service}/readyz")
    except httpx.TransportError as error:
        return False, f"does not answer ({type(error).__name__}). Is it running? make up"
    try:
        document: Any = answer.json()
        found: dict[str, Any] = document.get("dependencies", {})
        listed = ", ".join(f"{name} {state['detail'] or 'ok'}" for name, state in found.items())
        return answer.status_code == httpx.codes.OK and "dependencies" in document, listed or str(document["detail"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False, f"answered {answer.status_code} and no readiness document"
