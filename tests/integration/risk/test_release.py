"""`keelson release` where another admin must confirm it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app as keelson
from services.risk.main import create
from services.risk.settings import RiskSettings
from shared.api_keys import create_key
from shared.clients import RiskClient
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens, serving
from tests.integration.risk.client import RiskClient as Plain
from tests.integration.risk.client import order, until

pytestmark = pytest.mark.integration
Auth = Callable[[Role], dict[str, str]]


async def test_a_release_that_was_only_asked_for_does_not_look_like_one(
    make_settings: MakeSettings, auth: Auth, tokens: Tokens, tmp_path: Path
) -> None:
    app = create(make_settings(RiskSettings, four_eyes=True))
    keys = {"ann": tokens.by_role[Role.ADMIN], "bob": create_key(tokens.file, "bob", Role.ADMIN)}
    for name, key in keys.items():
        (tmp_path / name).write_text(key)
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
        risk = Plain(http, auth, app)
        await until(risk.ready)
        await risk.set_up()

        async def release(name: str, who: str) -> Result:
            options = ["--reason", "over", "--url", url, "--token-file", str(tmp_path / who)]
            return await asyncio.to_thread(CliRunner().invoke, keelson, ["release", name, *options])

        stop = await risk.ok("POST", "/emergency-stop", {"reason": "drill"}, Role.ADMIN)
        name = stop["kill_switch_id"]
        asked = await release(name, "ann")
        assert asked.exit_code == 3, asked.output
        assert asked.stdout.startswith("asked for, not released: FIRM stays stopped until another admin")
        assert "asked for by test-admin" in asked.stdout
        assert (await risk.ok("POST", "/accounts/main/orders", order("o1")))["decision"] == "DENIED"
        again = await release(name, "ann")
        assert (again.exit_code, "another admin must confirm it" in again.stderr) == (1, True)
        confirmed = await release(name, "bob")
        assert (confirmed.exit_code, confirmed.stdout) == (0, f"released: FIRM (kill switch {name}, by bob)\n")
        assert (await risk.ok("POST", "/accounts/main/orders", order("o2")))["decision"] == "APPROVED"

        def from_python() -> None:
            with RiskClient(url, keys["ann"]) as ann, RiskClient(url, keys["bob"]) as bob:
                switch = ann.emergency_stop("drill").kill_switch_id
                waits = ann.deactivate_kill_switch(switch, "over")
                assert (waits.released_at, waits.release_requested_by) == (None, "test-admin")
                assert bob.deactivate_kill_switch(switch, "over").released_at is not None

        await asyncio.to_thread(from_python)
