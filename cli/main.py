"""The `keelson` command: each subcommand is imported when it is used."""

import os
from collections.abc import Callable
from importlib import import_module

import typer

app = typer.Typer(
    name="keelson",
    help="Keelson: risk and operations backbone for systematic trading.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with the values of variables could show a token.
    pretty_exceptions_show_locals=False,
)

# What follows the name belongs to the subcommand, its --help too.
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_COMMANDS = (
    ("up", "cli.up", "up", "Start the whole suite and replay market data through it."),
    ("down", "cli.up", "down", "Stop the suite that runs from this folder."),
    ("status", "cli.status", "status", "Show the suite live in the terminal."),
    ("health", "cli.health", "health", "Check each service and what it depends on."),
    ("network", "cli.network_command", "network", "Diagnose how each source of market data is reached."),
    ("ingest", "cli.ingest_command", "ingest_command", "Take a folder of market data in."),
    ("replay", "cli.replay_command", "replay_command", "Replay market data through the suite."),
    ("train", "cli.train", "train_command", "Train the signal model and make it champion."),
    ("kill", "cli.operations", "kill", "Stop an account, a strategy, a symbol or the firm."),
    ("emergency-stop", "cli.operations", "emergency_stop", "Stop the whole firm."),
    ("release", "cli.operations", "release", "Release a kill switch."),
    ("verify", "cli.operations", "verify", "Prove that risk's journal is whole and unchanged."),
    ("journal", "cli.journal_command", "journal", "Export the journal, prove it offline, make its signing key."),
    ("keys", "cli.keys", "keys", "Create, list and revoke API keys."),
    ("migrate", "cli.migrate", "migrate", "Bring the database to the newest schema."),
    ("nginx", "cli.nginx", "nginx", "Write how nginx finds the shards of risk."),
    ("compile", "cli.compile_core", "compile_core", "Make machine code of the risk core."),
    ("openapi", "cli.openapi", "openapi", "Write docs/openapi from the code."),
    ("configuration", "cli.configuration", "configuration", "Write docs/configuration.md from the settings."),
    ("denials", "cli.denials", "denials", "Write docs/denial-reasons.md from the codes."),
    ("data-quality", "cli.data_quality", "data_quality", "Write docs/data-quality.md from the catalogue of checks."),
    ("calendars", "cli.calendars", "calendars", "Write the schedules of markets out of exchange_calendars."),
    ("scorecard", "cli.scorecard", "scorecard", "Write docs/quality-scorecard.md from the fault corpus."),
    ("roles", "cli.roles", "roles", "Write docs/roles.md from the routes."),
)


def _lazy(name: str, module: str, attribute: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        target = getattr(import_module(module), attribute)
        if not isinstance(target, typer.Typer):
            function, target = target, typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
            target.command(name)(function)
        target(args=context.args, prog_name=f"keelson {name}")

    return run


for _name, _module, _attribute, _help in _COMMANDS:
    app.command(_name, help=_help, context_settings=_PASS_ON)(_lazy(_name, _module, _attribute))


@app.command()
def version() -> None:
    """Print the version."""
    from shared.version import VERSION

    typer.echo(f"keelson {VERSION}")


if __name__ == "__main__":
    # Databases, keys, logs and models are nobody else's: files 0640 at most, for all that is started from here too.
    # A folder may still be passed through: as root, PostgreSQL runs as another user in one below.
    os.umask(os.umask(0o077) | 0o026)
    app(prog_name="keelson")
