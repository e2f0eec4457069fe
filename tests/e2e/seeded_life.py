"""Print the newest hash of the journal of one account's long life: `python -m tests.e2e.seeded_life SEED STEPS`."""

import sys
from random import Random

from services.risk.compiled import compiled
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


def main(seed: int, steps: int) -> None:
    """Live, and print what is left of it: how it was decided, how many rows, the last one's hash."""
    life, draw = Life(), Random(seed)
    for _ in range(steps):
        step(life, draw)
        life.the_books_agree()
    approved = sum(each.decided.verdict.approved for each in life.desk.account.orders.values())
    print("compiled" if compiled() else "interpreted", life.tip.seq, approved, life.tip.hash)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
