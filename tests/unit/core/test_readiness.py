"""Names and looks: what is an input, and when it is whole."""

from __future__ import annotations

import pytest

from scorewatch.core.readiness import (
    CANDIDATE,
    EMPTY_SETTLE_S,
    POLL_SETTLE_S,
    READY,
    Ignore,
    Lease,
    Look,
    Marker,
    NameRules,
    Orphan,
    Quiet,
    Readiness,
    Story,
    Verdict,
    Wait,
    remember,
)
from scorewatch.model.files import Observation, RefusalReason


def seen(size: int = 10, mtime: int = 1, ctime: int = 1) -> Observation:
    return Observation("a", size, mtime, ctime, 1, 7)


def tell(readiness: Readiness, *looks: Look) -> list[Verdict]:
    story: Story | None = None
    verdicts = []
    for look in looks:
        story = remember(story, look)
        verdicts.append(readiness.judge(story, look.at))
    return verdicts


# ---------------------------------------------------------------- names
@pytest.mark.parametrize(
    "name",
    [
        ".hidden", "a.tmp", "a.part", "a.filepart", "a.crdownload", "a.swp", "a~", ".nfs0001", ".~lock.a#",
        ".scorewatch/claim/a", "sub/.git/a", "sub/.a", "..x",
    ],
)  # fmt: skip
def test_names_of_what_is_still_written_are_always_ignored(name: str) -> None:
    assert isinstance(NameRules().judge_name(name), Ignore)


@pytest.mark.parametrize(
    "name", ["a", "a.csv", "sub/a", "-rf", "a\nb", "\udcff", "tmp", "x.tmp.csv", "=cmd", "x" * 255]
)
def test_any_other_name_is_a_candidate(name: str) -> None:
    assert NameRules().judge_name(name) is CANDIDATE


def test_patterns_match_the_base_name_or_the_whole_path() -> None:
    rules = NameRules(include=["*.csv", "raw/*"], exclude=["*-draft.csv", "old/*"])
    kept = [n for n in ("a.csv", "b/a.csv", "raw/a.bin", "a.bin", "a-draft.csv", "b/a-draft.csv", "old/a.csv")
            if rules.judge_name(n) is CANDIDATE]  # fmt: skip
    assert kept == ["a.csv", "b/a.csv", "raw/a.bin"]
    assert rules.judge_name("old/a.csv") == Ignore("old/*")
    assert rules.judge_name("a.bin") == Ignore("include")
    assert rules.judge_name("a.part") == Ignore("*.part")


def test_temporary_names_can_have_any_pattern() -> None:
    rules = NameRules(temporary=["upload-*", "*.x[0-9]"])
    assert [rules.judge_name(n) is CANDIDATE for n in ("upload-1", "a.x3", "a.tmp")] == [False, False, True]


# ---------------------------------------------------------------- with a lease
def test_a_quiet_file_is_ready_at_the_first_look() -> None:
    assert tell(Quiet(), Look(5.0, seen(), Lease.QUIET)) == [READY]


def test_a_busy_file_waits_longer_each_time_up_to_a_second() -> None:
    looks = [Look(float(t), seen(), Lease.BUSY) for t in range(8)]
    pauses = [v.until - look.at for v, look in zip(tell(Quiet(), *looks), looks, strict=True) if isinstance(v, Wait)]
    assert pauses[:3] == pytest.approx([0.05, 0.1, 0.2])
    assert pauses[-1] == 1.0


def test_settling_starts_again_when_a_writer_comes_back() -> None:
    quiet = Quiet(settle_s=3.0)
    verdicts = tell(
        quiet,
        Look(0.0, seen(), Lease.QUIET),
        Look(2.0, seen(), Lease.BUSY),
        Look(2.5, seen(), Lease.QUIET),
        Look(4.0, seen(), Lease.QUIET),
        Look(5.5, seen(), Lease.QUIET),
    )
    assert verdicts[0] == Wait(3.0)
    assert verdicts[2] == Wait(5.5)
    assert verdicts[3] == Wait(5.5)
    assert verdicts[4] is READY


def test_settling_starts_again_when_only_ctime_changed() -> None:
    verdicts = tell(Quiet(settle_s=1.0), Look(0.0, seen(), Lease.QUIET), Look(1.0, seen(ctime=2), Lease.QUIET))
    assert verdicts[1] == Wait(2.0)


def test_an_empty_file_gets_time_to_be_filled_and_is_refused_then() -> None:
    first, filled = tell(Quiet(), Look(0.0, seen(0), Lease.QUIET), Look(1.9, seen(5, 2, 2), Lease.QUIET))
    assert (first, filled) == (Wait(EMPTY_SETTLE_S), READY)
    _, second = tell(Quiet(), Look(0.0, seen(0), Lease.QUIET), Look(2.0, seen(0), Lease.QUIET))
    assert isinstance(second, Ignore)
    assert second.reason is RefusalReason.EMPTY


def test_what_is_never_whole_is_given_up() -> None:
    quiet = Quiet(incomplete_s=10.0)
    _, before, after = tell(quiet, *(Look(t, seen(), Lease.BUSY) for t in (0.0, 9.9, 10.0)))
    assert isinstance(before, Wait)
    assert isinstance(after, Ignore)
    assert after.reason is RefusalReason.NEVER_COMPLETED


# ---------------------------------------------------------------- without
def test_without_a_lease_one_look_is_never_enough() -> None:
    looks = [Look(0.0, seen(), Lease.NONE), Look(1.0, seen(), Lease.NONE), Look(POLL_SETTLE_S, seen(), Lease.NONE)]
    assert tell(Quiet(), *looks) == [Wait(POLL_SETTLE_S), Wait(POLL_SETTLE_S), READY]


@pytest.mark.parametrize("change", [seen(size=11), seen(mtime=2), seen(ctime=2)])
def test_without_a_lease_any_change_starts_the_time_again(change: Observation) -> None:
    looks = [Look(0.0, seen(), Lease.NONE), Look(2.0, change, Lease.NONE), Look(3.0, change, Lease.NONE)]
    assert tell(Quiet(), *looks)[1:] == [Wait(4.0), Wait(4.0)]


def test_without_a_lease_a_file_that_always_grows_is_given_up() -> None:
    looks = [Look(float(t), seen(size=t + 1), Lease.NONE) for t in range(12)]
    last = tell(Quiet(incomplete_s=11.0), *looks)[-1]
    assert isinstance(last, Ignore)
    assert last.reason is RefusalReason.NEVER_COMPLETED


def test_a_longer_settle_time_holds_without_a_lease_too() -> None:
    looks = [Look(0.0, seen(), Lease.NONE), Look(4.0, seen(), Lease.NONE), Look(5.0, seen(), Lease.NONE)]
    assert tell(Quiet(settle_s=5.0), *looks)[1:] == [Wait(5.0), READY]


# ---------------------------------------------------------------- markers
def test_a_marked_file_is_ready_and_an_unmarked_one_waits_for_its_marker() -> None:
    marker = Marker(incomplete_s=10.0)
    assert tell(marker, Look(0.0, seen(), Lease.QUIET, marked=True)) == [READY]
    first, last = tell(marker, Look(0.0, seen(), Lease.QUIET), Look(10.0, seen(), Lease.QUIET))
    assert isinstance(first, Wait)
    assert isinstance(last, Ignore)
    assert last.reason is RefusalReason.NEVER_COMPLETED


def test_a_writer_overrules_a_marker_and_an_empty_marked_file_is_refused_at_once() -> None:
    marker = Marker()
    assert isinstance(tell(marker, Look(0.0, seen(), Lease.BUSY, marked=True))[0], Wait)
    verdict = tell(marker, Look(0.0, seen(0), Lease.QUIET, marked=True))[0]
    assert isinstance(verdict, Ignore)
    assert verdict.reason is RefusalReason.EMPTY


def test_a_marker_is_known_by_its_suffix() -> None:
    marker = Marker(suffix=".ok")
    assert [marker.marks(n) for n in ("a.ok", "s/a.csv.ok", "a.csv", ".ok", "s/.ok")] == [
        "a", "s/a.csv", None, None, None]  # fmt: skip


def test_a_marker_without_its_file_is_listed_in_the_end() -> None:
    orphan = Orphan(incomplete_s=5.0)
    first, last = tell(orphan, *(Look(t, Observation("a.done"), Lease.QUIET, marked=True) for t in (0.0, 5.0)))
    assert isinstance(first, Wait)
    assert isinstance(last, Ignore)
    assert last.reason is RefusalReason.ORPHAN_MARKER
