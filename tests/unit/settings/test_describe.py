"""The generated manual, sample and schema say what the declarations say, and are up to date."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tomli

from scorewatch.settings import describe
from scorewatch.settings.load import from_table
from scorewatch.settings.problems import keys_of
from scorewatch.settings.schema import Settings

CHECKOUT = Path(__file__).parents[3]
HOME = Path("/srv/digits/digits.toml")


def uncommented() -> dict[str, dict[str, object]]:
    return tomli.loads(re.sub(r"^#(\w+ = )", r"\1", describe.sample(), flags=re.MULTILINE))


@pytest.mark.parametrize("name", sorted(describe.pages()))
def test_what_is_generated_is_up_to_date(name: str) -> None:
    written = (CHECKOUT / name).read_text(encoding="utf-8")
    assert written == describe.pages()[name], "run `python -m scorewatch.settings.describe`"


def test_the_pages_are_written_where_they_belong(tmp_path: Path) -> None:
    describe.main([str(tmp_path)])
    assert (tmp_path / "config/scorewatch.toml").read_text() == describe.sample()
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


def test_the_sample_loads_as_it_is() -> None:
    settings = from_table(tomli.loads(describe.sample()), HOME)
    assert settings.deployment.name == "digits"
    assert settings.batch.mini_batch_size == 10


def test_the_sample_shows_every_key() -> None:
    shown = uncommented()
    assert {section: set(keys) for section, keys in shown.items()} == {
        section: set(keys_of(section)) for section in Settings.model_fields
    }


def test_every_value_that_the_sample_shows_is_accepted() -> None:
    from_table(uncommented(), HOME)


def test_a_default_that_the_sample_shows_is_the_default() -> None:
    """Whatever isn't merely an example can be uncommented without changing anything."""
    plain = from_table(tomli.loads(describe.sample()), HOME)
    shown = from_table(uncommented(), HOME)
    examples = {"code", "model", "arguments", "environment_variables", "python", "exclude", "max_file_bytes",
                "max_bytes", "devices", "pinned_schema", "min_free"}  # fmt: skip
    for section, model in Settings.model_fields.items():
        assert model.annotation is not None
        for name in model.annotation.model_fields.keys() - examples:
            assert getattr(getattr(plain, section), name) == getattr(getattr(shown, section), name), name


def test_the_manual_has_a_row_with_a_reason_for_every_key() -> None:
    manual = describe.manual()
    for section in Settings.model_fields:
        chapter = manual.partition(f"## [{section}]\n")[2].partition("\n## ")[0]
        for key in keys_of(section):
            row = re.search(rf"^\| `{key}` \| (.+) \| (.*) \| (.+) \|$", chapter, flags=re.MULTILINE)
            assert row, f"[{section}] {key}"
            assert row[3].endswith((".", ")."))
            assert "None" not in row[0].split("|")[2]


def test_the_schema_knows_every_key_and_which_are_needed() -> None:
    schema = json.loads(json.dumps(describe.json_schema()))
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert set(schema["required"]) == {"deployment", "inbox", "output"}
    for section in Settings.model_fields:
        reference = schema["properties"][section]
        name = (reference.get("$ref") or reference["allOf"][0]["$ref"]).rsplit("/", 1)[1]
        assert set(schema["$defs"][name]["properties"]) == set(keys_of(section))
        assert schema["$defs"][name]["additionalProperties"] is False


def test_nothing_of_this_machine_is_in_what_is_generated() -> None:
    for text in describe.pages().values():
        assert str(CHECKOUT) not in text
        assert ".venv" not in text
