"""What is only told, on real scripts: the line is named, and nothing louder is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.diagnose.script_runs import SCRIPTS, expected
from tests.diagnose.test_scripts import VARIANTS, judge_script

TOLD = sorted((SCRIPTS / "told").glob("*.py"))
CODES = ("GS304", "GS305", "GS306", "GS408", "GS503", "GS504", "GS604")


def found(script: Path, seed: int, scale: float, tmp_path: Path) -> list[tuple[str, str, int]]:
    report = judge_script(script, seed, scale, tmp_path)
    return [
        (f.severity, f.code, f.where.source.line)
        for f in report.findings
        if f.where.source is not None and (f.code in CODES or f.severity != "info")
    ]


@pytest.mark.parametrize(("seed", "scale"), VARIANTS)
@pytest.mark.parametrize("script", TOLD, ids=lambda path: path.stem)
def test_it_is_told_at_its_line(script: Path, seed: int, scale: float, tmp_path: Path) -> None:
    label = expected(script.read_text(encoding="utf-8"))
    assert label is not None
    code, line = label
    assert found(script, seed, scale, tmp_path) == [("info", code, line)]


HEALTHY = (
    *("frozen_backbone", "layer_scale_and_lora", "prompt_tuning", "biases_only", "micro_batches"),
    *("distillation_teacher", "perceptual_loss", "momentum_teacher", "vector_quantised"),
    *("straight_through", "straight_through_gumbel", "scaled_gradient_trick", "a2c_shared_trunk"),
    *("weight_decay_by_hand", "vae_sum_loss", "dqn_target_network", "truncated_bptt", "gan"),
    *("maml_inner_loop", "two_losses_one_graph", "unfreezing_layer_by_layer", "ddpg_actor_critic"),
)


@pytest.mark.parametrize("name", HEALTHY)
def test_what_looks_alike_and_is_healthy(name: str, tmp_path: Path) -> None:
    assert found(SCRIPTS / "good" / f"{name}.py", 0, 1.0, tmp_path) == []


def test_there_are_scripts_for_every_code() -> None:
    codes = [expected(path.read_text(encoding="utf-8")) for path in TOLD]
    assert {label[0] for label in codes if label} == set(CODES)
