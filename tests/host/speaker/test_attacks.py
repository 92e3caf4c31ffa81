"""The attacks on the speaker model: on a toy they win where they can, and never leave the ball."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from earmark_host.speaker.attacks import (
    ArtPgd,
    Attack,
    AutoAttack,
    Batch,
    Fgsm,
    Nes,
    Pgd,
    Raise,
    RandomSigns,
    Square,
    as_pcm16,
    batches,
    craft_one,
    examples,
    filled,
    fooled,
)
from earmark_host.speaker.victim import NetVictim, StraightThrough, margin

from . import toys

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = 1.0 / 32768.0

WHITE: tuple[Attack, ...] = (
    Fgsm(),
    Pgd(10),
    Pgd(20, Raise.MARGIN),
    Pgd(10, Raise.SCATTERING),
    Pgd(20, Raise.MARGIN, 0.1, 2, best=True),
    AutoAttack(targets=2, steps=10),
    ArtPgd(10),
)
BLACK: tuple[Attack, ...] = (RandomSigns(), Square(60), Nes(100, 5), Nes(100, 5, targeted=True))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Toys are too small for two, which are slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def broken(attack: Attack, eps: float, victim: NetVictim | None = None) -> int:
    victim, batch = victim or toys.victim(), toys.batch()
    return int(fooled(victim, examples(attack, victim, batch, eps, rng()), batch).sum())


class ScoresOnly:
    """A victim without gradients, of 8-bit scores, that counts its answers."""

    differentiable = False

    def __init__(self) -> None:
        self.inner = toys.victim()
        self.answers = 0

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        self.answers += x.shape[0]
        with torch.no_grad():
            return torch.round(self.inner.logits(x, samples) / 0.25) * 0.25


@pytest.mark.parametrize("attack", [*WHITE, *BLACK], ids=lambda attack: attack.name)
def test_examples_are_16_bit_files_within_the_ball(attack: Attack) -> None:
    batch = toys.batch(6)
    for eps in (0.0033, 0.02):
        x = examples(attack, toys.victim(), batch, eps, rng())
        assert x.shape == batch.x.shape
        assert x.dtype == torch.float32
        assert float((x - batch.x).abs().max()) <= eps
        assert torch.equal(x / STEP, torch.round(x / STEP))
        assert float(x.min()) >= -1.0
        assert float(x.max()) <= 1.0 - STEP
        assert not x[~batch.inside].any()


def test_a_clip_at_full_scale_stays_in_range() -> None:
    loud = np.where(np.arange(1024) % 2, 1.0, -1.0).astype(np.float32)
    batch = Batch.of([loud], [0])
    for attack in (Fgsm(), Pgd(3), AutoAttack(1, 3), ArtPgd(3), RandomSigns()):
        x = examples(attack, toys.victim(), batch, 0.05, rng())
        assert float(x.abs().max()) <= 1.0
        assert float((x - batch.x).abs().max()) <= 0.05


def test_nobody_is_fooled_by_the_clips_themselves_or_by_random_signs() -> None:
    batch = toys.batch()
    assert not fooled(toys.victim(), batch.x, batch).any()
    assert broken(RandomSigns(), 0.02) == 0


@pytest.mark.parametrize(
    "attack",
    [Pgd(20), Pgd(20, Raise.MARGIN), AutoAttack(2, 20), ArtPgd(20), Square(300)],
    ids=lambda attack: attack.name,
)
def test_an_attack_wins_at_a_large_eps_and_not_at_a_tiny_one(attack: Attack) -> None:
    assert broken(attack, 0.02) >= 10
    assert broken(attack, 0.0002) == 0


def test_nes_wins_some_and_its_targeted_kind_is_taken_for_the_target() -> None:
    assert broken(Nes(600, 10), 0.03) >= 3
    victim, batch = toys.victim(), toys.batch(6)
    attack = Nes(600, 10, targeted=True)
    targets = attack._targets(batch, len(toys.TONES_HZ), rng())
    assert targets is not None
    assert not (targets == batch.labels).any()
    x = examples(attack, victim, batch, 0.1, rng())
    assert int((victim.logits(x, batch.samples).argmax(1) == targets).sum()) >= 3


def test_white_box_is_not_weaker_than_black_box() -> None:
    for eps in (0.008, 0.02):
        strong = broken(Pgd(40, Raise.MARGIN, 0.1, 3, best=True), eps)
        for attack in (RandomSigns(), Square(150), Nes(150, 5), Fgsm()):
            assert broken(attack, eps) <= strong


def test_more_steps_are_the_same_way_further() -> None:
    batch, victim = toys.batch(), toys.victim()
    shots = Pgd(20).snapshots(victim, batch, 0.01, rng(), [5, 20])
    assert torch.equal(shots[5], Pgd(5).craft(victim, batch, 0.01, rng()))
    assert torch.equal(shots[20], Pgd(20).craft(victim, batch, 0.01, rng()))


def test_the_best_iterate_is_no_worse_than_the_last() -> None:
    batch, victim = toys.batch(), toys.victim()
    for eps in (0.004, 0.008):
        last = examples(Pgd(15, Raise.MARGIN), victim, batch, eps, rng())
        best = examples(Pgd(15, Raise.MARGIN, best=True), victim, batch, eps, rng())
        gap = margin(victim.logits(best, batch.samples), batch.labels) - margin(
            victim.logits(last, batch.samples), batch.labels
        )
        won = fooled(victim, best, batch)
        assert bool((won | (gap < 0.3)).all())
        assert int(won.sum()) >= int(fooled(victim, last, batch).sum())


def test_our_pgd_and_that_of_art_agree() -> None:
    batch, victim = toys.batch(36, 3), toys.victim()
    for eps in (0.006, 0.012):
        ours = fooled(victim, examples(Pgd(20), victim, batch, eps, rng()), batch)
        theirs = fooled(victim, examples(ArtPgd(20), victim, batch, eps, rng()), batch)
        assert int((ours == theirs).sum()) >= 34
    assert int(ours.sum()) > 0


def test_the_libraries_leave_the_global_generators_as_they_were() -> None:
    np.random.seed(5)
    torch.manual_seed(5)
    expected = np.random.random(), torch.rand(1)
    np.random.seed(5)
    torch.manual_seed(5)
    for attack in (AutoAttack(1, 2), ArtPgd(2)):
        examples(attack, toys.victim(), toys.batch(4), 0.002, rng())
    assert np.random.random() == expected[0]
    assert torch.equal(torch.rand(1), expected[1])


def test_the_libraries_hear_each_clip_at_its_own_length() -> None:
    """Else the padding would be heard as a part of the shorter clips."""
    from earmark_host.speaker.attacks.libraries import _Rows

    victim, batch = toys.victim(), toys.batch(8)
    rows = [5, 2, 7, 0]
    x = batch.x[rows] + 0.002 * torch.from_numpy(rng().uniform(-1, 1, (4, batch.x.shape[1])))
    x = x.float()
    expected = victim.logits(x, [batch.samples[row] for row in rows])
    halved = (x[:, None, None] + 1.0) / 2.0
    assert torch.allclose(_Rows(victim, batch, True)(halved), expected, atol=1e-3)
    assert torch.allclose(_Rows(victim, batch, False)(x), expected, atol=1e-5)


def test_black_box_attacks_need_scores_only_and_keep_to_their_budget() -> None:
    batch = toys.batch(4)
    for attack in (Square(80), Nes(80, 5), Nes(80, 5, targeted=True)):
        victim = ScoresOnly()
        examples(attack, victim, batch, 0.0005, rng())  # too small to win and stop
        assert 60 * 4 <= victim.answers <= 80 * 4 + 1


def test_a_white_box_attack_without_gradients_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        examples(Pgd(5), ScoresOnly(), toys.batch(2), 0.01, rng())


def test_a_straight_through_surrogate_has_their_values_and_its_parents_gradients() -> None:
    scores, parent, batch = ScoresOnly(), toys.victim(), toys.batch()
    surrogate = StraightThrough(scores, parent)
    x = batch.x.clone().requires_grad_()
    told = surrogate.logits(x, batch.samples)
    assert torch.allclose(told, scores.logits(batch.x, batch.samples), atol=1e-5)
    (mine,) = torch.autograd.grad(told[:, 0].sum(), x)
    (theirs,) = torch.autograd.grad(parent.logits(x, batch.samples)[:, 0].sum(), x)
    assert torch.equal(mine, theirs)
    x = examples(Pgd(20, Raise.MARGIN), surrogate, batch, 0.02, rng())
    assert int(fooled(scores, x, batch).sum()) >= 10


def test_rounding_stays_within_the_ball_and_the_range() -> None:
    clean = torch.tensor([[0.0, 0.5, 1.0 - STEP, -1.0]])
    x = as_pcm16(clean + 0.002, clean, 0.002)
    assert torch.equal((x - clean) / STEP, torch.tensor([[65.0, 65.0, 0.0, 65.0]]))
    assert float(as_pcm16(torch.tensor([[1.0]]))) == 1.0 - STEP
    assert float(as_pcm16(torch.tensor([[0.3 * STEP]]))) == 0.0


def test_a_victim_hears_each_clip_as_if_it_were_alone() -> None:
    victim, batch = toys.victim(), toys.batch(5)
    together = victim.logits(batch.x, batch.samples)
    for row, samples in enumerate(batch.samples):
        alone = victim.logits(batch.x[row : row + 1, :samples])
        assert torch.allclose(together[row], alone[0], atol=1e-4)
        cut = toys.TonesNet().windows(batch.x[row, :samples])
        assert torch.allclose(together[row], toys.TonesNet()(cut).mean(0), atol=1e-4)


def test_a_short_clip_is_heard_as_the_network_repeats_it() -> None:
    net, short = toys.TonesNet(), toys.clip(2, 700, rng())
    x = torch.from_numpy(short)[None].requires_grad_()
    told = NetVictim.of(net).logits(x)
    assert torch.allclose(told[0], net(net.windows(x[0].detach()))[0], atol=1e-4)
    (slope,) = torch.autograd.grad(told[0, 2], x)
    assert slope.abs().sum() > 0
    whole = filled(short, toys.WINDOW)
    assert whole.size == toys.WINDOW
    assert np.array_equal(whole[:700], short)
    assert np.array_equal(whole[700:], short[: toys.WINDOW - 700])


def test_batches_hold_every_clip_once_and_little_padding() -> None:
    signals, labels = toys.clips(30)
    seen = []
    for numbers, batch in batches(signals, labels, longest=12_000):
        seen += numbers
        assert batch.x.numel() <= 12_000
        for row, number in enumerate(numbers):
            assert batch.samples[row] == signals[number].size
            assert int(batch.labels[row]) == labels[number]
            own = batch.x[row, : signals[number].size].numpy()
            assert np.allclose(own, signals[number], atol=STEP)
    assert sorted(seen) == list(range(30))


def test_one_clip_can_be_attacked_alone() -> None:
    signal = toys.clip(1, 1500, rng())
    x = craft_one(Pgd(10, Raise.MARGIN), toys.victim(), signal, 1, 0.02, rng())
    assert x.shape == signal.shape
    assert float(np.abs(x - signal).max()) <= 0.02 + STEP
    assert int(toys.victim().logits(torch.from_numpy(x)[None]).argmax()) != 1


def test_the_same_seed_gives_the_same_examples() -> None:
    batch, victim = toys.batch(4), toys.victim()
    for attack in (Pgd(3), AutoAttack(1, 3), ArtPgd(3), Square(10), Nes(30, 5), RandomSigns()):
        one, other = (examples(attack, victim, batch, 0.005, rng(7)) for _ in range(2))
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"alpha": 0.0}, {"restarts": 2}, {"restarts": 0, "best": True}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"steps|restarts"):
        Pgd(**wrong)  # type: ignore[arg-type]
