"""What is found of a journal and its checkpoints, by themselves and side by side."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.core.chain import Row
from services.risk.core.checkpoints import (
    Checkpoint,
    DurableTip,
    Finding,
    FindingKind,
    contradiction,
    is_due,
    sign_next,
)
from tests.unit.risk.checkpoint_samples import (
    KEY,
    KEYS,
    OTHER_KEY,
    START,
    checkpoints,
    journal,
    read_all,
    rehashed,
    tip_of,
    walk,
)

pytestmark = pytest.mark.unit

ROWS = journal(20)
SIGNED = checkpoints(ROWS, [3, 8, 9, 17])
LINES = [each.line() for each in SIGNED]


def test_what_was_signed_is_sound() -> None:
    assert read_all(LINES) == SIGNED
    for page in (1, 2, 7, 100):
        assert walk(ROWS, SIGNED, recorded=20, page=page) is None
        assert walk(ROWS, SIGNED, page=page) is None
    assert walk(ROWS[:17], SIGNED, recorded=17) is None


def kind_of(found: object) -> tuple[FindingKind, int]:
    assert isinstance(found, Finding)
    assert str(found.number) in str(found)
    return found.kind, found.number


class TestCheckpointsAmongThemselves:
    @given(number=st.integers(0, len(LINES) - 1), data=st.data())
    def test_any_altered_byte_is_found_and_named(self, number: int, data: st.DataObject) -> None:
        line = bytearray(LINES[number])
        place = data.draw(st.integers(0, len(line) - 1))
        line[place] = data.draw(st.integers(0, 255).filter(lambda value: value != line[place]))
        found = read_all([*LINES[:number], bytes(line), *LINES[number + 1 :]])
        kind, where = kind_of(found)
        assert kind in {FindingKind.ALTERED_CHECKPOINT, FindingKind.UNKNOWN_KEY}
        assert where == number + 1

    @pytest.mark.parametrize("name", sorted(Checkpoint.model_fields))
    def test_another_value_in_any_field_is_found(self, name: str) -> None:
        value = getattr(SIGNED[1], name)
        if isinstance(value, int):
            other: object = value + 1
        elif isinstance(value, str):
            other = value[:-1] + ("0" if value[-1] != "0" else "1")
        else:
            other = value + timedelta(microseconds=1)
        line = SIGNED[1].model_copy(update={name: other}).line()
        assert line != LINES[1]
        expected = FindingKind.UNKNOWN_KEY if name == "key_id" else FindingKind.ALTERED_CHECKPOINT
        assert kind_of(read_all([LINES[0], line])) == (expected, 2)

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"{}",
            b"null",
            b"\xff\xfe",
            b"[" * 100_000,
            LINES[1] + b" ",
            b" " + LINES[1],
            LINES[1].replace(b'"number":2', b'"number":2.0'),
            LINES[1].replace(b'"number":2', b'"number":"2"'),
            LINES[1].replace(b'"number":2', b'"number":9,"number":2'),
            LINES[1][:-1] + b',"more":1}',
            LINES[1].replace(b":", b": ", 1),
            LINES[1].replace(SIGNED[1].signature.encode(), SIGNED[1].signature.upper().encode()),
            LINES[1].replace(b"123456Z", b"123456+00:00"),
            LINES[1][: len(LINES[1]) // 2],
        ],
    )
    def test_another_spelling_is_not_what_was_written(self, line: bytes) -> None:
        assert line != LINES[1]
        assert kind_of(read_all([LINES[0], line])) == (FindingKind.ALTERED_CHECKPOINT, 2)

    @given(missing=st.integers(0, len(LINES) - 2))
    def test_a_missing_one_is_named(self, missing: int) -> None:
        assert kind_of(read_all(LINES[:missing] + LINES[missing + 1 :])) == (
            FindingKind.MISSING_CHECKPOINT,
            missing + 1,
        )

    def test_one_that_stands_twice_is_found(self) -> None:
        assert kind_of(read_all([*LINES[:2], LINES[1]])) == (FindingKind.ALTERED_CHECKPOINT, 3)

    def test_another_key_is_named(self) -> None:
        found = read_all([each.line() for each in checkpoints(ROWS, [3, 8], OTHER_KEY)])
        assert kind_of(found) == (FindingKind.UNKNOWN_KEY, 1)
        assert OTHER_KEY.key_id in str(found)

    def test_a_key_that_passes_for_another_is_found(self) -> None:
        forged = checkpoints(ROWS, [3], OTHER_KEY)[0].model_copy(update={"key_id": KEY.key_id})
        assert kind_of(read_all([forged.line()])) == (FindingKind.ALTERED_CHECKPOINT, 1)

    def test_two_keys_can_be_known(self) -> None:
        first = checkpoints(ROWS, [3])
        second = sign_next(first[0], tip_of(ROWS[9]), START, OTHER_KEY)
        keys = {**KEYS, OTHER_KEY.key_id: OTHER_KEY.public}
        assert read_all([first[0].line(), second.line()], keys) == [first[0], second]

    def test_two_signed_files_put_together_are_found(self) -> None:
        others = checkpoints(journal(20, "another journal"), [4, 8, 10])
        assert kind_of(read_all([*LINES[:2], others[2].line()])) == (FindingKind.ALTERED_CHECKPOINT, 3)

    @pytest.mark.parametrize(
        "tip", [DurableTip(8, ROWS[7].hash, 2), DurableTip(7, ROWS[6].hash, 2), DurableTip(9, "0" * 64, 0)]
    )
    def test_a_signed_one_of_no_later_row_or_of_an_older_epoch_is_found(self, tip: DurableTip) -> None:
        last = sign_next(SIGNED[0], DurableTip(8, ROWS[7].hash, 1), START, KEY)
        made = sign_next(last, tip, START, KEY)
        assert kind_of(read_all([LINES[0], last.line(), made.line()])) == (FindingKind.ALTERED_CHECKPOINT, 3)


class TestBesideTheJournal:
    @given(seq=st.integers(1, 20), name=st.sampled_from(Row._fields), data=st.data())
    def test_any_altered_value_of_a_row_is_found_and_named(self, seq: int, name: str, data: st.DataObject) -> None:
        row = ROWS[seq - 1]
        value = getattr(row, name)
        if value is None:
            other: object = ""
        elif isinstance(value, int):
            other = value ^ (1 << data.draw(st.integers(0, 40)))
        elif isinstance(value, str):
            place = data.draw(st.integers(0, len(value) - 1))
            letter = data.draw(st.sampled_from('0aZ é漢\n"').filter(lambda new: new != value[place]))
            other = value[:place] + letter + value[place + 1 :]
        else:
            other = value + timedelta(microseconds=data.draw(st.sampled_from([-1, 1])))
        rows = [*ROWS[: seq - 1], row._replace(**{name: other}), *ROWS[seq:]]
        kind, number = kind_of(walk(rows, SIGNED, recorded=20))
        assert kind is FindingKind.JOURNAL_BROKEN
        # A row that claims another place is named by the place it claims.
        assert number == (other if name == "seq" else seq)

    @given(seq=st.integers(1, 20), data=st.data())
    def test_a_rewrite_with_all_hashes_recomputed_is_found_wherever_it_is_signed(
        self, seq: int, data: st.DataObject
    ) -> None:
        change = data.draw(st.sampled_from([{"body": "{}"}, {"epoch": 77}, {"account_id": "x"}, {"ts": START}]))
        rows = rehashed(ROWS, seq, **change)
        assert walk(rows, []) is None
        signed_after = [each.journal_seq for each in SIGNED if each.journal_seq >= seq]
        found = walk(rows, SIGNED, recorded=20)
        if signed_after:
            assert kind_of(found) == (FindingKind.JOURNAL_REWRITTEN, signed_after[0])
        else:
            assert found is None

    def test_a_rewrite_says_how_far_the_journal_is_what_was_signed(self) -> None:
        assert "up to row 9" in str(walk(rehashed(ROWS, 12, body="{}"), SIGNED))
        assert "up to row" not in str(walk(rehashed(ROWS, 1, body="{}"), SIGNED))

    @given(end=st.integers(0, 16))
    def test_a_cut_tail_is_found(self, end: int) -> None:
        for recorded in (20, None):
            assert kind_of(walk(ROWS[:end], SIGNED, recorded)) == (FindingKind.JOURNAL_CUT, end + 1)

    @given(end=st.integers(17, 19))
    def test_a_tail_cut_after_the_newest_checkpoint_is_found_by_the_count(self, end: int) -> None:
        assert kind_of(walk(ROWS[:end], SIGNED, 20)) == (FindingKind.JOURNAL_CUT, end + 1)

    @given(end=st.integers(0, 16))
    def test_an_old_backup_is_found(self, end: int) -> None:
        found = walk(ROWS[:end], SIGNED, recorded=end)
        assert kind_of(found) == (FindingKind.OLD_BACKUP, end + 1)
        assert "checkpoint 4" in str(found)

    @given(end=st.integers(0, 16))
    def test_an_old_backup_that_was_written_on_is_found(self, end: int) -> None:
        rows = journal(25 - end, "another day", after=ROWS[:end])
        first = next(each.journal_seq for each in SIGNED if each.journal_seq > end)
        assert kind_of(walk(rows, SIGNED, recorded=25)) == (FindingKind.JOURNAL_REWRITTEN, first)

    @given(missing=st.integers(1, 19))
    def test_missing_rows_are_found(self, missing: int) -> None:
        rows = ROWS[: missing - 1] + ROWS[missing:]
        assert kind_of(walk(rows, SIGNED, recorded=20)) == (FindingKind.JOURNAL_BROKEN, missing + 1)


class TestWhatTheWriterAsks:
    def test_it_is_due_by_rows_by_time_and_at_the_first_row(self) -> None:
        minute = timedelta(minutes=1)
        last, now = SIGNED[0], SIGNED[0].ts
        assert not is_due(None, DurableTip(0, "0" * 64, 1), now, 10, minute)
        assert is_due(None, DurableTip(1, "1" * 64, 1), now, 10, minute)
        assert not is_due(last, DurableTip(12, "1" * 64, 1), now, 10, minute)
        assert is_due(last, DurableTip(13, "1" * 64, 1), now, 10, minute)
        assert is_due(last, DurableTip(4, "1" * 64, 1), now + minute, 10, minute)
        assert not is_due(last, DurableTip(3, "1" * 64, 1), now + 9 * minute, 10, minute)
        assert is_due(last, DurableTip(4, "1" * 64, 1), now - minute, 10, minute), "a clock that was set back"

    def test_a_journal_that_is_not_what_was_signed_is_named(self) -> None:
        last, tip = SIGNED[1], tip_of(ROWS[11])
        assert contradiction(None, tip, None, tip.hash) is None
        assert contradiction(None, DurableTip(0, "0" * 64, 1), None, None) is None
        assert contradiction(last, tip, last.journal_hash, tip.hash) is None
        for problem, words in (
            (contradiction(last, tip_of(ROWS[6]), None, ROWS[6].hash), "old backup"),
            (contradiction(last, tip, "0" * 64, tip.hash), "journal rewritten"),
            (contradiction(last, tip, None, tip.hash), "journal rewritten"),
            (contradiction(last, tip, last.journal_hash, "0" * 64), "no longer holds"),
            (contradiction(None, tip, None, None), "no longer holds"),
        ):
            assert words in (problem or "")
