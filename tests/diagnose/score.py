"""Scores the rules on scripts with and without faults: ``python -m tests.diagnose.score``.

Every script runs in nine variants (three seeds, three scales of its loss). A script that is faulty
says so on the line to blame, ``# expect: GS401``; one that does not is healthy. Any folder of such
scripts will do: ``--scripts DIR``.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

from gradscope.diagnose import diagnose
from gradscope.diagnose.registry import registered_rules
from gradscope.model.finding import Finding
from tests.diagnose.script_runs import SCRIPTS, expected, run, variant

SEEDS = (0, 1, 2)
SCALES = (1.0, 1e-4, 1e5)
RECALL, PRECISION, LOCATED, SHARE = 0.95, 0.98, 0.90, 0.05


@dataclass(frozen=True)
class Outcome:
    """One script in one variant.

    Attributes:
        script: Its name.
        expected: The code and line it announces; None for a healthy one.
        told: Code, severity and line of every finding that is not a consequence.
        script_s: Seconds that the script itself took, without capture and torch's import.
        rules_s: Seconds that the diagnosis took.
        broken: What it raised, when it raised.
    """

    script: str
    expected: tuple[str, int] | None
    told: tuple[tuple[str, str, int | None], ...] = ()
    script_s: float = 0.0
    rules_s: float = 0.0
    broken: str = ""

    @property
    def detected(self) -> bool:
        """Whether the announced code is among the findings."""
        return self.expected is not None and self.expected[0] in {code for code, *_ in self.told}

    @property
    def located(self) -> bool:
        """Whether it is, at the announced line."""
        return self.expected in [(code, line) for code, _, line in self.told]

    @property
    def false_alarms(self) -> list[str]:
        """Codes of warnings and errors that nobody announced."""
        wanted = self.expected[0] if self.expected else ""
        return [code for code, severity, _ in self.told if severity != "info" and code != wanted]


@dataclass
class Score:
    """Sums over outcomes, of one rule or of all."""

    scripts: int = 0
    detected: int = 0
    located: int = 0
    false_alarms: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Detected over announced."""
        return self.detected / self.scripts if self.scripts else 1.0

    @property
    def precision(self) -> float:
        """Detected over all that was told as a warning or error."""
        told = self.detected + self.false_alarms
        return self.detected / told if told else 1.0

    @property
    def located_share(self) -> float:
        """At the announced line over detected."""
        return self.located / self.detected if self.detected else 1.0


def judge(script: Path, seed: int, scale: float, folder: str) -> Outcome:
    """Runs and judges one script in one variant."""
    text = script.read_text(encoding="utf-8")
    label = expected(text)
    try:
        with redirect_stdout(io.StringIO()):
            trace = run(variant(text, seed, scale), os.path.join(folder, script.name))
    except Exception as error:
        return Outcome(script.stem, label, broken=f"{type(error).__name__}: {error}")
    started = perf_counter()
    report = diagnose(trace)
    spent = perf_counter() - started
    own = (trace.overhead.total_ns - trace.overhead.own_ns) / 1e9
    return Outcome(script.stem, label, tuple(map(_told, report.findings)), own, spent)


def _told(finding: Finding) -> tuple[str, str, int | None]:
    source = finding.where.source
    return finding.code, finding.severity, source.line if source else None


def scores(outcomes: Iterable[Outcome]) -> dict[str, Score]:
    """Per code, and over all under an empty one."""
    found: dict[str, Score] = {"": Score()}
    for outcome in outcomes:
        if outcome.expected is not None:
            for score in (found[""], found.setdefault(outcome.expected[0], Score())):
                score.scripts += 1
                score.detected += outcome.detected
                score.located += outcome.located
                score.missed += [] if outcome.located else [outcome.script]
        for code in outcome.false_alarms:
            for score in (found[""], found.setdefault(code, Score())):
                score.false_alarms += 1
                score.missed.append(f"{outcome.script} (false alarm)")
    return found


def import_seconds() -> float:
    """What every script spends on ``import torch`` before it begins, in a process of its own."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return perf_counter() - started


def rules_share(outcomes: Iterable[Outcome], import_s: float = 0.0) -> float:
    """Median over the scripts of the diagnosis's time over the script's own with its import."""
    shares = [o.rules_s / (o.script_s + import_s) for o in outcomes if o.script_s]
    return median(shares) if shares else 0.0


def failed_bars(outcomes: Sequence[Outcome], import_s: float = 0.0) -> Iterator[str]:
    """Every bar that is not reached, in words."""
    total = scores(outcomes)[""]
    for name, reached, bar in (
        ("recall", total.recall, RECALL),
        ("precision", total.precision, PRECISION),
        ("located", total.located_share, LOCATED),
    ):
        if reached < bar:
            yield f"{name} {reached:.1%} is below {bar:.0%}"
    alarms = [o.script for o in outcomes if o.expected is None and o.false_alarms]
    if alarms:
        yield f"warnings on healthy scripts: {', '.join(sorted(set(alarms)))}"
    if broken := [f"{o.script} ({o.broken})" for o in outcomes if o.broken]:
        yield f"scripts that raised: {', '.join(broken)}"
    if (share := rules_share(outcomes, import_s)) > SHARE:
        yield f"the rules take {share:.1%} of the scripts' own time, more than {SHARE:.0%}"


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The scores as lines of Markdown."""
    yield "| rule | runs | detected | recall | precision | located | false alarms | look at |"
    yield "|---|---|---|---|---|---|---|---|"
    for code, score in sorted(scores(outcomes).items(), key=lambda item: item[0] or "~"):
        missed = ", ".join(sorted(set(score.missed))) if code else ""
        yield (
            f"| {code or 'all'} | {score.scripts} | {score.detected} | {score.recall:.0%} "
            f"| {score.precision:.1%} | {score.located_share:.0%} | {score.false_alarms} "
            f"| {missed} |"
        )


def main(arguments: Sequence[str]) -> int:
    """Prints the table; 1 when a bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=Path, default=SCRIPTS, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), metavar="N")
    parser.add_argument("--scales", type=float, nargs="+", default=SCALES, metavar="FACTOR")
    parser.add_argument("-k", default="", metavar="TEXT", help="only scripts with it in the name")
    given = parser.parse_args(arguments)
    scripts = [path for path in sorted(given.scripts.rglob("*.py")) if given.k in path.stem]
    registered_rules()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for script, seed, scale in product(scripts, range(given.seeds), given.scales):
            outcomes.append(judge(script, seed, scale, folder))
    print("\n".join(table(outcomes)))
    healthy = sum(o.expected is None for o in outcomes)
    import_s = import_seconds()
    whole, bare = rules_share(outcomes, import_s), rules_share(outcomes)
    print(f"\n{healthy} healthy runs. The rules took {whole:.1%} of a script's own time (median),")
    print(f"{bare:.1%} without the {import_s:.1f} s of importing torch.")
    failed = list(failed_bars(outcomes, import_s))
    print("\n".join(f"MISSED: {bar}" for bar in failed) or "Every bar is reached.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
