"""What admins do in a hurry: stop trading, and prove the journal."""

from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from cli.client import Api, api_client, error_console, reporting_errors
from shared.clients.calls import new_switch_name
from shared.schemas.base import Identifier
from shared.schemas.journal import JournalVerification
from shared.schemas.kill_switches import EmergencyStop, KillScope, KillSwitchAnswer, KillSwitchCreate, KillSwitchRelease

_RISK = "/api/v1/risk"
_VERIFY_SECONDS = 600.0
# Neither released nor refused; 1 is an error of any kind, 2 a command line that cannot be read.
_TO_BE_CONFIRMED = 3
_Url = Annotated[str | None, typer.Option(help="Where the suite answers; the running one by default.")]
_TokenFile = Annotated[Path | None, typer.Option(help="File with the bearer token.")]
_Reason = Annotated[str, typer.Option(help="Why; it is journaled.")]


def kill(
    scope: Annotated[KillScope, typer.Option(case_sensitive=False, help="What to stop.")],
    reason: _Reason,
    target: Annotated[str | None, typer.Option(help="The account, strategy or symbol; none for FIRM.")] = None,
    url: _Url = None,
    token_file: _TokenFile = None,
) -> None:
    """Stop an account, a strategy, a symbol or the firm, before this returns."""
    try:
        switch = KillSwitchCreate(scope=scope, target=target, reason=reason, kill_switch_id=new_switch_name())
    except ValueError as error:
        raise typer.BadParameter(_first_line(error)) from None
    with reporting_errors(), api_client(url, token_file) as client:
        _show(_telling(client).send("POST", f"{_RISK}/kill-switches", KillSwitchAnswer, switch))


def emergency_stop(reason: _Reason, url: _Url = None, token_file: _TokenFile = None) -> None:
    """Stop the whole firm, before this returns."""
    try:
        stop = EmergencyStop(reason=reason, kill_switch_id=new_switch_name())
    except ValueError as error:
        raise typer.BadParameter(_first_line(error)) from None
    with reporting_errors(), api_client(url, token_file) as client:
        _show(_telling(client).send("POST", f"{_RISK}/emergency-stop", KillSwitchAnswer, stop))


def release(
    kill_switch_id: Annotated[str, typer.Argument(help="The switch, as status shows it.")],
    reason: _Reason,
    url: _Url = None,
    token_file: _TokenFile = None,
) -> None:
    """Release a kill switch; exit 3 where another admin must confirm it first (TRADING_FOUR_EYES): it is in force.

    Exit 0 says that it is released, 1 that it was refused or nobody answers.
    """
    try:
        request = KillSwitchRelease(reason=reason)
        TypeAdapter(Identifier).validate_python(kill_switch_id)
    except ValueError as error:
        raise typer.BadParameter(_first_line(error)) from None
    with reporting_errors(), api_client(url, token_file) as client:
        path = f"{_RISK}/kill-switches/{kill_switch_id}/release"
        switch = _telling(client).send("POST", path, KillSwitchAnswer, request)
    where = switch.scope.value if switch.target is None else f"{switch.scope.value} {switch.target}"
    named = f"kill switch {switch.kill_switch_id}"
    console = Console(highlight=False)
    if switch.released_at is None:
        console.print(
            f"asked for, not released: {where} stays stopped until another admin releases it too "
            f"({named}, asked for by {switch.release_requested_by})",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(_TO_BE_CONFIRMED)
    console.print(f"released: {where} ({named}, by {switch.released_by})", markup=False, soft_wrap=True)


def verify(url: _Url = None, token_file: _TokenFile = None) -> None:
    """Prove that risk's journal is whole and unchanged; exit 1 and name the first bad row where it is not."""
    with reporting_errors(), api_client(url, token_file, _VERIFY_SECONDS) as client:
        found = _telling(client).get(f"{_RISK}/journal/verify", JournalVerification)
    if found.ok:
        Console(highlight=False).print(f"the journal holds: {found.checked} rows, to {found.last_hash}", soft_wrap=True)
        return
    error_console.print(f"[red]the journal is damaged[/red] at row {found.first_bad_seq}:", end=" ", soft_wrap=True)
    error_console.print(found.problem or "", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def _telling(client: httpx.Client) -> Api:
    """Return calls that say at once what does not answer, such as a shard that may not have stopped."""
    return Api(client, notice=lambda line: error_console.print(line, markup=False, soft_wrap=True))


def _show(switch: KillSwitchAnswer) -> None:
    where = switch.scope.value if switch.target is None else f"{switch.scope.value} {switch.target}"
    console = Console(highlight=False)
    console.print(
        f"stopped: {where} (kill switch {switch.kill_switch_id}, by {switch.activated_by}, "
        f"{switch.cancelled_orders} open orders cancelled{_where(switch)})",
        markup=False,
        soft_wrap=True,
    )
    if not switch.known:
        error_console.print(
            f"warning: no account has ever seen strategy {switch.target}; is that its name?",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _where(switch: KillSwitchAnswer) -> str:
    return "" if switch.shards == [0] else f", confirmed by shards {', '.join(map(str, switch.shards))}"


def _first_line(error: ValueError) -> str:
    """Return what a contract objects to, without the values."""
    if isinstance(error, ValidationError):
        entry = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in entry["loc"])
        message = str(entry["msg"]).removeprefix("Value error, ")
        return f"{where}: {message}" if where else message
    return str(error)
