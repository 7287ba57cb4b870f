"""What a script finds around it, like in Azure: environment, sys.argv, folders, logs; and how its process ends."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import resource
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from .failures import CannotLoadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .orders import Deployment

PR_SET_PDEATHSIG = 1
OOM_SCORE = 500  # the kernel should take a worker before the daemon
STDERR = 2
CRASHED = 70  # exit code of a worker that met a bug of its own


def tie_to_parent() -> None:
    """Die with the daemon even in a call that never comes back; end now if it is gone already."""
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def settle_process() -> None:
    """Let the kernel prefer us when memory runs out, dump stacks on a crash, and survive lease breaks."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(OOM_SCORE))
    with contextlib.suppress(ValueError, OSError):
        faulthandler.enable(file=STDERR)
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            # Names of files that are no UTF-8 must not make print() raise.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr] # TextIO in name only


@contextlib.contextmanager
def stacks_before(timeout_s: float) -> Iterator[None]:
    """Have the stacks written to stderr shortly before `timeout_s` is over: the daemon kills at that moment."""
    after = timeout_s - 1 if timeout_s > 2 else timeout_s * 0.5  # noqa: PLR2004 - a second is too much of two
    with contextlib.suppress(ValueError, OSError, RuntimeError, OverflowError):
        faulthandler.dump_traceback_later(max(after, 0.001), file=STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def crash() -> NoReturn:
    """End this process at once, with the traceback of the exception that is handled."""
    flush()
    with contextlib.suppress(Exception):
        os.write(STDERR, traceback.format_exc().encode("utf-8", "backslashreplace"))
    os._exit(CRASHED)


def flush() -> None:
    """Get the script's last words into its log files."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def furnish(deployment: Deployment, out: str) -> None:
    """Set cwd, environment and sys.argv for the script."""
    os.chdir(deployment.scratch)
    os.environ.update({str(k): str(v) for k, v in deployment.environment_variables.items()})
    os.environ["AZUREML_BI_OUTPUT_PATH"] = out
    os.environ["AZUREML_RUN_ID"] = deployment.run_id or deployment.deployment
    os.environ["AZUREML_NODE_COUNT"] = "1"
    os.environ.pop("AZUREML_MODEL_DIR", None)
    if deployment.model:
        os.environ["AZUREML_MODEL_DIR"] = _model_folder(deployment, deployment.model)
    sys.argv = ["driver/amlbi_main.py", *azure_flags(deployment, out), *deployment.arguments]
    _log_to_stdout(deployment.logging_level)


def _model_folder(deployment: Deployment, model: str) -> str:
    if not os.path.exists(model):
        raise CannotLoadError(f"the model does not exist: {model}")
    if deployment.model_layout == "direct":
        return model if os.path.isdir(model) else os.path.dirname(model)
    # Nothing else lies in it: scripts take the first hit of a glob.
    folder = os.path.join(deployment.scratch, ".azureml-model")
    os.makedirs(folder, exist_ok=True)
    os.symlink(model, os.path.join(folder, os.path.basename(model.rstrip(os.sep))))
    return folder


def azure_flags(deployment: Deployment, out: str) -> list[str]:
    """The flags of Azure's own driver; scripts parse some of them."""
    flags: dict[str, Any] = {
        "scoring_module_name": deployment.script,
        "mini_batch_size": deployment.mini_batch_size,
        "error_threshold": deployment.error_threshold,
        "output_action": deployment.output_action,
        "logging_level": deployment.logging_level.upper(),
        "run_invocation_timeout": deployment.run_invocation_timeout,
        "run_max_try": deployment.run_max_try,
        "create_snapshot_at_runtime": True,
        "output": out,
    }
    if deployment.appends_rows:
        flags["append_row_file_name"] = deployment.append_row_file_name or deployment.output_file_name
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]


class _ToStdout(logging.Handler):
    """Writes to whatever sys.stdout is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - logging must not break the script
            self.handleError(record)


def _log_to_stdout(level: str) -> None:
    # As the handler of last resort: a script that configures logging by itself finds the root logger bare.
    handler = _ToStdout()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.lastResort = handler
    logging.getLogger().setLevel(getattr(logging, level.upper(), logging.INFO))


def rss_bytes() -> int:
    """Memory in use now."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def peak_rss_bytes() -> int:
    """The most memory that was ever in use."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
