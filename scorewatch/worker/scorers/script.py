"""A scoring script as Azure's users write it: init() once, run(mini_batch) many times, shutdown() at the end."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any, Callable

from ..failures import CannotLoadError, describe
from ..scoring import BatchContext, FileList

if TYPE_CHECKING:
    from types import ModuleType

    from ..orders import Deployment
    from ..scoring import Batch

CONTEXT_NAMES = frozenset({"context", "ctx", "mini_batch_context", "minibatch_context"})


class ScriptScorer:
    """Loads the script by its dotted name below the code root, as Azure's driver does, and calls its functions.

    `async def run` (and init) is a superset of Azure's: it is run to its end on one event loop of the worker's.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._module: ModuleType | None = None
        self._run: Callable[..., Any] = _no_run
        self._takes_context = False
        self._sha256 = ""
        self._loop: asyncio.AbstractEventLoop | None = None

    def load(self) -> None:
        """Import the script and call its init(). Raises CannotLoadError."""
        path = find_script(self._deployment.code, self._deployment.script)
        with open(path, "rb") as file:
            self._sha256 = hashlib.sha256(file.read()).hexdigest()
        self._module = import_script(self._deployment.code, path)
        run = getattr(self._module, "run", None)
        if not callable(run):
            raise CannotLoadError("the scoring script has no run(mini_batch)")
        self._run, self._takes_context = run, takes_context(run)
        self._init(getattr(self._module, "init", None))

    def _init(self, init: Any) -> None:
        if not callable(init):
            return
        try:
            self._finish(init())
        except SystemExit as error:
            raise CannotLoadError(f"init() of the scoring script called sys.exit({error.code!r})") from error
        except BaseException as error:
            raise CannotLoadError(f"init() of the scoring script raised {describe(error)}") from error

    def score(self, batch: Batch) -> Any:
        """Hand absolute paths to run(); may raise anything that the script raises."""
        mini_batch = FileList(batch.paths(), batch.index)
        if self._takes_context:
            return self._finish(self._run(mini_batch, BatchContext(batch.index)))
        return self._finish(self._run(mini_batch))

    def model(self) -> str:
        """The path of the model, as configured."""
        return self._deployment.model or ""

    def script_sha256(self) -> str:
        """The hash of the script's file as it was when it was loaded."""
        return self._sha256

    def shutdown(self) -> None:
        """Tell the script that there is no more work."""
        shutdown = getattr(self._module, "shutdown", None)
        if callable(shutdown):
            self._finish(shutdown())

    def _finish(self, result: Any) -> Any:
        if not inspect.iscoroutine(result):
            return result
        if self._loop is None:  # one for all calls: sessions and locks of the script belong to it
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(result)


def _no_run(*_: Any) -> Any:
    raise CannotLoadError("the scoring script was not loaded")


def find_script(code: str, script: str) -> str:
    """The script's absolute path; `script` is relative to `code`, absolute, or a dotted module name."""
    path = os.path.join(code, script)
    if os.path.isfile(path):
        return os.path.abspath(path)
    dotted = os.path.join(code, script.replace(".", os.sep) + ".py")
    if os.path.isfile(dotted):
        return os.path.abspath(dotted)
    if os.path.isfile(path + ".py"):
        return os.path.abspath(path + ".py")
    raise CannotLoadError(f"the scoring script does not exist: {path}")


def import_script(code: str, path: str) -> ModuleType:
    """Import the file at `path` with the code root first on sys.path (its own folder, if it lies outside)."""
    root = os.path.abspath(code) if code else os.path.dirname(path)
    relative = os.path.relpath(path, root)
    if relative.startswith(os.pardir + os.sep):
        root, relative = os.path.dirname(path), os.path.basename(path)
    sys.path.insert(0, root)
    importlib.invalidate_caches()
    try:
        return _import_by_name(relative, path)
    except SyntaxError as error:
        where = f"{os.path.basename(error.filename or path)}, line {error.lineno}"
        raise CannotLoadError(f"the scoring script has a syntax error in {where}: {error.msg}") from error
    except SystemExit as error:
        raise CannotLoadError(f"the scoring script called sys.exit({error.code!r}) at import") from error
    except BaseException as error:
        raise CannotLoadError(f"the scoring script could not be imported: {describe(error)}") from error


def _import_by_name(relative: str, path: str) -> ModuleType:
    parts = os.path.splitext(relative)[0].split(os.sep)
    dotted = ".".join(parts)
    if not any("." in part for part in parts):
        try:
            module = importlib.import_module(dotted)
        except ModuleNotFoundError as error:
            if error.name is None or not (dotted + ".").startswith(error.name + "."):
                raise
        else:
            found = getattr(module, "__file__", None)
            if found and os.path.exists(found) and os.path.samefile(found, path):
                return module
    # Its name is no module name, or a module that is loaded already has it (`queue.py`, `code/score.py`).
    return _import_by_path(parts[-1], path)


def _import_by_path(stem: str, path: str) -> ModuleType:
    name = stem.replace(".", "_")
    if name in sys.modules:
        name = "scoring_script_" + name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(path))
    spec.loader.exec_module(module)
    return module


def takes_context(run: Callable[..., Any]) -> bool:
    """Whether run() wants a second argument: required, or optional and named like Azure's."""
    try:
        parameters = inspect.signature(run).parameters.values()
    except (TypeError, ValueError):  # some callables written in C have none
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    if len(required) > 2 or any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):  # noqa: PLR2004 - the mini-batch and its context
        raise CannotLoadError(f"run() must take (mini_batch) or (mini_batch, context), not {inspect.signature(run)}")
    if not positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise CannotLoadError(f"run() must take the mini-batch: `def run(mini_batch)`, not {inspect.signature(run)}")
    return len(required) == 2 or (len(positional) > 1 and positional[1].name in CONTEXT_NAMES)  # noqa: PLR2004 - as above
