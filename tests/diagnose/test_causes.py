from __future__ import annotations

from collections.abc import Mapping

from gradscope.diagnose import diagnose
from gradscope.diagnose.causes import Link, under_their_causes
from gradscope.model.finding import Finding
from tests.diagnose.traces import INF, NAN, gradients, history_trace, parameter, updates


def found(
    code: str, first: int, evidence: Mapping[str, float | int | str] | None = None
) -> Finding:
    return Finding(code, code.lower(), "error", "", steps=(first, 99), evidence=evidence or {})


def tree(findings: tuple[Finding, ...]) -> list[object]:
    """Codes, with consequences as nested lists behind them."""
    told: list[object] = []
    for finding in findings:
        told.append(finding.code)
        if finding.consequences:
            told.append(tree(finding.consequences))
    return told


def test_trends_after_a_nan_follow_from_it() -> None:
    findings = [found("GS101", 12), found("GS201", 10), found("GS102", 11)]
    assert tree(under_their_causes(findings)) == ["GS201", ["GS101", "GS102"]]


def test_trends_before_a_nan_do_not() -> None:
    findings = [found("GS201", 10, {"singular": 1}), found("GS101", 0)]
    assert tree(under_their_causes(findings)) == ["GS201", "GS101"]


def test_a_nan_after_an_explosion_follows_from_it() -> None:
    assert tree(under_their_causes([found("GS201", 10), found("GS102", 3)])) == ["GS102", ["GS201"]]


def test_a_nan_at_a_pole_has_its_own_cause() -> None:
    findings = [found("GS201", 10, {"singular": 1}), found("GS102", 3)]
    assert tree(under_their_causes(findings)) == ["GS201", "GS102"]


def test_accumulation_explains_growth_over_steps_but_not_along_the_depth() -> None:
    growth, depth = found("GS102", 20, {"growth": 1e9}), found("GS102", 20, {"decades": 8})
    assert tree(under_their_causes([growth, found("GS401", 1)])) == ["GS401", ["GS102"]]
    assert tree(under_their_causes([depth, found("GS401", 1)])) == ["GS102", "GS401"]


def test_what_saturates_in_a_divergence_follows_from_it() -> None:
    growth, depth = found("GS102", 3, {"growth": 1e9}), found("GS102", 3, {"decades": 8})
    assert tree(under_their_causes([found("GS101", 8), growth])) == ["GS102", ["GS101"]]
    assert tree(under_their_causes([found("GS101", 0), growth])) == ["GS101", "GS102"]
    assert tree(under_their_causes([found("GS101", 8), depth])) == ["GS101", "GS102"]


def test_updates_too_large_or_small_for_another_reason() -> None:
    large, small = found("GS409", 3, {"direction": "too large"}), found("GS409", 3)
    assert tree(under_their_causes([small, found("GS108", 3)])) == ["GS108", ["GS409"]]
    assert tree(under_their_causes([large, found("GS407", 3)])) == ["GS407", ["GS409"]]
    assert tree(under_their_causes([small, found("GS407", 3)])) == ["GS409", "GS407"]


def test_three_generations() -> None:
    findings = [found("GS201", 30), found("GS102", 20, {"growth": 1e9}), found("GS401", 1)]
    assert tree(under_their_causes(findings)) == ["GS401", ["GS102", ["GS201"]]]


def test_links_in_a_circle_lose_nothing() -> None:
    def always(a: Finding, b: Finding) -> bool:
        return True

    links = [Link("A", "B", always), Link("B", "C", always), Link("C", "A", always)]
    findings = [found("A", 0), found("B", 0), found("C", 0)]
    assert tree(under_their_causes(findings, links)) == ["C", ["A", ["B"]]]
    assert tree(under_their_causes([found("A", 0)], [Link("A", "A", always)])) == ["A"]


def test_a_replaced_layer_explains_what_is_idle_and_what_is_forgotten() -> None:
    stale = found("GS404", 0, {"optimizer": "SGD"})
    idle, other = found("GS301", 0, {"optimizer": "SGD"}), found("GS301", 0, {"optimizer": "Adam"})
    forgotten = found("GS403", 0, {"reason": "stale"})
    assert tree(under_their_causes([idle, forgotten, stale])) == ["GS404", ["GS301", "GS403"]]
    assert tree(under_their_causes([other, stale])) == ["GS301", "GS404"]


def test_a_scale_explains_strong_clipping_only_while_it_is_in_the_gradients() -> None:
    clipped = found("GS406", 0)
    scaled = found("GS407", 0, {"order": "before unscale_"})
    assert tree(under_their_causes([clipped, scaled])) == ["GS407", ["GS406"]]
    early = found("GS407", 0, {"order": "before backward"})
    assert tree(under_their_causes([clipped, early])) == ["GS406", "GS407"]


def test_a_clip_by_nan_comes_after_the_gradient_or_before_the_next_one() -> None:
    clip = found("GS204", 5)
    assert tree(under_their_causes([clip, found("GS201", 5)])) == ["GS201", ["GS204"]]
    assert tree(under_their_causes([clip, found("GS201", 6)])) == ["GS204", ["GS201"]]


def test_a_learning_rate_explains_a_loss_that_rises() -> None:
    findings = [found("GS605", 0), found("GS409", 0)]
    assert tree(under_their_causes(findings)) == ["GS409", ["GS605"]]
    findings = [*findings, found("GS102", 0, {"growth": 1e9})]
    assert tree(under_their_causes(findings)) == ["GS102", ["GS605", "GS409"]]


def test_a_scaler_skips_what_is_not_finite_anyway() -> None:
    skipped, tiny = found("GS108", 0, {"skipped": 9}), found("GS108", 0, {"tiny_fraction": 0.5})
    assert tree(under_their_causes([skipped, found("GS201", 0)])) == ["GS201", ["GS108"]]
    assert tree(under_their_causes([tiny, found("GS201", 0)])) == ["GS108", "GS201"]


def test_nothing_in_nothing_out() -> None:
    assert under_their_causes([]) == ()


def test_a_whole_run_reads_as_one_story() -> None:
    norms = [1.0] * 20 + [10.0 ** (3 * i) for i in range(1, 10)] + [INF, NAN]
    losses = [1.0] * 20 + [10.0 ** (3 * i) for i in range(1, 10)] + [INF, NAN]
    trace = history_trace(norms, losses)
    stale = parameter(gradient=gradients(norms), update=updates([1] * 31, list(range(31))))
    report = diagnose(type(trace)(steps=trace.steps, updates=trace.updates, parameters=(stale,)))
    assert tree(report.findings) == ["GS401", ["GS102", ["GS201"]]]
