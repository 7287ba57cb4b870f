"""What the workers have: their interpreter, the libraries that the format needs, and GPUs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.cli.findings import bad, ok, warn
from scorewatch.cli.words import count
from scorewatch.model.errors import ScorewatchError
from scorewatch.settings.safety import check_trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.cli.findings import Finding
    from scorewatch.settings.schema import Settings

ABOUT = "workers"
_OLDEST = (3, 9)
_PATIENCE_S = 60.0
_CROWD = 2  # workers a core that are still sensible
_NEEDED = {"parquet": ("pyarrow",)}
_USEFUL = ("pandas",)
_ASK = """
import json, sys
found = {"version": list(sys.version_info[:3]), "missing": {}}
for name in sys.argv[1:]:
    try:
        __import__(name)
    except BaseException as error:
        found["missing"][name] = "%s: %s" % (type(error).__name__, error)
print(json.dumps(found))
"""


def workers(settings: Settings) -> Iterator[Finding]:
    """Their number, their interpreter and its libraries, and who could change their code."""
    wanted, cores = settings.workers.max_concurrency_per_instance, len(os.sched_getaffinity(0))
    if wanted > _CROWD * cores:
        mend = f"[workers] max_concurrency_per_instance = {cores}"
        yield warn(ABOUT, f"{count(wanted, 'worker')} share {count(cores, 'core')}", mend)
    else:
        yield ok(ABOUT, f"{count(wanted, 'worker')} on {count(cores, 'core')}")
    yield from _code(settings)
    yield from _interpreter(settings)


def _code(settings: Settings) -> Iterator[Finding]:
    """What is missing, all of it; where nothing is, who could change what is there."""
    missing = list(_missing(settings))
    yield from missing
    if missing:
        return
    try:
        for warning in check_trust(settings):
            yield warn(ABOUT, warning, _mend(warning))
    except ScorewatchError as error:
        yield bad(ABOUT, f"{error.where}: {error.what}", error.hint)


def _missing(settings: Settings) -> Iterator[Finding]:
    deployment = settings.deployment
    parts = (
        ("the scoring script", "scoring_script", deployment.scoring_script),
        ("the code", "code", deployment.code),
        ("the model", "model", deployment.model),
    )
    for what, key, path in parts:
        if path is not None and not path.exists():
            yield bad(ABOUT, f"{path}: {what} is not there", f"correct [deployment] {key} in {settings.source}")


def _mend(warning: str) -> str:
    if warning.startswith("the inbox lies in the folder of the model"):
        return "move the model to a folder of its own, e.g. model/"
    if warning.startswith("the inbox lies in the folder of"):
        return "move the script to a folder of its own, e.g. code/"
    return "chown root, chmod go-w"


def _interpreter(settings: Settings) -> Iterator[Finding]:
    python, form = settings.deployment.python, settings.output.format
    needed = _NEEDED.get(form, ()) if settings.output.output_action == "append_row" else ()
    try:
        told = _ask(python, (*needed, *_USEFUL))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        yield bad(
            ABOUT, f"the interpreter {python} does not run: {error}", "[deployment] python = a Python 3.9 or newer"
        )
        return
    version = ".".join(map(str, told["version"]))
    if tuple(told["version"]) < _OLDEST:
        yield bad(ABOUT, f"{python} is Python {version}", "[deployment] python = a Python 3.9 or newer")
        return
    yield ok(ABOUT, f"{python} is Python {version}")
    missing = told["missing"]
    for name in needed:
        if name in missing:
            what = f'format = "{form}" needs {name}, which can\'t be imported there ({missing[name]})'
            yield bad(ABOUT, what, f"{python} -m pip install {name}")
    for name in set(_USEFUL) & set(missing):
        what = f"{name} can't be imported there, so run() can't return DataFrames ({missing[name]})"
        yield warn(ABOUT, what, f"{python} -m pip install {name}")
    if not missing:
        yield ok(ABOUT, f"{', '.join((*needed, *_USEFUL))} can be imported there")


def _ask(python: Path, names: tuple[str, ...]) -> dict[str, Any]:
    ended = subprocess.run(  # noqa: S603 - the operator's own interpreter
        [str(python), "-c", _ASK, *names],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd="/",
        timeout=_PATIENCE_S,
    )
    if ended.returncode != 0:
        raise ValueError(
            ended.stderr.decode("utf-8", "backslashreplace").strip()[-500:] or f"exit code {ended.returncode}"
        )
    told = json.loads(ended.stdout.splitlines()[-1])
    return {"version": told["version"], "missing": told["missing"]}


# ---------------------------------------------------------------- GPUs
def gpus(settings: Settings) -> Iterator[Finding]:
    """Those that the driver shows, against those that the configuration names."""
    nodes = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    cards = _cards()
    wanted = settings.workers.devices
    if not nodes and not cards:
        yield (
            bad("gpu", f"[workers] devices names {', '.join(wanted)}, and no GPU is here", "[workers] devices = []")
            if wanted
            else ok("gpu", "none is here, and none is asked for")
        )
        return
    for card in cards:
        yield ok("gpu", card)
    if not cards:
        yield warn("gpu", f"{', '.join(nodes)} are there, and nvidia-smi does not answer", "nvidia-smi")
    beyond = [device for device in wanted if device.isdigit() and int(device) >= max(len(nodes), len(cards))]
    if beyond:
        yield bad("gpu", f"[workers] devices names {', '.join(beyond)}, which are not there", "nvidia-smi -L")
    if not wanted:
        what = f"{max(len(nodes), len(cards))} GPUs are here, and every worker sees all of them"
        yield warn("gpu", what, '[workers] devices = ["0"]  (one for each worker in turn)')


def _cards() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    question = ["--query-gpu=index,name,uuid,memory.free,memory.total", "--format=csv,noheader"]
    try:
        ended = subprocess.run(  # noqa: S603 - the driver's own program
            [program, *question], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return ended.stdout.decode("utf-8", "backslashreplace").splitlines() if ended.returncode == 0 else []
