"""What an evaluation found, counted: tables and metrics, with intervals, and the checks for
masked gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.speaker.evaluate import Found, Held, Kind, Mask, Plan

RESAMPLES = 2000
"""Of the clips, for the interval of a difference between two arms on the same clips."""

TAIL = 0.025
"""On either side of a 95 % interval."""

ZERO = 0.01
"""What counts as fallen to zero in the sweep: one clip in a hundred."""

AGREEMENT = 0.01
"""How far ART's PGD may be from ours."""

PAIRS = (
    ("hat10", "pgd10"),
    ("hat10-released", "pgd10-released"),
    ("hat10-released", "pgd10"),
    ("hat10", "fs10"),
)
"""Arms that are compared on the same clips: the better one by the paper, the other."""

ABLATION = ("pgd10", "fs10", "margin", "ce+fs", "ce+margin", "fs+margin")
"""The arms of Fig. 3, each beside ``hat10``; ``pgd10`` is cross-entropy alone."""


def figures(found: Sequence[Found], plan: Plan) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Metrics and tables of all subjects."""
    tables = {
        "table_1": [row for each in found for row in _table_1(each, plan)],
        "table_2": [row for each in found for row in _table_2(each)],
        "attacks": [row for each in found for row in _attacks(each)],
        "worst": [row for each in found for row in _worst(each)],
        "figure_1": [row for each in found for row in _figure_1(each)],
        "figure_2": [row for each in found for row in _figure_2(each, plan)],
        "figure_3": list(_figure_3(found)),
        "advantage": list(_advantages(found, plan)),
        "independent": [row for each in found for row in _independent(each, plan)],
        "over_the_air": [row for each in found for row in _air(each)],
        "masking": [row for each in found for row in _masking(each, plan)],
        "cost_cpu": [row for each in found for row in _cost(each)],
    }
    return list(_metrics(found, plan)), tables


def _metrics(found: Sequence[Found], plan: Plan) -> Iterator[Metric]:
    """Of each arm; with several seeds of an arm the first counts, all are in the tables."""
    most = max(plan.at)
    seen: set[str] = set()
    for each in found:
        if each.arm in seen:
            continue
        seen.add(each.arm)
        arm, n = each.arm.replace("-", "_").replace("+", "_"), len(each.clean)
        yield Metric.share(f"{arm}_clean", int(each.clean.sum()), n)
        for attack in ("fgsm", f"pgd{most}", f"cw{most}", f"fs{most}", "autoattack"):
            held = each.under(attack)
            if held is not None:
                yield Metric.share(f"{arm}_{attack}", int(_right(each, held).sum()), n)
        yield Metric.share(f"{arm}_worst", int(each.worst.sum()), n)


def _who(found: Found) -> Row:
    return {"arm": found.arm, "seed": found.seed}


def _right(found: Found, held: Held) -> Mask:
    return found.clean & ~held.broken


def _table_1(found: Found, plan: Plan) -> Iterator[Row]:
    n = len(found.clean)
    yield {**_who(found), "attack": "clean", **share_columns(int(found.clean.sum()), n)}
    names = ["fgsm", *(f"{goal}{steps}" for goal in ("pgd", "cw", "fs") for steps in plan.at)]
    for held in found.held:
        if held.attack.partition("@")[0] in names:
            right = int(_right(found, held).sum())
            yield {**_who(found), "attack": held.attack, **share_columns(right, n)}


def _table_2(found: Found) -> Iterator[Row]:
    for held in found.held:
        if held.kind is Kind.TRANSFER:
            attack, _, source = held.attack.partition("<")
            shares = share_columns(int(_right(found, held).sum()), len(found.clean))
            yield {**_who(found), "source": source, "attack": attack, **shares}


def _attacks(found: Found) -> Iterator[Row]:
    """Every attack: alone, and with all before it."""
    left = found.clean.copy()
    for held in found.held:
        before = int((left & held.tried).sum())
        broke = int((left & held.broken).sum())
        left &= ~held.broken
        on = int(held.alone.sum())
        right = int((_right(found, held) & held.alone).sum())
        yield {
            **_who(found),
            "attack": held.attack,
            "kind": held.kind.value,
            "tried": int(held.tried.sum()),
            **share_columns(right, on, "alone_share"),
            "broke_of_those_left": f"{broke} of {before}",
            "left_share": float(left.mean()),
        }


def _worst(found: Found) -> Iterator[Row]:
    n = len(found.clean)
    for name, mask in (("clean", found.clean), ("white-box", found.white), ("all", found.worst)):
        yield {**_who(found), "under": name, **share_columns(int(mask.sum()), n)}


def _figure_1(found: Found) -> Iterator[Row]:
    n = len(found.clean)
    if found.sweep:
        yield {**_who(found), "eps": 0.0, **share_columns(int(found.clean.sum()), n)}
    for eps, right in found.sweep.items():
        yield {**_who(found), "eps": eps, **share_columns(int(right.sum()), n)}


def _figure_2(found: Found, plan: Plan) -> Iterator[Row]:
    for steps in plan.iterations:
        held = found.under(f"pgd{steps}")
        if held is not None:
            shares = share_columns(int(_right(found, held).sum()), len(found.clean))
            yield {**_who(found), "iterations": steps, **shares}


def _figure_3(found: Sequence[Found]) -> Iterator[Row]:
    by = _by_arm(found)
    for arm in ABLATION:
        for attack in ("pgd10", "cw10"):
            row = _difference(by, "hat10", arm, attack)
            if row is not None:
                yield row


def _advantages(found: Sequence[Found], plan: Plan) -> Iterator[Row]:
    by = _by_arm(found)
    most = max(plan.at)
    for better, other in PAIRS:
        for under in ("clean", f"pgd{most}", f"cw{most}", "autoattack", "all"):
            row = _difference(by, better, other, under)
            if row is not None:
                yield row


def _by_arm(found: Sequence[Found]) -> dict[str, dict[int, Found]]:
    by: dict[str, dict[int, Found]] = {}
    for each in found:
        by.setdefault(each.arm, {})[each.seed] = each
    return by


def _difference(
    by: Mapping[str, Mapping[int, Found]], one: str, other: str, under: str
) -> Row | None:
    """`one` less `other` on the same clips, in points, over the seeds that both have."""
    differences = []
    seeds = sorted(by.get(one, {}).keys() & by.get(other, {}).keys())
    for seed in seeds:
        ours, theirs = _under(by[one][seed], under), _under(by[other][seed], under)
        if ours is None or theirs is None:
            return None
        differences.append(100.0 * (ours.astype(np.float64) - theirs))
    if not differences:
        return None
    each = np.array(differences)  # (seeds, clips)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, each.shape[1], (RESAMPLES, each.shape[1]))
    means = each.mean(axis=0)[drawn].mean(axis=1)
    low, high = np.quantile(means, (TAIL, 1.0 - TAIL))
    return {
        "arm": one,
        "beside": other,
        "under": under,
        "points": float(each.mean()),
        "low_by_clips": float(low),
        "high_by_clips": float(high),
        **_over_seeds(each.mean(axis=1)),
        "seeds": " ".join(str(seed) for seed in seeds),
        "n": each.shape[1],
    }


def _over_seeds(means: NDArray[np.float64]) -> Row:
    """Student's interval of the mean over trainings; None with one."""
    if means.size < 2:
        return {"low_by_seeds": None, "high_by_seeds": None}
    reach = float(
        special.stdtrit(means.size - 1, 1.0 - TAIL) * means.std(ddof=1) / math.sqrt(means.size)
    )
    return {
        "low_by_seeds": float(means.mean()) - reach,
        "high_by_seeds": float(means.mean()) + reach,
    }


def _under(found: Found, under: str) -> Mask | None:
    if under == "clean":
        return found.clean
    if under == "all":
        return found.worst
    held = found.under(under)
    return None if held is None else _right(found, held)


def _independent(found: Found, plan: Plan) -> Iterator[Row]:
    """PGD of the library beside ours, from different random starts."""
    most = max(plan.at)
    ours, theirs = found.under(f"pgd{most}"), found.under(f"art_pgd{most}")
    if ours is None or theirs is None:
        return
    n = len(found.clean)
    own, art = _right(found, ours), _right(found, theirs)
    apart = float(abs(own.mean() - art.mean()))
    yield {
        **_who(found),
        "attack": ours.attack,
        "ours_share": float(own.mean()),
        "art_share": float(art.mean()),
        "points_apart": 100.0 * apart,
        "same_outcome_share": float((own == art).mean()),
        "within_a_point": bool(apart <= AGREEMENT + 1e-9),
        "n": n,
    }


def _air(found: Found) -> Iterator[Row]:
    for aired in found.aired:
        yield {
            **_who(found),
            "attack": aired.attack,
            "room_known": aired.room_known,
            **share_columns(int(aired.right.sum()), len(found.clean)),
        }


def _masking(found: Found, plan: Plan) -> Iterator[Row]:
    """Section 6.3 of the paper, sharper: on the same clips, and clip by clip."""
    fgsm = found.under("fgsm")
    for steps in plan.at:
        pgd = found.under(f"pgd{steps}")
        if fgsm is not None and pgd is not None:
            one, many = _right(found, fgsm), _right(found, pgd)
            yield _check(found, f"fgsm >= pgd{steps}", many, one)
    white = found.white
    for held in found.held:
        if held.kind is Kind.WHITE or not any(h.kind is Kind.WHITE for h in found.held):
            continue
        row = _check(found, f"white-box <= {held.attack}", white, _right(found, held), held.alone)
        yield {**row, "broke_what_white_left": int((white & held.broken).sum())}
    if found.sweep:
        eps, last = list(found.sweep.items())[-1]
        yield {
            **_who(found),
            "check": f"falls to zero by eps {eps:g}",
            "passed": bool(last.mean() <= ZERO),
            "stronger_share": float(last.mean()),
            "weaker_share": None,
            "n": len(last),
            "broke_what_white_left": None,
        }


def _check(found: Found, check: str, stronger: Mask, weaker: Mask, on: Mask | None = None) -> Row:
    on = np.ones(len(stronger), np.bool_) if on is None else on
    n = int(on.sum())
    return {
        **_who(found),
        "check": check,
        "passed": bool(stronger[on].sum() <= weaker[on].sum()),
        "stronger_share": float(stronger[on].mean()) if n else None,
        "weaker_share": float(weaker[on].mean()) if n else None,
        "n": n,
        "broke_what_white_left": None,
    }


def _cost(found: Found) -> Iterator[Row]:
    for held in found.held:
        if held.cpu_s > 0.0:
            tried = int(held.tried.sum())
            yield {
                **_who(found),
                "attack": held.attack,
                "clips": tried,
                "cpu_s": held.cpu_s,
                "cpu_s_a_clip": held.cpu_s / tried if tried else None,
            }
    n = len(found.clean)
    others = [("eps sweep", found.sweep_cpu_s)]
    others += [
        (f"{aired.attack} in rooms{', room known' if aired.room_known else ''}", aired.cpu_s)
        for aired in found.aired
    ]
    for name, cpu_s in others:
        row = {"attack": name, "clips": n, "cpu_s": cpu_s, "cpu_s_a_clip": cpu_s / n}
        yield {**_who(found), **row}
