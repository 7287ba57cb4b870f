"""Which kind of claims a deployment makes, and the thread that looks after its inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from scorewatch.daemon.mailbox import broken_by
from scorewatch.inbox.claim import RenameClaims
from scorewatch.inbox.hands import PatrolRules
from scorewatch.inbox.ledger_claims import LedgerClaims
from scorewatch.inbox.patrol import Patrol
from scorewatch.inbox.permissions import probe_rename
from scorewatch.ledger.taken import TakenFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.daemon.mailbox import Letter
    from scorewatch.daemon.roots import Roots
    from scorewatch.ledger.ledger import Ledger
    from scorewatch.settings.schema import Settings

AnyClaims: TypeAlias = RenameClaims | LedgerClaims

ONCE_RESCAN_S = 0.5  # a batch job ends when a look finds nothing new: don't let it wait for that look


def make_claims(settings: Settings, roots: Roots, ledger: Ledger) -> AnyClaims:
    """The claims of a deployment.

    Raises:
        ScorewatchError: exit code 6, claims can't be made by renames here.
    """
    owner = f"{settings.deployment.name}-{roots.state_id}"
    durable = settings.state.durability == "power"
    inbox = settings.inbox
    if inbox.claim == "ledger":
        return LedgerClaims(inbox.path, TakenFiles(ledger.path))
    claims = RenameClaims(
        inbox.path,
        owner,
        durable=durable,
        after="delete" if inbox.after == "delete" else "archive",
        marker_suffix=inbox.marker_suffix if inbox.ready_when == "marker" else "",
    )
    probe_rename(inbox.path, claims.root.claims_path)
    return claims


def make_patrol(
    settings: Settings,
    claims: AnyClaims,
    post: Callable[[Letter], None],
    note: Callable[..., None],
    *,
    once: bool,
) -> Patrol:
    """The inbox's thread."""
    inbox, batch = settings.inbox, settings.batch
    ahead = 16 * settings.workers.max_concurrency_per_instance * batch.mini_batch_size
    rules = PatrolRules(
        include=tuple(inbox.include),
        exclude=tuple(inbox.exclude),
        recursive=inbox.recursive,
        ready_when=inbox.ready_when,
        marker_suffix=inbox.marker_suffix,
        settle_s=inbox.settle_seconds,
        incomplete_s=inbox.incomplete_seconds,
        rescan_s=min(inbox.rescan_seconds, ONCE_RESCAN_S) if once else inbox.rescan_seconds,
        max_file_bytes=inbox.max_file_bytes,
        sizes=batch.max_bytes is not None,
        flood=8 * batch.mini_batch_size,
        offer_limit=max(ahead, 1024),
    )
    return Patrol(
        rules,
        claims,
        post,
        notice=lambda message: note("polling", message=message),
        crashed=lambda error: post(broken_by(error)),
    )
