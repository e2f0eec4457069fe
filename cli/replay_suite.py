"""Start the suite for one replay, where none runs."""

from collections.abc import Sequence

from cli.client import CommandError, api_client, error_console, own_key_file
from cli.paths import var_folder
from cli.supervisor.children import ChildFailedError
from cli.supervisor.lock import AlreadyRunningError
from cli.supervisor.run import StartError, StoppedError, Suite
from cli.train import has_champion, train
from cli.training.publish import PublishError
from shared.embedded import EmbeddedServerError
from shared.roles import Role
from shared.settings import SettingsError

_INTERRUPTED = 130
_FAILED = 1


def replay_in_own_suite(arguments: Sequence[str]) -> int:
    """Run `keelson replay` with these arguments in a suite started for it; return its exit code."""
    try:
        suite = Suite(var_folder(), "127.0.0.1", 0, _say)
    except (AlreadyRunningError, StartError, OSError) as error:
        _say(str(error))
        return _FAILED
    try:
        _say("no suite runs here: starting one for this replay")
        suite.start()
        _train_if_missing(suite.url)
        return suite.wait(suite.job("replay", *arguments))
    except StoppedError:
        return _INTERRUPTED
    except (ChildFailedError, CommandError, EmbeddedServerError, PublishError, SettingsError, StartError) as error:
        _say(str(error))
        return _FAILED
    finally:
        suite.stop()


def _train_if_missing(url: str) -> None:
    with api_client(url, own_key_file(Role.ADMIN)) as client:
        if not has_champion(client):
            _say("training the signal model")
            train(client=client)


def _say(text: str) -> None:
    error_console.print(text, markup=False, soft_wrap=True)
