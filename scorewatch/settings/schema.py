"""Every key of the configuration, declared once: its type, unit, default and reason.

The manual, the sample file and the JSON schema are generated from here (`settings.describe`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, field_validator

from scorewatch.settings import values
from scorewatch.settings.deployment import Deployment  # noqa: TC001 - pydantic reads the annotation when it runs
from scorewatch.settings.section import Section, key, seconds

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

LONGEST_TIMEOUT_S = 259_200  # Azure's: three days

_FILE_NAMES = {
    "parquet": "predictions.parquet",
    "csv": "predictions.csv",
    "jsonl": "predictions.jsonl",
    "azure": "predictions.csv",
}


class Inbox(Section):
    """Where files arrive, and when they count as whole."""

    path: values.Location = key(..., "The folder that is watched.", example='"inbox"')
    include: values.Texts = key(["*"], "Only names that match one of these patterns are taken (`*`, `?`, `[a-z]`).")
    exclude: values.Texts = key(
        [],
        "Names that match one of these are left alone, besides the temporary names that always are.",
        example='["*.log"]',
    )
    recursive: bool = key(True, "Whether files in sub-folders are taken too.")  # noqa: FBT003 - the default's value
    ready_when: Literal["quiet", "marker"] = key(
        "quiet",
        "`quiet`: nobody has the file open for writing any more. `marker`: a second file, `<name><marker_suffix>`, "
        "says that it is whole; the only way to know that where uploads break off.",
    )
    marker_suffix: values.MarkerEnding = key(".done", "The ending of a marker's name.")
    settle_seconds: float = seconds(
        0.0,
        "How long a file must have been left alone. None is needed where the kernel can say who is writing (a local "
        "file system); where it can't, at least 2.0 is used.",
    )
    incomplete_seconds: float = seconds(
        3600.0,
        "A file that is still not whole after this long is skipped, and listed: nothing waits for ever.",
        gt=0,
    )
    max_file_bytes: values.Size = key(
        "",
        "A file larger than this is skipped, and listed. By default any size is taken.",
        unit="bytes",
        example='"2 GB"',
    )
    keep_done_days: int = key(
        30,
        "How long scored files are kept in `done/`: a month to look something up. 0: for ever.",
        unit="days",
        ge=0,
        le=36_500,
    )
    rescan_seconds: float = seconds(
        30.0,
        "The whole folder is read this often even if no event came: events can be lost, the folder can't lie.",
        ge=0.1,
    )
    after: Literal["archive", "delete", "keep"] = key(
        "archive",
        'What becomes of a scored file: moved to `done/`, deleted, or left (which needs `claim = "ledger"`).',
    )
    claim: Literal["rename", "ledger"] = key(
        "rename",
        "How a file is taken: by renaming it, or, for an inbox that may not be written, by a row in the ledger.",
    )


class Batch(Section):
    """When a mini-batch is full."""

    mini_batch_size: int = key(
        10, "At most so many files for one `run()`; 10 is Azure's default.", unit="files", ge=1, le=values.MOST_FILES
    )
    max_bytes: values.Size = key(
        "",
        "At most so many bytes for one `run()`; a single larger file is a batch of its own. By default no limit.",
        unit="bytes",
        example='"64 MB"',
    )
    max_wait_seconds: float = seconds(
        1.0,
        "A batch that isn't full is scored this long after its first file came; later files never extend it.",
    )


class Workers(Section):
    """Who scores."""

    max_concurrency_per_instance: int = key(
        2,
        "How many worker processes are kept, each with the model loaded and memory of its own: 2 suit a small box.",
        unit="workers",
        ge=1,
        le=1024,
    )
    executor: Literal["local"] = key("local", "Where workers run: as processes of this machine.")
    devices: values.Texts = key(
        [],
        "`CUDA_VISIBLE_DEVICES` of each worker in turn, in PCI order. By default workers see what scorewatch sees.",
        example='["0", "GPU-3f2a8c1e"]',
    )
    init_timeout: float = seconds(
        600.0, "How long `init()` may take; large models load slowly.", gt=0, le=LONGEST_TIMEOUT_S
    )
    grace_seconds: float = seconds(
        60.0,
        "How long running batches may go on after SIGTERM. Keep it below the unit's `TimeoutStopSec`.",
        le=LONGEST_TIMEOUT_S,
    )


class RetrySettings(Section):
    """What happens to a batch that fails."""

    max_retries: int = key(
        3,
        "How often a batch is tried again after its first try; 3 is Azure's default. After a split each "
        "half has one try.",
        unit="retries",
        ge=0,
        le=1000,
    )
    timeout: float = seconds(
        30.0,
        "How long one `run()` may take before its worker is killed; 30 is Azure's default.",
        gt=0,
        le=LONGEST_TIMEOUT_S,
    )
    bisect: bool = key(
        True,  # noqa: FBT003 - the default's value
        "Whether a batch whose tries are used up is halved until the guilty file is alone, so that one bad file "
        "costs no other.",
    )


class Output(Section):
    """Where predictions go, and in what form."""

    path: values.Location = key(..., "The folder that readers look into.", example='"outbox"')
    output_action: Literal["append_row", "summary_only"] = key(
        "append_row",
        "`append_row`: what `run()` returns is written. `summary_only`: only what the script wrote itself, and the "
        "summary.",
    )
    format: Literal["parquet", "csv", "jsonl", "azure"] = key(
        "parquet", "`azure` is what Azure writes, to the byte: no header, spaces between the columns."
    )
    output_file_name: values.OutputName = key(
        "",
        "The name of a batch's file of predictions. By default `predictions.` and the format's ending.",
        example='"predictions.parquet"',
    )
    keep_days: int = key(
        0,
        "How long outputs are kept. 0: for ever, since only their reader knows when they are read.",
        unit="days",
        ge=0,
        le=36_500,
    )
    per_file: bool = key(
        False,  # noqa: FBT003 - the default's value
        "Whether `run()` is called with one file at a time inside the batch, so that each row names its file, and an "
        "exception costs one file only. Slower for models that gain from batches.",
    )
    pinned_schema: Annotated[dict[str, str], AfterValidator(values.column_types)] = key(
        {},
        "Columns whose type is fixed from the start, by Arrow's names. By default the first value seen decides, which "
        "is wrong where whole numbers come before fractions.",
        example='{ score = "double" }',
        alias="schema",
    )

    @field_validator("output_file_name")
    @classmethod
    def _named_after_the_format(cls, name: str, info: ValidationInfo) -> str:
        return name or _FILE_NAMES[info.data.get("format", "parquet")]


class Errors(Section):
    """When to give up."""

    error_threshold: int = key(
        -1,
        "More failed files than this since start end the service with exit code 4. -1: never.",
        unit="files",
        ge=-1,
        le=10**12,
    )
    breaker_batches: int = key(
        10,
        "When so many batches in a row failed, with no success between them, nothing more is claimed for a while: a "
        "broken model must not set a million good files aside. 0: never.",
        unit="batches",
        ge=0,
        le=values.MOST_FILES,
    )


class State(Section):
    """What scorewatch remembers."""

    path: values.Location = key("state", "The folder of the ledger and the lock; on a local disk.")
    durability: Literal["power", "process"] = key(
        "power",
        "What the promise outlives: a power cut, or only the death of processes, which is faster.",
    )
    min_free: values.Size = key(
        "",
        "While less than this is free on the disks of inbox, outbox or state, nothing is claimed. By default only a "
        "full disk stops the work.",
        unit="bytes",
        example='"1 GB"',
    )


class Logging(Section):
    """What is said, to standard error."""

    logging_level: Literal["debug", "info", "warning"] = key("info", "The least important lines that are written.")
    format: Literal["auto", "console", "json"] = key("auto", "`auto`: readable on a terminal, JSON elsewhere.")


class Http(Section):
    """A status page; not available in this version."""

    listen: str = key(
        "", "The address of the status page, such as `127.0.0.1:9464`. Not available in this version: leave it empty."
    )


class Settings(BaseModel):
    """One deployment, as its configuration file describes it; paths are absolute."""

    model_config = Section.model_config

    deployment: Deployment
    inbox: Inbox
    batch: Batch = Batch()
    workers: Workers = Workers()
    retry_settings: RetrySettings = RetrySettings()
    output: Output
    errors: Errors = Errors()
    state: State = Field(default_factory=dict, validate_default=True)  # made last: its path needs the folder
    logging: Logging = Logging()
    http: Http = Http()

    _source: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 - pydantic's signature
        """Remember which file this was read from."""
        self._source = (context or {}).get("source") or Path.cwd() / "scorewatch.toml"

    @property
    def source(self) -> Path:
        """The absolute path of the configuration file."""
        return self._source

    @property
    def folder(self) -> Path:
        """The folder that relative paths are relative to."""
        return self._source.parent
