"""A batch's id: when its claim directory was made, and 80 random bits; never a counter.

`20261122T213741Z-8f0c2a6b1d3e4f5a6b7c` is a batch; its halves are `…7ca` and `…7cb`, theirs `…7caa`.
A counter that started again after a lost ledger would make new files look committed.
"""

from __future__ import annotations

import re

ENTROPY_BYTES = 10
_ROOT_LENGTH = len("20261122T213741Z-") + 2 * ENTROPY_BYTES
_PATTERN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{20}[ab]*")


def make(stamp: str, entropy: bytes) -> str:
    """The id of a new batch.

    Args:
        stamp: UTC date and time, as `20261122T213741Z`.
        entropy: exactly ten random bytes.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a batch id takes {ENTROPY_BYTES} random bytes, not {len(entropy)}")
    return f"{stamp}-{entropy.hex()}"


def is_batch_id(name: str) -> bool:
    """Whether a directory of this name can be a batch's."""
    return _PATTERN.fullmatch(name) is not None


def sealed_date(batch_id: str) -> str:
    """The day in the id, as `2026-11-22`: the output's folder, the same whenever it is asked."""
    return f"{batch_id[:4]}-{batch_id[4:6]}-{batch_id[6:8]}"


def halves(batch_id: str) -> tuple[str, str]:
    """The ids of the two halves of a batch: derived, so that a split can be finished after a crash."""
    return batch_id + "a", batch_id + "b"


def root_of(batch_id: str) -> str:
    """The id of the batch that this one was split from at first; its own, if it never was."""
    return batch_id[:_ROOT_LENGTH]


def parent_of(batch_id: str) -> str | None:
    """The id of the batch that this one is a half of, or None."""
    return batch_id[:-1] if len(batch_id) > _ROOT_LENGTH else None
