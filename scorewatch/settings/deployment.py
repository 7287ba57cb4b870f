"""The keys of `[deployment]`: what scores the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, field_validator

from scorewatch.settings import values
from scorewatch.settings.section import Section, key

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core.core_schema import ValidationInfo


class Deployment(Section):
    """What scores the files."""

    name: values.DeploymentName = key(..., "Names the lock, the logs and the metrics.", example='"digits"')
    scoring_script: values.OptionalLocation = key(
        "",
        "The Python file with `init()` and `run(mini_batch)`; leave it out for an MLflow or ONNX model.",
        example='"code/score.py"',
    )
    code: values.OptionalLocation = key(
        "",
        "Put first on the workers' `sys.path`. By default the script's folder, so that it finds what lies beside it.",
        example='"code"',
    )
    model: values.OptionalLocation = key(
        "",
        "The model's file or folder. The script sees it as `$AZUREML_MODEL_DIR/<its base name>`.",
        example='"model"',
    )
    model_layout: Literal["parent", "direct"] = key(
        "parent",
        "With `direct`, `AZUREML_MODEL_DIR` is the model's folder itself; most scripts written for Azure expect its "
        "parent.",
    )
    arguments: values.Texts = key(
        [], "`sys.argv` of the script, after Azure's own flags.", example='["--threshold", "0.5"]'
    )
    environment_variables: Annotated[dict[str, str], AfterValidator(values.variables)] = key(
        {},
        "Set in the workers before anything is imported. For secrets use the service manager's credentials instead: "
        "this file is no place for them.",
        example='{ OMP_NUM_THREADS = "1" }',
        repr=False,
    )
    python: values.Interpreter = key(
        "",
        "The workers' interpreter (Python 3.9 or newer), so that a model can bring its own environment. By default "
        "scorewatch's own.",
        example='"/opt/envs/torch/bin/python"',
    )

    @field_validator("code")
    @classmethod
    def _beside_the_script(cls, code: Path | None, info: ValidationInfo) -> Path | None:
        script: Path | None = info.data.get("scoring_script")
        return code or (script.parent if script else None)
