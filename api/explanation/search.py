"""Search for what figures depend on: groups of inputs are tried, and those that count are halved.

Groups that count for different figures are tried in one run, where no figure can be changed by the
group of another one: so the columns of a sparse derivative are put together [1]_.

References
----------
.. [1] Curtis, Powell, Reid: On the estimation of sparse Jacobian matrices, IMA Journal of Applied
   Mathematics 13 (1974), 117-119.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

Key = TypeVar("Key")
# A group of so many, or of as many as change with it, is not halved: each of its keys is tried.
FEW = 3
# So many groups that wait are looked at for one run.
LOOKED_AT = 50


@dataclass(slots=True)
class Dependence(Generic[Key]):
    """What changes which figures, by their numbers, and what the search did not come to."""

    changed: dict[Key, dict[int, Any]] = field(default_factory=dict)  # to their values then
    open: dict[int, set[Key]] = field(default_factory=dict)  # by figure


class _Trial(NamedTuple):
    """A group of keys, a bit each, that may change some figures."""

    group: int
    figures: frozenset[int]
    other: int = 0  # all of the figures are known to change with this group or with that one


async def search(
    candidates: Mapping[int, Sequence[Key]],
    probe: Callable[[Sequence[Key]], Awaitable[Mapping[int, Any] | None]],
    apart: Mapping[int, Sequence[Key]] | None = None,
) -> Dependence[Key]:
    """Return which of its candidates change each figure.

    `probe` returns the figures that change with a group of keys, by their numbers, with their
    values then; None when there is no time left. `apart` has keys that change a figure and are not
    searched for. Of n candidates, of which k count, about k log2(n / k) groups are probed, and
    fewer where those that count stand together.
    """
    apart = apart or {}
    every = (key for some in (*candidates.values(), *apart.values()) for key in some)
    keys = list(dict.fromkeys(every))
    bit = {key: 1 << n for n, key in enumerate(keys)}
    own = {n: reduce(or_, (bit[key] for key in some), 0) for n, some in candidates.items()}
    # What a figure may change with, as far as is known.
    may = {n: reduce(or_, (bit[key] for key in apart.get(n, ())), own[n]) for n in own}
    findings: Dependence[Key] = Dependence()
    waiting = [_Trial(group, figures) for group, figures in _alike(own).items() if group]
    while waiting:
        batch = _together(waiting, may)
        group = reduce(or_, (trial.group for trial in batch))
        values = await probe([keys[n] for n in _bits(group)])
        if values is None:
            _leave_open(findings, [*batch, *waiting], keys)
            break
        for trial in batch:
            changed = trial.figures & values.keys()
            for n in trial.figures - changed:
                may[n] &= ~trial.group
            if trial.other:
                waiting += _second(trial, changed)
            if not changed:
                continue
            if trial.group & (trial.group - 1):
                waiting += _halves(trial.group, changed)
            else:
                key = keys[trial.group.bit_length() - 1]
                findings.changed.setdefault(key, {}).update({n: values[n] for n in changed})
    return findings


def _alike(own: Mapping[int, int]) -> dict[int, frozenset[int]]:
    """Return the figures that have the same candidates, by these."""
    alike: dict[int, set[int]] = {}
    for n, group in own.items():
        alike.setdefault(group, set()).add(n)
    return {group: frozenset(figures) for group, figures in alike.items()}


def _together(waiting: list[_Trial], may: Mapping[int, int]) -> list[_Trial]:
    """Take from a list, the first first, trials that one run tells apart."""
    batch = [waiting.pop(0)]
    group, figures = batch[0].group, batch[0].figures
    reach = reduce(or_, (may[n] for n in figures), 0)
    for trial in waiting[:LOOKED_AT]:
        if trial.group & ~group & reach or trial.figures & figures:
            continue
        its_reach = reduce(or_, (may[n] for n in trial.figures), 0)
        if not group & ~trial.group & its_reach:
            batch.append(trial)
            group, figures, reach = group | trial.group, figures | trial.figures, reach | its_reach
    waiting[:] = [trial for trial in waiting if trial not in batch[1:]]
    return batch


def _second(trial: _Trial, changed: frozenset[int]) -> list[_Trial]:
    """Return what is to be tried of the second half of a group when the first one was tried."""
    if changed or not trial.other & (trial.other - 1):
        return [_Trial(trial.other, trial.figures)]
    # The first half has changed nothing, so that the second one has changed all.
    return _halves(trial.other, trial.figures)


def _halves(group: int, figures: frozenset[int]) -> list[_Trial]:
    """Return what is to be tried of a group that changes some figures."""
    bits = list(_bits(group))
    if len(bits) <= max(FEW, len(figures)):
        return [_Trial(1 << n, figures) for n in bits]
    first = reduce(or_, (1 << n for n in bits[: len(bits) // 2]))
    return [_Trial(first, figures, other=group & ~first)]


def _bits(group: int) -> Iterator[int]:
    """Yield the numbers of the bits of a group."""
    while group:
        lowest = group & -group
        yield lowest.bit_length() - 1
        group ^= lowest


def _leave_open(findings: Dependence[Any], trials: list[_Trial], keys: list[Any]) -> None:
    for trial in trials:
        untried = {keys[n] for n in _bits(trial.group | trial.other)}
        for n in trial.figures:
            findings.open.setdefault(n, set()).update(untried)
