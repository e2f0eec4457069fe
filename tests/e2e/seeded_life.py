"""Print the last hash of the journal of one account's long life: `… -m tests.e2e.seeded_life poor|rich SEED STEPS`."""

import sys
from decimal import Decimal
from random import Random

from services.risk.compiled import compiled
from services.risk.core.chain import Tip, link
from services.risk.core.commands import SetInstruments, SetScenarios
from shared.schemas.instruments import ScenarioSet
from tests.unit.risk.desk import DUST, EURUSD, START, Desk, wide
from tests.unit.risk.life_samples import SCOPES, TRADED
from tests.unit.risk.test_properties_life import Life

_STATUSES = ("CANCELLED", "EXPIRED", "REJECTED")


def step(life: Life, draw: Random) -> None:
    """Do one thing of those a life is made of."""
    symbol, tick, number = draw.choice(sorted(TRADED)), draw.randint(-40, 40), draw.randint(0, 30)
    match draw.choices(range(10), (40, 12, 10, 10, 8, 10, 2, 2, 1, 5))[0]:
        case 0:
            life.orders([(symbol, draw.random() < 0.5, draw.randint(1, 250), tick, draw.randint(0, 15))])
        case 1:
            life.fill(number, draw.randint(1, 4), tick, draw.randint(-20, 90))
        case 2:
            life.close(number, draw.choice(_STATUSES))
        case 3:
            life.mark({symbol: draw.randint(85, 118)}, draw.randint(-100, 100))
        case 4:
            life.amend(number, draw.randint(1, 16), tick, draw.randint(0, 4), draw.choice("yn "))
        case 5:
            life.exit(symbol, draw.randint(1, 250), draw.randint(0, 4), draw.random() < 0.5)
        case 6:
            life.cash(draw.choice((-1, 1)) * draw.randint(1, 40_000))
        case 7:
            life.switch(draw.randrange(len(SCOPES)))
        case 8:
            life.adopt({symbol: draw.randint(-80, 80)}, draw.randint(-50_000, 50_000))
        case _:
            life.wait(draw.randint(1, 120))
            life.reset()


def poor(seed: int, steps: int) -> tuple[Desk, Tip]:
    """Live with every kind of thing there is to do."""
    life, draw = Life(), Random(seed)
    for _ in range(steps):
        step(life, draw)
        life.the_books_agree()
    return life.desk, life.tip


def rich(seed: int, steps: int) -> tuple[Desk, Tip]:
    """Trade amounts of more digits than a float has, near the limits, value at risk and shortfall among them.

    Not so large that their units are beyond the whole numbers of a machine: those machine code computes as Python does.
    """
    draw = Random(seed)
    limits = wide(
        max_position_fraction=0.3,
        max_gross_exposure=0.9,
        max_net_exposure=0.8,
        max_turnover=300,
        max_var_fraction=0.0061,
        max_expected_shortfall_fraction=0.0073,
        max_messages_per_second=3,
        max_message_burst=5,
        max_mark_age_seconds=3,
        max_order_quantity=Decimal("98765.1234567891"),
        price_collar_bps=77,
    )
    desk, tip = Desk(limits, "98765432.1098765432"), Tip()
    desk.send(SetInstruments((DUST, EURUSD), "ada"))
    prices = {"DUST": Decimal("77.0000000003"), "STOCK": Decimal(100), "EURO": Decimal(10), "EUR/USD": Decimal("1.1")}
    desk.mark(**prices)
    symbols = ("DUST", "STOCK", "EURO")
    returns = {symbol: [draw.gauss(0, 0.01) for _ in range(250)] for symbol in symbols}
    desk.send(SetScenarios(ScenarioSet(name="drawn", returns=returns), "ada"))
    for _ in range(steps):
        symbol, side = draw.choice(symbols), draw.choice(("BUY", "SELL"))
        quantity = Decimal(draw.randint(1, 10**15)) / 10**10 if symbol == "DUST" else draw.randint(1, 10**5)
        decision = desk.order(side, quantity, symbol)
        most = decision.max_quantity
        if most:
            decision = desk.order(side, most, symbol)
        if decision.decision == "APPROVED":
            desk.fill(decision, most or quantity, prices[symbol], "0.0000000007")
        if draw.random() < 0.3:
            prices[symbol] += Decimal(draw.randint(-50, 50)) / 100
        if draw.random() < 0.9:
            desk.mark(**prices)
        desk.later(draw.random() * 3)
    for each in desk.journal:
        row = link(tip, each, START, 1)
        tip = Tip(row.seq, row.hash)
    return desk, tip


def main(how: str, seed: int, steps: int) -> None:
    """Live, and print what is left of it: how it was decided, rows, approvals, codes of denials, the last hash."""
    desk, tip = {"poor": poor, "rich": rich}[how](seed, steps)
    verdicts = [each.decided.verdict for each in desk.account.orders.values()]
    codes = sorted({broken.code.value for verdict in verdicts for broken in verdict.broken})
    how_decided = "compiled" if compiled() else "interpreted"
    print(how_decided, tip.seq, sum(each.approved for each in verdicts), *codes, tip.hash)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
