"""What a user may write, and what they are told when it is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.settings.load import from_table, load

LEAST = {
    "deployment": {"name": "digits", "scoring_script": "code/score.py"},
    "inbox": {"path": "inbox"},
    "output": {"path": "outbox"},
}
HOME = Path("/srv/digits/digits.toml")


def table(**sections: dict[str, object]) -> dict[str, dict[str, object]]:
    """The least table, with some keys more."""
    return {name: {**LEAST.get(name, {}), **sections.get(name, {})} for name in {**LEAST, **sections}}


def complaint(text: str, folder: Path) -> str:
    file = folder / "wrong.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ScorewatchError) as caught:
        load(file)
    assert caught.value.exit_code is ExitCode.USAGE
    told = str(caught.value)
    assert told.startswith(f"{file}: ")
    assert "pydantic" not in told.lower()
    assert "http" not in told.replace("[http]", "")
    return told.removeprefix(f"{file}: ")


def refusals(**sections: dict[str, object]) -> list[str]:
    """Every sentence about a table, without the file's name."""
    with pytest.raises(ScorewatchError) as caught:
        from_table(table(**sections), HOME)
    text = caught.value.what
    return text.splitlines()[1:] if re.match(r"\d+ problems:", text) else [text]


def test_four_keys_are_enough_and_the_rest_has_the_defaults_of_the_manual() -> None:
    settings = from_table(LEAST, HOME)
    assert (settings.source, settings.folder) == (HOME, Path("/srv/digits"))
    assert settings.deployment.scoring_script == Path("/srv/digits/code/score.py")
    assert settings.deployment.code == Path("/srv/digits/code")
    assert settings.deployment.python == Path(sys.executable)
    assert settings.deployment.model is None
    assert settings.inbox.path == Path("/srv/digits/inbox")
    assert settings.state.path == Path("/srv/digits/state")
    assert settings.output.output_file_name == "predictions.parquet"
    assert (settings.batch.mini_batch_size, settings.batch.max_bytes, settings.batch.max_wait_seconds) == (
        10,
        None,
        1.0,
    )
    assert (settings.retry_settings.max_retries, settings.retry_settings.timeout) == (3, 30.0)
    assert (settings.workers.max_concurrency_per_instance, settings.workers.grace_seconds) == (2, 60.0)
    assert settings.state.durability == "power"
    assert settings.errors.error_threshold == -1


def test_the_example_of_the_interface_is_understood_key_for_key(tmp_path: Path) -> None:
    text = """
        [deployment]
        name = "digits"
        scoring_script = "code/score.py"
        code = "code"
        model = "../models/forest"
        model_layout = "direct"
        arguments = ["--threshold", "0.5"]
        environment_variables = { OMP_NUM_THREADS = "1" }
        python = "/opt/envs/torch/bin/python"
        [inbox]
        path = "inbox"
        settle_seconds = 2
        max_file_bytes = "2 GiB"
        after = "keep"
        claim = "ledger"
        [batch]
        max_bytes = "64 MB"
        [workers]
        devices = ["0", "GPU-3f2a"]
        [output]
        path = "/var/out"
        format = "azure"
        [http]
        listen = ""
    """
    (tmp_path / "digits.toml").write_text(text)
    settings = load(tmp_path / "digits.toml")
    assert settings.deployment.model == tmp_path.parent / "models/forest"
    assert settings.deployment.arguments == ("--threshold", "0.5")
    assert settings.deployment.environment_variables == {"OMP_NUM_THREADS": "1"}
    assert settings.deployment.python == Path("/opt/envs/torch/bin/python")
    assert settings.inbox.settle_seconds == 2.0
    assert settings.inbox.max_file_bytes == 2 * 2**30
    assert settings.batch.max_bytes == 64_000_000
    assert settings.workers.devices == ("0", "GPU-3f2a")
    assert settings.output.path == Path("/var/out")
    assert settings.output.output_file_name == "predictions.csv"


@pytest.mark.parametrize(
    ("spelled", "size"),
    [("64 MB", 64 * 10**6), ("64 MiB", 64 * 2**20), ("1.5GB", 1_500_000_000), ("1 kb", 1000), (4096, 4096), ("", None)],
)
def test_a_size_is_text_with_a_unit_or_bytes(spelled: Any, size: Any) -> None:
    assert from_table(table(batch={"max_bytes": spelled}), HOME).batch.max_bytes == size


@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
def test_the_predictions_are_named_after_their_format(format_: Any) -> None:
    settings = from_table(table(output={"format": format_}), HOME)
    assert settings.output.output_file_name == f"predictions.{format_}"


def test_a_linked_inbox_stays_a_link_but_its_path_is_tidied(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "inbox").symlink_to("real")
    settings = from_table(table(inbox={"path": "./x/../inbox"}), tmp_path / "d.toml")
    assert settings.inbox.path == tmp_path / "inbox"


def test_a_model_needs_no_script() -> None:
    wanted = {"deployment": {"name": "m", "model": "model"}, "inbox": LEAST["inbox"], "output": LEAST["output"]}
    settings = from_table(wanted, HOME)
    assert settings.deployment.scoring_script is None
    assert settings.deployment.code is None


def test_secrets_in_the_environment_are_not_in_the_settings_repr() -> None:
    settings = from_table(table(deployment={"environment_variables": {"TOKEN": "canary-81"}}), HOME)
    assert "canary-81" not in repr(settings)


WRONG = [
    ("batch", {"mini_batch_sise": 4}, "unknown key [batch] mini_batch_sise; did you mean mini_batch_size?"),
    ("batch", {"mini_batch_size": "ten"}, "[batch] mini_batch_size must be a whole number, not the text 'ten'"),
    ("batch", {"mini_batch_size": 0}, "[batch] mini_batch_size must be at least 1, not the whole number 0"),
    ("batch", {"mini_batch_size": True}, "[batch] mini_batch_size must be a whole number, not true"),
    ("batch", {"max_bytes": "64 XB"}, "not the text '64 XB'"),
    ("batch", {"max_bytes": -1}, "must be a size of at least one byte"),
    ("batch", {"max_bytes": 2**63}, "below 4 EiB"),
    ("batch", {"timeout": 3}, "unknown key [batch] timeout; did you mean [retry_settings] timeout?"),
    ("batch", {"max_wait_seconds": float("nan")}, "[batch] max_wait_seconds must be a finite number"),
    ("retry_settings", {"timeout": 0}, "[retry_settings] timeout must be more than 0"),
    ("retry_settings", {"timeout": 259_201}, "[retry_settings] timeout must be at most 259200"),
    ("retry_settings", {"bisect": 1}, "[retry_settings] bisect must be true or false, not the whole number 1"),
    ("deployment", {"name": "Digits"}, "[deployment] name must be 1 to 64 characters"),
    ("deployment", {"name": "../x"}, "[deployment] name must be 1 to 64 characters"),
    ("deployment", {"name": "x" * 65}, "[deployment] name must be 1 to 64 characters"),
    ("deployment", {"python": "python3"}, "must be the path of a Python interpreter"),
    ("deployment", {"scoring_script": "~/score.py"}, "does not begin with ~"),
    ("deployment", {"scoring_script": "a\0b"}, "NUL"),
    ("deployment", {"arguments": "--x 1"}, "[deployment] arguments must be a list of texts"),
    ("deployment", {"arguments": ["--x", 1]}, "[deployment] arguments must hold texts only, not the whole number 1"),
    ("deployment", {"environment_variables": {"A": 1}}, "[deployment.environment_variables] A must be a text"),
    ("deployment", {"environment_variables": {"A=B": "1"}}, "is no name of an environment variable"),
    ("inbox", {"path": ""}, "[inbox] path must be a path, not an empty text"),
    ("inbox", {"path": 3}, "[inbox] path must be a path, as text, not the whole number 3"),
    ("inbox", {"ready_when": "marked"}, "[inbox] ready_when must be 'quiet' or 'marker', not the text 'marked'"),
    ("inbox", {"rescan_seconds": 0}, "[inbox] rescan_seconds must be at least 0.1"),
    ("inbox", {"settle_seconds": 1e9}, "[inbox] settle_seconds must be at most 2000000"),
    ("inbox", {"marker_suffix": ""}, "must be the ending of a file name"),
    ("inbox", {"after": "keep"}, '[inbox] after = "keep" needs claim = "ledger"'),
    ("inbox", {"claim": "ledger", "after": "archive"}, '[inbox] claim = "ledger" needs after = "keep"'),
    ("output", {"format": "xls"}, "[output] format must be 'parquet', 'csv', 'jsonl' or 'azure'"),
    ("output", {"output_file_name": "a/b.csv"}, "must be a plain file name without any of"),
    ("output", {"output_file_name": "a?.csv"}, "must be a plain file name without any of"),
    ("output", {"output_file_name": "_x.csv"}, "must not begin with _ or ."),
    ("output", {"output_file_name": ".x.csv"}, "must not begin with _ or ."),
    ("output", {"output_file_name": "ü" * 128}, "must be at most 255 bytes long"),
    ("output", {"schema": {"score": "doubel"}}, "gives the column 'score' the type 'doubel'"),
    ("output", {"schema": {"score": 1}}, "[output.schema] score must be a text"),
    ("output", {"schema": {"score": "double"}, "format": "azure"}, "[output.schema] has no meaning"),
    ("output", {"path": "inbox/out"}, "[inbox] path and [output] path must lie beside each other"),
    ("inbox", {"path": "outbox/in"}, "[inbox] path and [output] path must lie beside each other"),
    ("state", {"path": "inbox/state"}, "[inbox] path and [state] path must lie beside each other"),
    ("state", {"path": "outbox"}, "[output] path and [state] path must lie beside each other"),
    ("errors", {"error_threshold": -2}, "[errors] error_threshold must be at least -1"),
    ("errors", {"error_threshold": 1.5}, "[errors] error_threshold must be a whole number, not the number 1.5"),
    ("http", {"listen": "127.0.0.1:9464"}, "[http] listen is not available in this version"),
    ("inbx", {"path": "x"}, "unknown table [inbx]; did you mean [inbox]?"),
]


@pytest.mark.parametrize(
    ("section", "keys", "said"), WRONG, ids=[f"{w[0]}-{next(iter(w[1]))}-{i}" for i, w in enumerate(WRONG)]
)
def test_each_mistake_has_its_sentence(section: Any, keys: Any, said: Any) -> None:
    (sentence,) = refusals(**{section: keys})
    assert said in sentence


def test_folders_that_meet_through_a_link_are_seen(tmp_path: Path) -> None:
    (tmp_path / "outbox" / "deep").mkdir(parents=True)
    (tmp_path / "inbox").symlink_to("outbox/deep")
    with pytest.raises(ScorewatchError, match="must lie beside each other"):
        from_table(LEAST, tmp_path / "d.toml")


def test_folders_whose_names_begin_alike_are_no_conflict() -> None:
    from_table(table(output={"path": "inbox-out"}), HOME)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = complaint('[deployment]\nname = "A"\n[inbox]\npath = "in"\nrecursive = 3\n[output]\n', tmp_path)
    assert told.startswith("3 problems:\n  - [deployment] name must")
    assert "\n  - [inbox] recursive must be true or false" in told
    assert "\n  - [output] path is missing" in told


def test_missing_tables_say_what_they_need(tmp_path: Path) -> None:
    told = complaint("", tmp_path)
    assert "the table [deployment] is missing; it needs name" in told
    assert "the table [output] is missing; it needs path" in told


def test_a_scorer_is_needed(tmp_path: Path) -> None:
    told = complaint('[deployment]\nname = "a"\n[inbox]\npath = "in"\n[output]\npath = "out"\n', tmp_path)
    assert told == "[deployment] needs a scorer: scoring_script, or a model that can be scored without one"


def test_a_key_before_the_first_table_is_shown_its_place(tmp_path: Path) -> None:
    told = complaint("mini_batch_size = 4\n", tmp_path)
    assert "unknown key mini_batch_size outside of any table; did you mean [batch] mini_batch_size?" in told


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    assert "[batch] must be a table, not the whole number 3" in complaint("batch = 3\n", tmp_path)


def test_toml_that_is_none_names_the_line(tmp_path: Path) -> None:
    told = complaint("[deployment]\nname = \n", tmp_path)
    assert told.startswith("this is not TOML: ")
    assert "line 2" in told


def test_what_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    assert complaint('[deployment]\n# \udcff\nname = "a"\n', tmp_path).startswith("line 2 is not UTF-8")


def test_a_bottomless_file_is_a_sentence_too(tmp_path: Path) -> None:
    assert complaint("a = " + "[" * 100_000, tmp_path).startswith("this is not TOML: ")


def test_control_characters_of_the_file_never_reach_the_terminal(tmp_path: Path) -> None:
    told = complaint('"\\u001b[31m" = 1\n[batch]\nmax_bytes = "\\u202e\\u001b"\n', tmp_path)
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    text = '\ufeff[deployment]\nname = "a"\nmodel = "m"\n[inbox]\npath = "in"\n[output]\npath = "out"\n'
    (tmp_path / "d.toml").write_text(text)
    assert load(tmp_path / "d.toml").deployment.name == "a"


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, name: Any) -> None:
    with pytest.raises(ScorewatchError) as caught:
        load(tmp_path / name)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "Errno" not in str(caught.value)


def test_a_relative_path_of_the_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.toml").write_text('[deployment]\nname = "a"\nmodel = "m"\n[inbox]\npath = "in"\n[output]\npath = "out"\n')
    settings = load("d.toml")
    assert settings.source == Path(os.getcwd()) / "d.toml"  # noqa: PTH109 - as the code under test sees it
    assert settings.inbox.path == settings.folder / "in"


def test_reading_settings_loads_no_tables_and_no_terminal_library() -> None:
    program = (
        "import sys, scorewatch.settings.load; print(*(m for m in ('pandas', 'pyarrow', 'rich') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "kind", ["bool", "int8", "uint64", "halffloat", "float", "double", "float32", "string", "large_string", "binary",
             "date32", "date32[day]", "date64[ms]", "timestamp[us]", "duration[s]", "time32[ms]", "time64[ns]"],
)  # fmt: skip
def test_a_type_that_can_be_pinned_is_one_that_arrow_knows(kind: str) -> None:
    assert from_table(table(output={"schema": {"score": kind}}), HOME).output.pinned_schema == {"score": kind}
    assert pa.type_for_alias(kind) is not None


@pytest.mark.parametrize(
    "kind", ["", "doubel", "timestamp", "time32[ns]", "timestamp[us, tz=UTC]", "list<item: int64>"]
)
def test_a_type_that_arrow_does_not_know_by_name_cannot_be_pinned(kind: str) -> None:
    with pytest.raises(ValueError, match="alias"):
        pa.type_for_alias(kind)
    (sentence,) = refusals(output={"schema": {"score": kind}})
    assert "gives the column 'score' the type" in sentence


def test_an_inbox_that_is_never_written_keeps_its_files_without_being_asked() -> None:
    assert from_table(table(inbox={"claim": "ledger"}), HOME).inbox.claim == "ledger"
