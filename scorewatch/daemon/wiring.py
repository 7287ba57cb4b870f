"""The only place that builds things: every part of the daemon, put together, started and ended in order."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from scorewatch import __version__
from scorewatch.core.scheduler import Scheduler
from scorewatch.daemon import roots, signals
from scorewatch.daemon.archive import Archive
from scorewatch.daemon.diskwork import DiskWork
from scorewatch.daemon.effects import Effects
from scorewatch.daemon.housekeeping import Chores, Housekeeper
from scorewatch.daemon.inboxes import make_claims, make_patrol
from scorewatch.daemon.lock import Lock
from scorewatch.daemon.loop import Loop, now
from scorewatch.daemon.mailbox import Mailbox
from scorewatch.daemon.plans import device_of, plan
from scorewatch.daemon.publishing import Identity, Publishing
from scorewatch.daemon.pulse import Pulse
from scorewatch.daemon.reload import Reload, logger
from scorewatch.daemon.remains import read_remains
from scorewatch.daemon.status import StatusFile
from scorewatch.daemon.syncer import DiskThread
from scorewatch.daemon.vigil import Vigil
from scorewatch.executors import executor_class
from scorewatch.inbox.probe import ignore_lease_breaks
from scorewatch.ledger.trouble import LedgerRefusedError
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.events import RemainsFound, Role
from scorewatch.model.ids import sealed_date
from scorewatch.outbox.outbox import Outbox
from scorewatch.settings.policy import policy
from scorewatch.settings.safety import check_trust
from scorewatch.telemetry.logs import Bridge
from scorewatch.telemetry.reporter import Reporter
from scorewatch.telemetry.systemd import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from scorewatch.daemon.inboxes import AnyClaims
    from scorewatch.daemon.loop import Listener
    from scorewatch.executors.local.pool import LocalExecutor
    from scorewatch.ledger.ledger import Ledger
    from scorewatch.settings.schema import Settings

LOGS = "logs"  # in the outbox, laid out as Azure's
CLOSE_S = 10.0  # for the disk's thread to finish what was decided


def run(settings: Settings, *, once: bool = False, listeners: Sequence[Listener] = ()) -> ExitCode:
    """Run the daemon until it is asked to end, or has a reason of its own.

    Args:
        settings: of the deployment.
        once: score what is there, then end.
        listeners: overhear every event and decision.

    Raises:
        ScorewatchError: it can't be started (exit codes 2, 3, 5, 6), or can't go on (6).
    """
    log = logger(settings)
    reporter = Reporter(log)
    with ExitStack() as stack:
        _hear_libraries(log, stack)
        return _Daemon(settings, reporter, stack, once=once).run(listeners)


class _Daemon:
    """One life of the daemon."""

    def __init__(self, settings: Settings, reporter: Reporter, stack: ExitStack, *, once: bool) -> None:
        self.settings = settings
        self.reporter = reporter
        self.stack = stack
        self.once = once
        self.manager = ServiceManager()
        self.mailbox = Mailbox()
        stack.callback(self.mailbox.close)

    def run(self, listeners: Sequence[Listener]) -> ExitCode:
        """Start, turn, end."""
        self._open()
        scheduler = Scheduler(
            policy(self.settings, once=self.once), self.ledger.schema() or policy(self.settings).pinned_schema
        )
        loop, pulse = self._make_loop(scheduler, listeners)
        effects = Effects(self.executor, self.patrol, self.disk, loop.leave)
        self._take_over(loop, effects)
        try:
            loop.run(effects, pulse)
        finally:
            self._close(loop, pulse)
        if loop.broken is not None:
            raise loop.broken
        return self._farewell(loop)

    # ------------------------------------------------------------ starting
    def _open(self) -> None:
        settings = self.settings
        for warning in check_trust(settings):
            self.reporter.note("advice", message=warning)
        ignore_lease_breaks()
        roots.make_state_folder(settings)
        lock = Lock(settings.state.path, settings.deployment.name)
        self.stack.callback(lock.release)
        signals.listen(self.mailbox.post)
        self.stack.callback(signals.forget)
        self.ledger = roots.open_ledger(settings)
        self.stack.callback(self.ledger.close)
        self.roots = roots.verify(settings, self.ledger)
        self.outbox = Outbox.open(settings.output.path, settings.state.durability)
        self.claims: AnyClaims = make_claims(settings, self.roots, self.ledger)
        self.clean_stop = self.ledger.mark_running()
        self.epoch = str(self.ledger.begin_epoch())
        self.outbox.clear_all()
        self.reporter.note("service_started", version=__version__, epoch=self.epoch, once=self.once)
        self._make_executor()
        self._make_disk(self.ledger)
        self.patrol = make_patrol(settings, self.claims, self.mailbox.post, self.reporter.note, once=self.once)

    def _make_executor(self) -> None:
        settings = self.settings
        outbox = str(self.outbox.root)
        self.run_id = f"{settings.deployment.name}-{self.epoch}"
        make = executor_class(settings.workers.executor)
        self.executor: LocalExecutor = make(
            {1: plan(settings, generation=1, run_id=self.run_id)},
            epoch=self.epoch,
            outbox=outbox,
            state=str(self.roots.state),
            logs=f"{outbox}/{LOGS}",
            claims_where=self.claims.where,
        )
        self.stack.callback(self.executor.close)
        self.executor.clear_old_scratch()

    def _make_disk(self, ledger: Ledger) -> None:
        settings, post = self.settings, self.mailbox.post
        name = settings.deployment.name
        identity = Identity(deployment=name, epoch=self.epoch, device_of=lambda slot: device_of(settings, slot))
        publishing = Publishing(self.outbox, self.claims, identity, time.time)
        self.archive = Archive(
            outbox=self.outbox,
            claims=self.claims,
            publishing=publishing,
            post=post,
            clock=time.time,
            deployment=name,
        )
        self.disk = DiskThread(DiskWork(ledger, self.claims, publishing, self.archive, post), post)

    def _make_loop(self, scheduler: Scheduler, listeners: Sequence[Listener]) -> tuple[Loop, Pulse]:
        status = StatusFile(self.roots.state, self.settings.deployment.name, time.time())
        pulse = Pulse(
            scheduler=scheduler,
            executor=self.executor,
            manager=self.manager,
            status=status,
            reporter=self.reporter,
            vigil=Vigil(lambda: self.patrol.last_turn, self.mailbox.post),
        )
        reload = Reload(
            self.settings,
            run_id=self.run_id,
            once=self.once,
            set_plan=self.executor.set_plan,
            reporter=self.reporter,
            manager=self.manager,
        )
        loop = Loop(
            scheduler=scheduler,
            mailbox=self.mailbox,
            executor=self.executor,
            listeners=[self.reporter, pulse, *listeners],
            reload=reload,
        )
        self.keeper = Housekeeper(self._chores(scheduler), self.mailbox.post)
        return loop, pulse

    def _chores(self, scheduler: Scheduler) -> Chores:
        settings, files = self.settings, self.roots.files()
        return Chores(
            folders={
                Role.INBOX: self.roots.inbox,
                Role.OUTBOX: self.roots.outbox,
                Role.STATE: self.roots.state,
            },
            identities={role: (files[role], self.roots.ids[role]) for role in (Role.OUTBOX, Role.STATE)},
            min_free=settings.state.min_free,
            claims=self.claims,
            outbox=self.outbox,
            keep_done_days=settings.inbox.keep_done_days,
            keep_days=settings.output.keep_days,
            open_days=lambda: {sealed_date(batch_id) for batch_id in list(scheduler.house.floor.lives)},
            trim_logs=self.executor.trim_logs,
        )

    def _take_over(self, loop: Loop, effects: Effects) -> None:
        """Recover what an earlier daemon left; then, and only then, look for new files."""
        remains = read_remains(self.ledger, self.claims, self.outbox, clean_stop=self.clean_stop)
        self.outbox.doubt(each.batch_id for each in remains if each.output)
        self.outbox.sync()
        self.archive.begun.update(each.batch_id for each in remains)
        loop.handle(RemainsFound(remains), effects)
        self.keeper.start()
        self.disk.start()
        self.patrol.start()

    # ------------------------------------------------------------ ending
    def _close(self, loop: Loop, pulse: Pulse) -> None:
        self.keeper.close()
        self.patrol.stop()
        self.executor.close()
        ended = self.disk.close(CLOSE_S)
        self.patrol.join(CLOSE_S)
        if ended and loop.broken is None and loop.exit is not None:
            with suppress(LedgerRefusedError):  # a full disk: the next start takes it for a crash, which is harmless
                self.ledger.mark_stopped()
        pulse.write(now(), "stopped")

    def _farewell(self, loop: Loop) -> ExitCode:
        code = loop.exit.code if loop.exit else ExitCode.DONE
        message = loop.exit.message if loop.exit else ""
        if code is not ExitCode.DONE:
            raise ScorewatchError(message, where=self.settings.source, hint=_what_to_do(code), exit_code=code)
        return code


def _hear_libraries(log: FilteringBoundLogger, stack: ExitStack) -> None:
    """What libraries say through Python's logging (watchdog does) goes where everything else goes."""
    bridge = Bridge(log)
    logging.getLogger().addHandler(bridge)
    stack.callback(logging.getLogger().removeHandler, bridge)


def _what_to_do(code: ExitCode) -> str:
    if code is ExitCode.SCORER_CANNOT_LOAD:
        return "`scorewatch check CONFIG` shows the script's own traceback"
    if code is ExitCode.ERROR_THRESHOLD:
        return "`scorewatch status CONFIG` lists what failed and why"
    return "no file is lost; start the service again once the cause is gone"
