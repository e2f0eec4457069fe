"""Identifiers of a replay fit the contracts and name one thing each."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from cli.replay.names import account_id, fresh_simulation_id, order_id, prediction_id, simulation_id_problem
from shared.schemas.base import Identifier
from shared.schemas.orders import Side
from strategies.signal import Signal

pytestmark = pytest.mark.unit

IDENTIFIER = TypeAdapter(Identifier)
AT = datetime(2024, 12, 2, 9, 31, tzinfo=UTC)


def signal(symbol: str = "BTCUSDT", strategy_id: str = "ma_crossover", at: datetime = AT) -> Signal:
    return Signal(strategy_id, symbol, Side.BUY, at, Decimal(1), {}, "calm", "why")


def test_ids_are_readable_and_the_same_every_time() -> None:
    assert order_id(signal()) == "ma_crossover-BTCUSDT-20241202T093100"
    assert prediction_id("demo-1", order_id(signal())) == "demo-1:ma_crossover-BTCUSDT-20241202T093100"
    assert account_id("demo-1", "USDT") == "demo-1.usdt"


@pytest.mark.parametrize("symbol", ["A" * 32, "AB/CD", "A:B.C-D_E"])
@pytest.mark.parametrize("simulation", ["s", "s" * 48])
def test_ids_of_long_names_fit_the_contract_and_stay_apart(symbol: str, simulation: str) -> None:
    strategy = "s" * 40
    names = [
        order_id(signal(symbol, strategy, AT)),
        order_id(signal(symbol, strategy, AT.replace(second=1))),
    ]
    predictions = [prediction_id(simulation, name) for name in names]
    for name in (*names, *(f"{name}.1" for name in names), *predictions, account_id(simulation, "A" * 10)):
        IDENTIFIER.validate_python(name)
    assert len(set(names)) == len(set(predictions)) == 2


def test_a_fresh_simulation_id_is_a_valid_one() -> None:
    name = fresh_simulation_id(AT, "ab12")
    assert name == "replay-20241202T093100Z-ab12"
    assert simulation_id_problem(name) is None


@pytest.mark.parametrize("text", ["", "a b", "-a", "é", "a/b", "a:b", "s" * 49])
def test_a_text_that_cannot_name_a_simulation_is_refused(text: str) -> None:
    assert simulation_id_problem(text)
