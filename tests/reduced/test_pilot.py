"""The chain, the pilot that finds its bases, and their truncation, each against what it means."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import oracle
import pytest

from dlnsweep.reduced import bases, later
from dlnsweep.reduced.chain import SETTLED, Chain, Descent
from dlnsweep.reduced.compiled import Compiled
from dlnsweep.reduced.merged import Merged
from dlnsweep.reduced.off_range import off_range_blocks
from dlnsweep.reduced.path import Advance, coarser
from dlnsweep.reduced.pilot import Pace, Pilot
from dlnsweep.reduced.prepare import Thresholds, paces, prepare, search
from dlnsweep.reduced.reduction import Reduction, Sizes, gain
from dlnsweep.reduced.start import Network
from dlnsweep.reduced.tableau import Tableau, stages_for

# Identities of exact arithmetic, over a few hundred steps of rounding at 1.1e-16 each.
EXACT = 1e-12


def network_of(
    widths: tuple[int, ...] = (40, 50),
    rank: int = 2,
    seed: int = 0,
    rate: float = 0.05,
    **numbers,
) -> Network:
    """Draw a network with 5 inputs and 7 outputs, split along range(Y) as it is handed over."""
    rng = np.random.default_rng(seed)
    sizes = (5, *widths, 7)
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    depth = len(weights)
    descent = Descent(
        inputs=np.linspace(1.0, 0.5, rank),
        targets=rng.normal(size=(7, rank)) / np.sqrt(7),
        rates=rate * np.linspace(1.0, 0.8, depth),
        weight_decay=numbers.pop("decay", 0.03),
        data_fit_scale=0.9,
        **numbers,
    )
    first, off = weights[0][:, :rank], weights[0][:, rank:]
    norms = np.array([np.sum(w**2) for w in (first, *weights[1:])])
    return Network(first, off, tuple(weights[1:]), norms, descent)


# The largest eigenvalue of the first step is 2.2 with this rate.
UNSTABLE = 0.142
PACE = Pace(1e-9, exact=50, stride=0.15, checks=0.06)
NETWORKS = {
    "two layers": {"widths": (30,)},
    "three layers": {},
    "four layers, rank 1": {"widths": (24, 40, 31), "rank": 1},
    "all of the inputs": {"rank": 5},
}
networks = pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)


@pytest.fixture(scope="module")
def pilot() -> Pilot:
    return Pilot(network_of(), 2000, PACE)


def relative(found, expected) -> float:
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


# Steps along the flow


def scalar_chain(inputs: np.ndarray, rate: float, decay: float = 0.0) -> Chain:
    """A chain of depth 1 with one output: linear, each input by itself."""
    count = len(inputs)
    descent = Descent(inputs, np.ones((1, count)), np.array([rate]), decay, 1.0)
    return Chain(
        descent,
        forward=[np.zeros((1, count))],
        mixed=[],
        backward=[np.zeros((1, 0))],
        corrections=[np.zeros((1, count))],
        scales=np.ones(1),
    )


@pytest.mark.parametrize(("stages", "order"), [(1, 1), (2, 2), (3, 2), (5, 2), (12, 2)])
def test_steps_along_the_flow_have_their_order(stages: int, order: int):
    inputs, rate, decay, duration = np.array([1.0, 0.7, 0.2]), 1.0, 0.1, 2.0
    speed = decay + inputs**2
    # A step takes so long along the flow that free decay is that of gradient descent.
    time = duration * -np.log(1 - decay) / decay
    exact = inputs / speed * (1 - np.exp(-time * speed))
    errors, counts = [], np.array([16, 32, 64, 128])
    for count in counts:
        chain = scalar_chain(inputs, rate, decay)
        for _ in range(count):
            chain.advance(duration / count, stages)
        errors.append(np.max(np.abs(chain.corrections[0][0] - exact)))
        assert abs(chain.scales[0] - (1 - decay) ** duration) <= 2 * errors[0]
    slopes = -np.diff(np.log(errors)) / np.diff(np.log(counts))
    # The next order in 1 / count is still seen.
    assert np.all(np.abs(slopes - order) < 0.2), slopes


@pytest.mark.parametrize("stiffness", [0.3, 1.0, 2.5, 10.0, 100.0, 1e3])
def test_a_step_has_stages_enough_for_its_stiffness(stiffness: float):
    # All eigenvalues of a step from 0 to its stiffness at once.
    inputs = np.sqrt(np.linspace(0, stiffness, 200))

    def residual_after(stages: int) -> float:
        chain = scalar_chain(inputs, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(40):
                chain.advance(1.0, stages)
        return float(np.max(np.abs(chain.activations()[-1] - chain.descent.targets)))

    assert residual_after(stages_for(stiffness)) <= 1 + EXACT
    if stiffness > 50:
        assert not residual_after(stages_for(stiffness) // 2) < 1e3, "fewer are not enough"


def test_a_step_without_stages_is_a_step_of_gradient_descent():
    # And the flow at twice the momentum's speed, where nothing decays: see `Descent.speeds`.
    network = network_of(momentum=0.5, decay=0.0)
    chain = Pilot.complete(network).chain
    before = [d.copy() for d in chain.corrections]
    velocity = chain.velocity()
    chain.advance(1.0, 0)
    for d, old, change in zip(chain.corrections, before, velocity, strict=False):
        assert np.array_equal(d, old + change)
    chain = Pilot.complete(network).chain
    chain.advance(0.25, 1)
    for d, old, change in zip(chain.corrections, before, velocity, strict=False):
        assert np.max(np.abs(d - (old + 0.5 * change))) <= EXACT * np.max(np.abs(change))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_the_flow_decays_as_gradient_descent_does(beta: float, nesterov: bool):
    # Slow enough not to oscillate, whatever the momentum.
    rate, decay = 0.02, 0.05
    descent = replace(
        network_of(decay=decay).descent, rates=np.array([rate]), momentum=beta, nesterov=nesterov
    )
    x, memory = [1.0], 0.0
    for _ in range(400):
        gradient = decay * x[-1]
        memory = beta * memory + gradient
        x.append(x[-1] - rate * (gradient + beta * memory if nesterov else memory))
    # After its first steps, which the memory shapes, it decays by the same share every step.
    assert abs(-np.log(x[-1] / x[-2]) / (rate * decay) / descent.speeds[0] - 1) <= 1e-9
    without = replace(descent, weight_decay=0.0)
    assert abs(without.speeds[0] * (1 - beta) - 1) <= EXACT


# Complete bases


@networks
@pytest.mark.parametrize(
    "numbers",
    [{}, {"momentum": 0.8}, {"momentum": 0.7, "nesterov": True}],
    ids=["plain", "momentum", "nesterov"],
)
def test_complete_bases_are_the_network(options, numbers):
    network = network_of(**options, rate=0.02, **numbers)
    chain = Pilot.complete(network).chain
    names = {0: "gradient_descent", 1: "momentum", 2: "nesterov"}
    descent = network.descent
    layers = []
    # One rate a layer; the oracle has one for all of them, so each layer gets an oracle of its own.
    for rate in descent.rates:
        layers.append(
            oracle.Descent(
                name=names[len(numbers)],
                learning_rate=float(rate),
                weight_decay=descent.weight_decay,
                data_fit_scale=descent.data_fit_scale,
                momentum=descent.momentum,
            )
        )
    weights = [network.first, *network.rest]
    start = [w.copy() for w in weights]
    y = np.diag(descent.inputs)
    for _ in range(200):
        weights = [layer.step(weights, descent.targets, y)[i] for i, layer in enumerate(layers)]
        chain.advance(1.0, 0)
    for i, weight in enumerate(weights):
        found = chain.scales[i] * start[i] + chain.corrections[i]
        assert relative(found, weight) <= EXACT


@networks
def test_blocks_give_the_product_off_the_range(options):
    network = network_of(**options)
    for pilot in (Pilot.complete(network), Pilot(network, 300, PACE)):
        rng = np.random.default_rng(1)
        scales = rng.uniform(0.5, 1.0, network.depth)
        corrections = [rng.normal(size=d.shape) / 10 for d in pilot.chain.corrections]
        forward = [np.eye(network.first.shape[1]), *pilot.forward_bases]
        product = scales[0] * network.first_off
        for i in range(1, network.depth):
            change = pilot.backward_bases[i] @ corrections[i] @ forward[i].T
            product = (scales[i] * network.rest[i - 1] + change) @ product
        found = off_range_blocks(pilot).product(corrections, scales)
        assert found.shape == product.shape
        assert np.max(np.abs(found - product), initial=0) <= EXACT
        everything = Reduction(pilot)
        _, off, left = everything.truncated(everything.everything)
        # In the order of importance: other bases of the same spaces.
        assert off.product([0 * d for d in corrections], scales).shape == found.shape
        assert relative(left.T @ left, np.eye(left.shape[1])) <= EXACT


# The pilot


@networks
def test_bases_grow_without_losing_orthogonality(options):
    pilot = Pilot(network_of(**options), 2000, PACE)
    assert not pilot.refusal
    for basis in (*pilot.forward_bases, *pilot.backward_bases):
        assert basis.shape[1] > 0
        assert np.max(np.abs(basis.T @ basis - np.eye(basis.shape[1]))) <= EXACT
    weights, chain = pilot.weights, pilot.chain
    forward = [np.eye(weights[0].shape[1]), *pilot.forward_bases]
    backward = pilot.backward_bases
    for i, weight in enumerate(weights):
        above = forward[i + 1] if i + 1 < len(weights) else backward[-1]
        assert np.max(np.abs(chain.forward[i] - above.T @ weight @ forward[i])) <= EXACT
        if i:
            straight = backward[i].T @ weight @ backward[i - 1]
            assert np.max(np.abs(chain.backward[i] - straight)) <= EXACT
            assert np.max(np.abs(chain.mixed[i - 1] - forward[i].T @ backward[i - 1])) <= EXACT
        assert chain.corrections[i].shape == (backward[i].shape[1], forward[i].shape[1])


def test_the_pilot_reads_large_matrices_seldom(pilot):
    # Every read extends a basis, so there are no more of them than basis vectors.
    vectors = sum(b.shape[1] for b in (*pilot.forward_bases, *pilot.backward_bases[:-1]))
    assert 0 < pilot.streams <= vectors
    assert vectors < 2 * (40 + 50)


def test_the_schedule_covers_the_run(pilot):
    steps = np.array([part.steps for part in pilot.schedule])
    stages = np.array([part.stages for part in pilot.schedule])
    assert abs(np.sum(steps) - 2000) <= 2000 * EXACT
    assert np.all(steps[:50] == 1)
    assert np.all(stages[:50] == 0)
    assert np.max(steps) > 50, "it is a pilot: long steps later"
    assert len(pilot.samples) == 1 + sum(part.checked for part in pilot.schedule)
    assert pilot.schedule[-1].checked
    # The short steps before each checkpoint are left out of its weight.
    assert 0.8 * 2000 < sum(s.weight**2 for s in pilot.samples) < 1.01 * 2000


@pytest.mark.parametrize(
    "numbers", [{}, {"widths": (30,)}, {"momentum": 0.6}, {"momentum": 0.6, "nesterov": True}]
)
def test_whole_layers_take_a_pilot_where_its_bases_do(
    monkeypatch: pytest.MonkeyPatch, numbers: dict[str, Any]
):
    network, found = network_of(**numbers), []
    # Never, from the first checkpoint on, and in between.
    for outgrown in (np.inf, 0.0, 0.2):
        monkeypatch.setattr(bases, "_OUTGROWN", outgrown)
        found.append(Pilot(network, 1000, PACE))
    own, *others = found
    for other in others:
        assert not other.refusal
        assert other.leak <= PACE.tolerance
        # What its own bases leave out acts on a pilot's path, and on its residual most.
        assert abs(other.residual_norm / own.residual_norm - 1) <= 1e-6
        assert [part.steps for part in other.schedule] == pytest.approx(
            [part.steps for part in own.schedule], rel=1e-6
        )
        for j, (basis, before) in enumerate(
            zip(other.forward_bases, own.forward_bases, strict=True)
        ):
            last, expected = (p.samples[-1].activations[j] for p in (other, own))
            seen = basis[:, : len(last)] @ last
            assert relative(seen, before[:, : len(expected)] @ expected) <= 1e-6
        inner, outer = [np.eye(2), *other.forward_bases], other.backward_bases
        above, layers = [*other.forward_bases, np.eye(7)], [network.first, *network.rest]
        for j, layer in enumerate(layers):
            assert relative(other.chain.forward[j], above[j].T @ layer @ inner[j]) <= EXACT
            assert relative(other.images[j], layer @ inner[j]) <= EXACT
            assert other.chain.corrections[j].shape == (outer[j].shape[1], inner[j].shape[1])
            if j:
                assert relative(other.chain.backward[j], outer[j].T @ layer @ outer[j - 1]) <= EXACT
                assert relative(other.preimages[j], layer.T @ outer[j]) <= EXACT
                mixed = inner[j].T @ outer[j - 1]
                assert np.max(np.abs(other.chain.mixed[j - 1] - mixed)) <= EXACT
        output = other.chain.activations()[-1]
        assert relative(output, own.chain.activations()[-1]) <= 1e-6


def test_a_rehearsal_takes_another_path(pilot):
    descent, schedule = pilot.network.descent, pilot.schedule
    found = coarser(schedule, descent)
    exact = next(i for i, part in enumerate(schedule) if part.stages)
    assert 50 <= exact < 70
    kept = exact // 2
    assert found[:kept] == schedule[:kept]
    assert all(part.stages for part in found[kept:])
    total = sum(part.steps for part in schedule)
    assert abs(sum(part.steps for part in found) / total - 1) <= EXACT
    assert found[-1].checked
    long, other = ([x for x in parts if x.stages > 1] for parts in (schedule, found))
    assert 1.6 * max(x.steps for x in long) < max(x.steps for x in other)
    # Each is as stable as the pilot's own.
    for part in other:
        assert part.stages == stages_for(part.steps * part.stiffness)
    # The short steps stay before every checkpoint that is kept.
    checked = [i for i, part in enumerate(found) if part.checked and i > 60]
    assert 5 < len(checked) < sum(part.checked for part in schedule)
    for i in checked[-5:]:
        assert all(part.stages == 1 for part in found[i - 11 : i + 1])
    # And their path is another one, by more than rounding and by less than would be of no use.
    chain = Reduction(pilot)
    away = abs(chain.records[-1].error / np.linalg.norm(
        pilot.chain.activations()[-1] - descent.targets) - 1)  # fmt: skip
    assert 1e-9 < away < 1e-2


def test_later_bases_are_those_of_a_run_s_own_first_steps(pilot, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(later, "_LEAST_FLOPS", 0.0)
    monkeypatch.setattr(later, "_PAYS", 0.0)
    reduction = Reduction(pilot, narrows=(1e-4, 1e-4))
    exact = next(i for i, part in enumerate(pilot.schedule) if part.stages)
    assert reduction.schedule[:exact] == pilot.schedule[:exact]
    sizes = reduction.sizes_for(1e-3, 1e-3)
    *deviations, found = reduction.rehearse_later(sizes, 1e-2)
    assert 0 < max(deviations) < 1e-2
    assert found is not None
    assert found.begins == exact
    # The activations after the first steps are held in full, from where the run's own steps lead.
    chain = reduction.truncated(sizes)[0]
    for _ in range(exact):
        chain.advance(1.0, 0)
    for basis, own in zip(found.inner, chain.activations()[1:-1], strict=True):
        assert basis.shape[1] < basis.shape[0]
        assert np.linalg.norm(own - basis @ (basis.T @ own)) <= EXACT * np.linalg.norm(own)


def test_exact_steps_stay_exact_where_the_start_is_unstable():
    parts = [Advance(1.0, 0, h) for h in (2.5, 2.2, 2.1, 1.7, 1.2, 0.9, 0.7, 0.6)]
    parts += [Advance(2.0, 2, 0.5), Advance(2.0, 2, 0.5, checked=True)]
    found = coarser(parts, network_of().descent)
    # Three unstable ones; of those from the last of them on, half.
    assert found[:5] == parts[:5]
    assert [part.steps for part in found[5:]] == [2.0, 3.0, 2.0]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_a_rehearsal_records_has_forgotten_its_last_long_step(before: int):
    # Pairs of long steps begin wherever exact ones end, also between a checkpoint and the next.
    def made(long: float) -> list[Advance]:
        parts = [Advance(1.0, 0, 0.5)] * 4
        parts += [Advance(long, 9, 0.5)] * before
        for _ in range(6):
            short = [Advance(2.0, 1, 0.5)] * 11 + [Advance(2.0, 1, 0.5, checked=True)]
            parts += [Advance(long, 9, 0.5), *short, Advance(long + 1, 9, 0.5)]
        return [*parts, Advance(long, 9, 0.5, checked=True)]

    for long, forgets in ((60.0, True), (8.0, False)):
        parts = made(long)
        found = coarser(parts, network_of().descent)
        total = sum(x.steps for x in parts)
        assert abs(sum(x.steps for x in found) - total) <= EXACT * total
        checked = [i for i, part in enumerate(found) if part.checked]
        assert len(checked) > 5
        relaxed = [all(x.stages == 1 for x in found[i - 11 : i + 1]) for i in checked]
        # Before the last of these parts the pilot takes no short steps either. Where steps have
        # few stages, those between two that become one are passed over.
        assert all(relaxed[:-1]) or not forgets
        assert forgets or before == 1 or not all(relaxed[:-1])


def test_the_pilot_follows_a_residual_that_decays_to_nothing():
    network = network_of((24, 40, 31), decay=0.0)
    pilot = Pilot(network, 4000, PACE)
    size = np.linalg.norm(network.descent.targets)
    chain = Pilot.complete(network).chain
    errors = []
    for _ in range(4001):
        errors.append(np.linalg.norm(chain.activations()[-1] - network.descent.targets))
        chain.advance(1.0, 0)
    now, seen = 0.0, 0
    checked = iter(pilot.samples[1:])
    for part in pilot.schedule:
        now += part.steps
        if part.checked:
            found = np.linalg.norm(next(checked).signals[-1]) / network.descent.data_fit_scale
            true = float(np.exp(np.interp(now, np.arange(4001), np.log(errors))))
            if size > true > 1e-10 * size:
                seen += 1
                # A share of the residual's own size, which falls by ten digits.
                assert abs(found / true - 1) < 0.3, (now, found, true)
    assert seen > 30
    assert min(errors) < 1e-10 * size


def test_the_bases_hold_what_the_run_visits():
    network = network_of()
    pilot = Pilot(network, 400, PACE)
    chain = Pilot.complete(network).chain
    for step in range(401):
        if step in (0, 1, 10, 60, 200, 400):
            values = chain.activations()
            backward = chain.signals(values[-1] - network.descent.targets)
            for basis, value in zip(pilot.forward_bases, values[1:], strict=False):
                left = np.linalg.norm(value - basis @ (basis.T @ value))
                # The flow strays from gradient descent by about the rate: that is in the bases
                # only as far as they are wider than what the pilot visits itself.
                assert left <= 1e-4 * np.linalg.norm(value), step
            for basis, value in zip(pilot.backward_bases, backward, strict=True):
                left = np.linalg.norm(value - basis @ (basis.T @ value))
                assert left <= 1e-3 * np.linalg.norm(value), step
        chain.advance(1.0, 0)


def test_sharpness_is_the_largest_eigenvalue():
    network = network_of((12, 9), decay=0.1)
    chain = Pilot.complete(network).chain
    for _ in range(30):
        chain.advance(1.0, 0)
    descent = network.descent
    weights = [
        chain.scales[i] * weight + chain.corrections[i]
        for i, weight in enumerate([network.first, *network.rest])
    ]
    operator = np.zeros((7 * 2, 7 * 2))
    for i, rate in enumerate(descent.rates):
        left, right = np.eye(7), np.diag(descent.inputs)
        for weight in reversed(weights[i + 1 :]):
            left = left @ weight
        for weight in weights[:i]:
            right = weight @ right
        operator += rate * descent.data_fit_scale * np.kron(left @ left.T, right.T @ right)
    largest = float(np.linalg.eigvalsh(operator)[-1])
    chain = replace(chain, _mode=None)
    values = [chain.sharpness(chain.activations()) for _ in range(40)]
    # A power iteration comes from below; 20 rounds are enough to judge stability by.
    assert 0.97 * largest < values[0] <= largest * (1 + EXACT)
    assert abs(values[-1] / largest - 1) < 1e-9


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_a_step_is_stable_below_its_limit(beta: float, nesterov: bool):
    limit = replace(network_of().descent, momentum=beta, nesterov=nesterov).stable_below
    for share, stable in [(0.99, True), (1.01, False)]:
        x, memory = 1.0, 0.0
        for _ in range(3000):
            gradient = share * limit * x
            memory = beta * memory + gradient
            x -= gradient + beta * memory if nesterov else memory
        assert (abs(x) < 1e-3) == stable, (x, share)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8, 0.95])
def test_what_alternates_fades_as_it_is_said_to(beta: float, nesterov: bool, share: float):
    descent = replace(network_of().descent, momentum=beta, nesterov=nesterov)
    stiffness = share * descent.stable_below
    # A mode by steps of gradient descent: what is left of it after many, a step.
    x, memory, left = 1.0, 0.0, []
    for _ in range(600):
        gradient = stiffness * x
        memory = beta * memory + gradient
        x -= gradient + beta * memory if nesterov else memory
        left.append(max(abs(x), 1e-300))
    told = descent.fading(stiffness)
    if beta == 0 and stiffness <= 1:
        # It decays as its flow does.
        assert told == -np.inf
        return
    # The largest of each fifty: complex roots swing through nothing.
    tops = np.log(np.max(np.reshape(left, (-1, 50)), axis=1))
    tops = tops[tops > np.log(1e-280)]
    rate = np.diff(tops)[-1] / 50 if len(tops) > 1 else -np.inf
    assert told < 0
    assert rate <= told + 0.03
    # Nesterov's own swing may fade sooner than that of slower modes, of which there are some.
    assert nesterov or rate >= told - 0.03


def test_exact_steps_end_where_what_alternates_has_faded():
    network = network_of(rate=0.12, decay=0.01)
    # A step after the exact ones is longer than one of theirs two steps later.
    pilot = Pilot(network, 4000, Pace(1e-9, exact=10, stride=0.5, checks=0.07))
    exact = [part for part in pilot.schedule if not part.stages]
    assert exact[0].stiffness > 1.6
    assert not any(part.stages == 0 for part in pilot.schedule[len(exact) :])
    left = np.cumsum([network.descent.fading(part.stiffness) for part in exact])
    assert left[-1] <= np.log(SETTLED)
    # But for these, and for the steps between two checkpoints.
    assert left[int((len(exact) - 3) / 1.07) - 2] > np.log(SETTLED)


# Truncation


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (4, 4), (3, 0)])
def test_the_gain_is_the_largest_singular_value(shape: tuple[int, int]):
    for scale in (1.0, 1e-200, 1e150):
        matrix = scale * np.random.default_rng(1).normal(size=shape)
        expected = float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0
        assert abs(gain(matrix) - expected) <= EXACT * expected
    assert gain(np.zeros((3, 2))) == 0.0
    for wrong in (np.nan, np.inf):
        assert gain(np.array([[1.0, wrong], [0.0, 1.0]])) == np.inf


def test_a_rehearsal_counts_every_exact_step():
    network = network_of(momentum=0.9, rate=0.01)
    reduction = Reduction(Pilot(network, 2000, PACE))
    times = reduction.rehearsal.times
    # What is passed is gradient descent itself: here by its own steps.
    chain = reduction.truncated(reduction.everything)[0]
    norms = []
    for _ in range(int(times[40])):
        norms += chain.advance(1.0, 0)
    passed = np.concatenate([record.passed for record in reduction.records[:41]])
    assert len(passed) == times[40] > 60
    assert np.max(np.abs(passed / norms - 1)) < 1e-9
    # Most of them are none of the checkpoints.
    assert len(passed) > 45
    found = reduction.records[40]
    for one in (0, -1):
        other = found.passed.copy()
        other[one] *= 1 + 1e-3
        told = reduction.deviation(replace(found, passed=other), found)
        assert abs(told / 1e-3 - 1) < 1e-6


@pytest.mark.parametrize("power", [0.35, 0.6, 1.0, 1.3])
def test_few_trials_find_a_threshold(power: float):
    tolerance, tried = 1e-4, []

    class Errors:
        """A reduction whose error is a power of the thresholds."""

        pilot = SimpleNamespace(network=network_of(), leak=0.0)
        narrows = False

        def sizes_for(self, forward: float, backward: float) -> Any:
            return forward

        def rehearse(self, sizes: Any, most: float = np.inf) -> float:
            tried.append(sizes)
            return 3 * (sizes / tolerance) ** power * tolerance

    made: Any = Errors()
    found = search(made, tolerance, None, 1.0, trades=False)
    assert not found.refusal
    assert 0.25 * tolerance <= found.estimate <= tolerance
    assert len(tried) <= 3


def test_the_whole_chain_rehearses_without_error(pilot):
    reduction = Reduction(pilot)
    # Its own records, once more: the same numbers.
    assert reduction.rehearse(reduction.everything) == 0.0
    smaller = [reduction.rehearse(reduction.sizes_for(t, t / 4)) for t in (1e-2, 1e-4, 1e-6)]
    assert smaller[0] > 10 * smaller[1] > 100 * smaller[2] > 0
    # Where more than so much does not matter, it ends there: with the record that showed it.
    sizes = reduction.sizes_for(1e-4, 1e-4 / 4)
    assert smaller[1] / 10 < reduction.rehearse(sizes, smaller[1] / 10) <= smaller[1]
    assert reduction.rehearse(sizes, smaller[1]) == smaller[1]


def test_thresholds_choose_leading_directions(pilot):
    reduction = Reduction(pilot)
    sizes = reduction.sizes_for(1e-3, 1e-4)
    for (left, values), size in zip(reduction.forward, sizes.forward, strict=True):
        assert np.all(np.diff(values) <= 0)
        assert np.max(np.abs(left.T @ left - np.eye(left.shape[1]))) <= EXACT
        assert values[size - 1] > 1e-3 >= values[size]
    inner, outer = reduction.bases(sizes)
    assert tuple(b.shape[1] for b in inner[1:]) == sizes.forward
    assert tuple(b.shape[1] for b in outer) == sizes.backward
    weights = pilot.weights
    for overlap, b, w, f in zip(reduction.overlaps(sizes), outer, weights, inner, strict=True):
        assert np.max(np.abs(b.T @ b - np.eye(b.shape[1]))) <= EXACT
        assert np.max(np.abs(overlap - b.T @ w @ f)) <= EXACT
    # The last layer's space holds the targets, whatever is left out.
    targets = pilot.network.descent.targets
    smallest = reduction.bases(reduction.sizes_for(np.inf, 1e300))[1][-1]
    assert smallest.shape[1] == 2
    assert relative(smallest @ (smallest.T @ targets), targets) <= EXACT


def test_operations_of_a_step_are_counted():
    # Depth 2, r = 2, |F_1| = 3, |B_1| = 5, |B_2| = 4, multiply-adds: D_1 3*5*2, A_1 3*2, G_1 twice
    # 3*5; D_2 3*4*3, A_2 4*3, N_2 4*5. Each for 2 columns and as 2 operations.
    entries = (3 * 5 * 2 + 3 * 2 + 2 * 3 * 5) + (3 * 4 * 3 + 4 * 3 + 4 * 5)
    assert Sizes((3,), (5, 4)).step_flops(2) == 2 * 2 * entries


def test_operations_of_the_pilot_are_counted(pilot: Pilot, monkeypatch: pytest.MonkeyPatch):
    reduction = Reduction(pilot)
    sizes = reduction.sizes_for(1e-3, 1e-3)
    chain, _, _ = reduction.truncated(sizes)
    assert chain.flops == sizes.step_flops(pilot.network.first.shape[1])
    # Of every evaluation, counted where it is made.
    made: list[int] = []
    velocity = Chain.velocity

    def counted(chain: Chain) -> list[np.ndarray]:
        made.append(chain.flops)
        return velocity(chain)

    def count_along(way: type[Merged] | type[Compiled]) -> None:
        step = way.step

        def counted_along(merged: Any, tableau: Tableau, *numbers: Any) -> Any:
            shapes = [d.shape for d in merged.corrections]
            forward, backward = tuple(n for _, n in shapes[1:]), tuple(n for n, _ in shapes)
            flops = Sizes(forward, backward).step_flops(shapes[0][1])
            made.extend(tableau.stages * [flops])
            return step(merged, tableau, *numbers)

        monkeypatch.setattr(way, "step", counted_along)

    monkeypatch.setattr(Chain, "velocity", counted)
    for way in (Merged, Compiled):
        count_along(way)
    monkeypatch.setattr(bases, "_OUTGROWN", np.inf)
    again = Pilot(network_of(), 2000, PACE)
    assert again.work == sum(made)
    # In whole layers from the first step on nothing goes from one kind of bases to the other.
    monkeypatch.setattr(bases, "_OUTGROWN", 0.0)
    whole = Pilot(network_of(), 2000, PACE)
    evaluated = sum(max(part.stages, 1) for part in whole.schedule)
    first, *rest = (w.size for w in whole.weights)
    assert whole.work == evaluated * 2 * 2 * (4 * first + 5 * sum(rest))
    assert any(part.stages > 1 for part in again.schedule)


# Refusals


def test_refusals_say_why(monkeypatch: pytest.MonkeyPatch):
    complete = Sizes((40, 50), (40, 50, 7))
    for options, share, words in [
        ({"rate": 50.0}, 1.0, "the pilot run diverged"),
        ({}, 0.05, "the run visits too large a part of the hidden layers"),
    ]:
        monkeypatch.setattr("dlnsweep.reduced.prepare._LARGEST_SHARE", share)
        found = prepare(network_of(**options), 1000, 1e-4)
        assert found.refusal == words
        assert found.sizes == complete
        assert found.thresholds is None
        assert not found.reduction.pilot.schedule
    monkeypatch.setattr("dlnsweep.reduced.prepare._LARGEST_SHARE", 1.0)
    monkeypatch.setattr("dlnsweep.reduced.prepare._LARGEST_WORK", 1e-4)
    found = prepare(network_of(), 1000, 1e-4)
    words = "finding its bases takes too large a part of the run's own arithmetic"
    assert found.refusal == words
    assert not prepare(network_of(), 1000, 1e-4, however_large=True).refusal
    # Above an eigenvalue of 2 for too long (here: at all).
    monkeypatch.setattr("dlnsweep.reduced.pilot._MOST_GROWTH", 0.0)
    found = prepare(network_of(rate=UNSTABLE), 200, 1e-4, however_large=True)
    assert found.refusal.startswith("a step is near instability (2."), found.refusal
    assert found.refusal.endswith(" of 2.000)")


def test_a_saddle_that_a_long_step_does_not_survive_is_followed_at_the_finer_pace(
    monkeypatch: pytest.MonkeyPatch,
):
    network, size = network_of(), 0.03
    small = replace(
        network,
        first=size * network.first,
        first_off=size * network.first_off,
        rest=tuple(size * weight for weight in network.rest),
        squared_norms=size**2 * network.squared_norms,
    )
    # With a checkpoint after every long step none of them is too long here.
    rough = [replace(pace, checks=2 * pace.checks) for pace in paces(1e-4)]
    monkeypatch.setattr("dlnsweep.reduced.prepare.paces", lambda _: rough)
    coarse, fine = (Pilot(small, 3000, pace) for pace in rough)
    assert coarse.strayed
    assert coarse.refusal == "a long step of the pilot diverged"
    assert not fine.refusal
    found = prepare(small, 3000, 1e-4, however_large=True)
    assert not found.refusal
    assert found.estimate <= 1e-4
    # What diverges by gradient descent's own steps is told as before, by one pilot.
    assert not Pilot(network_of(rate=50.0), 1000, paces(1e-4)[0]).strayed


def test_an_unstable_start_is_followed():
    network = network_of(rate=UNSTABLE)
    found = prepare(network, 300, 1e-4, however_large=True)
    assert not found.refusal
    assert max(part.stiffness for part in found.reduction.pilot.schedule) > 2
    small, _, _ = found.reduction.truncated(found.sizes)
    whole = Pilot.complete(network).chain
    assert small.activations()[-1].shape[0] <= 7
    errors = []
    for _ in range(300):
        errors.append([
            np.linalg.norm(chain.activations()[-1] - chain.descent.targets)
            for chain in (small, whole)
        ])  # fmt: skip
        small.advance(1.0, 0)
        whole.advance(1.0, 0)
    found, true = np.array(errors).T
    assert np.max(np.diff(true)) > 0, "the test needs a step that overshoots"
    assert np.max(np.abs(found / true - 1)) <= 3e-4


def test_a_hint_is_taken_as_it_is_where_it_will_do():
    first = prepare(network_of(), 500, 1e-3, however_large=True)
    assert not first.refusal
    assert first.thresholds is not None
    assert first.estimate <= 1e-3
    second = prepare(network_of(seed=1), 500, 1e-3, first.thresholds, however_large=True)
    assert not second.refusal
    assert second.estimate <= 1e-3
    useless = prepare(network_of(), 500, 1e-3, Thresholds(1.0, 1.0), however_large=True)
    assert not useless.refusal
    assert useless.estimate <= 1e-3


def test_a_second_try_is_finer():
    for tolerance in (1e-3, 1e-6):
        first, second = paces(tolerance)
        assert second.tolerance < first.tolerance < tolerance
        assert second.stride < first.stride
        assert second.checks < first.checks
        assert second.exact > first.exact


# Wide networks


def wide_network(width: float, decay: float) -> Network:
    """Draw a network of depth 2 from its law, compressed, without its inputs off the range."""
    rng = np.random.default_rng(0)
    rank, inputs, outputs = 2, 48, 32
    first = np.zeros((rank + outputs, rank))
    first[:rank] = np.triu(rng.normal(size=(rank, rank)), 1) + np.sqrt(width) * np.eye(rank)
    below = np.tril(rng.normal(size=(outputs, outputs)), -1) + np.sqrt(width) * np.eye(outputs)
    second = np.hstack([rng.normal(size=(outputs, rank)), below]) / np.sqrt(width)
    first /= np.sqrt(inputs)
    norms = np.array([np.sum(first**2), np.sum(second**2)])
    targets = np.linalg.qr(rng.normal(size=(outputs, rank)))[0]
    rates = 0.8 * np.array([1.0, inputs / width])
    descent = Descent(np.array([1.05, 0.9]), targets, rates, decay, 1.0)
    return Network(first, np.zeros((len(first), 0)), (second,), norms, descent)


@pytest.mark.parametrize(
    ("decay", "steps", "tolerance"),
    [(3e-3, 2000, 1e-3), pytest.param(1e-2, 1500, 1e-2, marks=pytest.mark.slow)],
)
def test_what_is_small_beside_a_wide_start_but_outlasts_it_stays_in_the_bases(
    decay: float, steps: int, tolerance: float
):
    # The activations begin 1.4e5 times as large as what training adds, and fall to 1 in it.
    network = wide_network(1e12, decay)
    descent = network.descent
    prepared = prepare(network, steps, tolerance, however_large=True)
    assert not prepared.refusal
    assert sum(prepared.sizes.forward) < 12
    chain, _, left = prepared.reduction.truncated(prepared.sizes)
    missing = np.linalg.norm(descent.targets - left @ chain.descent.targets)
    first, second = network.first, network.rest[0]
    keep = 1 - descent.rates * decay
    errors = []
    for step in range(steps + 1):
        hidden = first * descent.inputs
        residual = second @ hidden - descent.targets
        if step % 100 == 0:
            found = np.hypot(
                np.linalg.norm(chain.activations()[-1] - chain.descent.targets), missing
            )
            errors.append(abs(found / np.linalg.norm(residual) - 1))
        change = descent.rates[0] * second.T @ residual * descent.inputs
        second = keep[1] * second - descent.rates[1] * residual @ hidden.T
        first = keep[0] * first - change
        chain.advance(1, 0)
    # Without them it was 27 times the estimate, or refused.
    assert max(errors) <= prepared.estimate
