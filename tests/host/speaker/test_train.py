"""Training learns, goes on where it was cut short, and is the same with two processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from earmark.errors import EarmarkError
from earmark_host.speaker import schedule
from earmark_host.speaker.arms import ARMS, arm
from earmark_host.speaker.checkpoint import Trained, load
from earmark_host.speaker.clips import Cache, people, split
from earmark_host.speaker.network import Shape, SpeakerNet
from earmark_host.speaker.schedule import FAST, Recipe
from earmark_host.speaker.train import (
    LAST,
    LOG,
    MODEL,
    NOBODY,
    Batch,
    Group,
    Loss,
    Material,
    Plan,
    _crop,
    _order,
    _step,
    accuracy,
    take_over,
    train,
)

from .corpora import SMALL, librispeech

QUIET = Console(quiet=True)
RECIPE = replace(FAST, steps=6, batch=8, ascent=1, clean=0.2, ramp=0.3, full=0.4, eps=0.01)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return librispeech(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def material(corpus: Path) -> Material:
    return Material(split(people(corpus)))


def taught(material: Material) -> Material:
    """With two of the clips as strangers', and made-up targets."""
    own = material.split
    extra = tuple(replace(clip, person="stranger") for clip in own.test[:2])
    count = len(own.train) + len(extra)
    targets = np.random.default_rng(0).standard_normal((count, 5)).astype(np.float32)
    return replace(material, extra=extra, targets=targets)


def plan(name: str = "hat10", **changes: object) -> Plan:
    return Plan(arm(name), SMALL, replace(RECIPE, **changes), seed=1)  # type: ignore[arg-type]


class TestTraining:
    def test_it_learns_voices_and_to_withstand_an_attack(
        self, material: Material, tmp_path: Path
    ) -> None:
        long = plan(steps=40, batch=12, eps=0.002, light=1, full=0.1)
        trained = train(material, long, tmp_path, QUIET)
        right, count = accuracy(trained, material.split.test, Cache())
        assert count == len(material.split.test) == 24
        assert right >= 22
        fresh = replace(trained, net=SpeakerNet(SMALL, 3).eval())
        assert accuracy(fresh, material.split.test, Cache())[0] < 18
        log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
        assert log[-1]["step"] == 40
        assert log[-1]["eps"] == 0.002

    def test_what_it_writes_is_what_it_returns(self, material: Material, tmp_path: Path) -> None:
        trained = train(material, plan(steps=2), tmp_path, QUIET)
        found = load(tmp_path / MODEL)
        assert found.people == trained.people == ("10", "11", "12")
        assert (found.arm, found.seed, found.steps) == ("hat10", 1, 2)
        assert found.split["disjoint"] == "session"
        assert found.recipe["eps"] == 0.01
        for name, value in trained.net.state_dict().items():
            assert torch.equal(value, found.net.state_dict()[name])

    def test_cut_short_it_goes_on_to_the_same_bits(
        self, material: Material, tmp_path: Path
    ) -> None:
        both = taught(material)
        whole = plan(distil=1.0)
        whole = replace(whole, shape=replace(SMALL, teacher=5))
        straight = train(both, whole, tmp_path / "straight", QUIET)
        train(both, whole, tmp_path / "cut", QUIET, stop_after=3)
        assert not (tmp_path / "cut" / MODEL).exists()
        torch.rand(3)  # neither draws from the global state
        resumed = train(both, whole, tmp_path / "cut", QUIET, resume=True)
        assert resumed.steps == 6
        for name, value in straight.net.state_dict().items():
            assert torch.equal(value, resumed.net.state_dict()[name]), name

    def test_a_voice_at_another_speed_is_somebody_else_only_in_training(
        self, material: Material, tmp_path: Path
    ) -> None:
        faster = replace(material, speeds=(0.9, 1.2))
        assert faster.voices[:3] == material.split.people
        assert len(faster.voices) == 9
        assert len(faster.clips) == 3 * len(material.clips)
        labels = faster.batch(plan(batch=60, speeds=(0.9, 1.2)), 0).label
        assert set(labels.tolist()) == set(range(9))

        whole = plan(steps=3, speeds=(0.9, 1.2))
        trained = train(faster, whole, tmp_path, QUIET)
        assert load(tmp_path / LAST).people == faster.voices
        assert trained.people == load(tmp_path / MODEL).people == material.split.people
        signal = torch.rand(1, SMALL.window_samples)
        wide = load(tmp_path / LAST).net(signal)
        torch.testing.assert_close(trained.net(signal), wide[:, :3])
        with pytest.raises(EarmarkError, match="another people"):
            train(material, whole, tmp_path, QUIET, resume=True)

    def test_another_seed_is_another_network(self, material: Material, tmp_path: Path) -> None:
        one, other = (
            train(material, replace(plan(steps=1), seed=seed), tmp_path, QUIET) for seed in (1, 2)
        )
        assert not torch.equal(one.net.head.weight, other.net.head.weight)

    def test_it_does_not_go_on_with_something_else(
        self, material: Material, tmp_path: Path
    ) -> None:
        train(material, plan(), tmp_path, QUIET, stop_after=1)
        for other, match in [
            (plan("pgd10"), "another arm"),
            (plan(eps=0.02), "another recipe"),
            (replace(plan(), seed=2), "another seed"),
        ]:
            with pytest.raises(EarmarkError, match=match):
                train(material, other, tmp_path, QUIET, resume=True)
        with pytest.raises(EarmarkError, match="cannot be read"):
            train(material, plan(), tmp_path / "new", QUIET, resume=True)

    def test_it_begins_with_what_another_has_learnt(
        self, material: Material, tmp_path: Path
    ) -> None:
        before = train(material, plan(steps=3), tmp_path / "one", QUIET)
        # A rate at which nothing is learnt shows where it began.
        still = plan(steps=2, rate=1e-12)
        trained = train(material, still, tmp_path / "two", QUIET, start=before)
        for name, value in before.net.named_parameters():
            learnt = trained.net.get_parameter(name)
            torch.testing.assert_close(learnt, value, atol=1e-6, rtol=1e-5)
        assert load(tmp_path / "two" / MODEL).start == json.loads(json.dumps(before.about))
        train(material, still, tmp_path / "cut", QUIET, stop_after=1, start=before)
        with pytest.raises(EarmarkError, match="another start"):
            train(material, still, tmp_path / "cut", QUIET, resume=True)

    def test_of_another_ones_classes_it_takes_those_that_it_has(self) -> None:
        torch.manual_seed(1)
        shape = replace(SMALL, teacher=5)
        given, net = SpeakerNet(shape, 3), SpeakerNet(SMALL, 2)
        fresh = net.head.weight.detach().clone()
        start = Trained(given, shape, ("a", "b", "c"), "hat10", 1, {}, {}, 9)
        take_over(net, ("c", "new"), start)
        assert torch.equal(net.head.weight[0], given.head.weight[2])
        assert torch.equal(net.head.weight[1], fresh[1])
        assert net.project is None

    @pytest.mark.parametrize(
        ("shape", "people"),
        [
            (replace(SMALL, channels=(6, 4)), ("a",)),
            (replace(SMALL, front_end=replace(SMALL.front_end, floor=1e-5)), ("a",)),
            (SMALL, ("x",)),
        ],
    )
    def test_it_does_not_begin_with_something_else(
        self, shape: Shape, people: tuple[str, ...]
    ) -> None:
        start = Trained(SpeakerNet(shape, 1), shape, people, "hat10", 1, {}, {}, 9)
        with pytest.raises(EarmarkError, match=r"another shape.*same --shape"):
            take_over(SpeakerNet(SMALL, 2), ("a", "b"), start)

    @pytest.mark.parametrize("name", ARMS)
    def test_every_arm_takes_a_step(self, material: Material, tmp_path: Path, name: str) -> None:
        trained = train(material, plan(name, steps=2, clean=0.0, ramp=0.0), tmp_path, QUIET)
        assert all(torch.isfinite(value).all() for value in trained.net.state_dict().values())

    def test_two_processes_train_one_network(self, corpus: Path, tmp_path: Path) -> None:
        """As torchrun starts them: with their places in the environment."""
        details = ["channels=[4,4]", "pools=[0]", "window_frames=16", "embedding=4", "ascent=0"]
        command = [sys.executable, "-m", "earmark_host.cli", "speaker", "train"]
        command += [f"--data={corpus}", f"--out={tmp_path}", "--steps=3", "--batch=6"]
        command += [f"--set={detail}" for detail in details]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        started = [
            subprocess.Popen(
                command,
                env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        said = [process.communicate(timeout=300) for process in started]
        assert [process.returncode for process in started] == [0, 0], said
        assert "clean test recordings" in said[0][0]
        assert said[1][0] == ""
        assert load(tmp_path / MODEL).steps == 3
        assert len((tmp_path / LOG).read_text().splitlines()) == 1


class TestStep:
    def updated(self, material: Material, name: str) -> dict[str, torch.Tensor]:
        """Gradients of the first step with an attack."""
        whole = plan(name, clean=0.0, ramp=0.0)
        torch.manual_seed(1)
        net = SpeakerNet(SMALL, 3)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        group = Group(0, 1, torch.device("cpu"))
        _step(material, whole, net, Loss(net, whole), optimizer, 0, group)
        return {key: value.grad.clone() for key, value in net.named_parameters()}  # type: ignore[union-attr]

    def test_arms_take_different_steps(self, material: Material) -> None:
        found = [self.updated(material, name)["head.weight"] for name in ARMS]
        for place, one in enumerate(found):
            assert not any(torch.equal(one, other) for other in found[:place])

    def test_the_clean_term_counts_unless_it_has_no_gradient(self, material: Material) -> None:
        torch.manual_seed(1)
        net = SpeakerNet(SMALL, 3)
        batch = material.batch(plan(), 0)
        attacked = batch.signal + 0.01

        def value(name: str, signal: torch.Tensor) -> float:
            loss = Loss(net, plan(name))(signal, attacked, batch.label, None)
            return float(loss.detach())

        quiet = 0.1 * batch.signal
        assert value("hat10", quiet) != value("hat10", batch.signal)
        assert value("hat10-released", quiet) == value("hat10-released", batch.signal)
        assert value("hat10-released", quiet) == value("pgd10-paper", quiet)

    def test_strangers_teach_but_have_no_label(self, material: Material) -> None:
        both = taught(material)
        shape = replace(SMALL, teacher=5)
        whole = Plan(arm("hat10"), shape, replace(RECIPE, distil=1.0), 1)
        torch.manual_seed(1)
        net = SpeakerNet(shape, 3)
        batch = both.batch(whole, 0)
        alone = torch.full_like(batch.label, NOBODY)
        loss = Loss(net, whole)
        loss(batch.signal, None, alone, batch.target).backward()
        assert net.project is not None
        assert net.project.weight.grad is not None
        assert net.project.weight.grad.abs().sum() > 0.0
        assert net.head.weight.grad is not None
        assert net.head.weight.grad.abs().sum() == 0.0


class TestMaterial:
    def test_each_epoch_hears_every_clip_once(self) -> None:
        heard = [place for step in range(9) for place in _order(1, 12, step * 8, 8)]
        for epoch in range(6):
            assert sorted(heard[epoch * 12 : (epoch + 1) * 12]) == list(range(12))
        assert heard[:12] != heard[12:24]

    def test_a_batch_is_a_function_of_its_step(self, material: Material) -> None:
        one, again, later = (material.batch(plan(), step) for step in (4, 4, 5))
        assert torch.equal(one.signal, again.signal)
        assert not torch.equal(one.signal, later.signal)
        assert one.signal.shape == (8, SMALL.window_samples)
        assert one.target is None

    def test_processes_share_a_batch(self, material: Material) -> None:
        whole = taught(material).batch(plan(), 2)
        halves = [taught(material).batch(plan(), 2, rank, 2) for rank in (0, 1)]
        for rank, half in enumerate(halves):
            assert torch.equal(half.signal, whole.signal[rank::2])
            assert torch.equal(half.label, whole.label[rank::2])
            assert half.target is not None
            assert whole.target is not None
            assert torch.equal(half.target, whole.target[rank::2])

    def test_strangers_have_no_label(self, material: Material) -> None:
        both = taught(material)
        count = len(both.clips)
        batch: Batch = both.batch(plan(batch=count), 0)
        assert int((batch.label == NOBODY).sum()) == 2

    def test_a_crop_is_of_the_clip_and_does_not_clip(self) -> None:
        samples = np.array([0, 8192, -16384, 4096], np.int16)
        assert _crop(samples, 2, 0.999, 0.0).tolist() == [-0.5, 0.125]
        assert _crop(samples, 2, 0.0, 6.0206)[1] == pytest.approx(0.5, rel=1e-4)
        assert np.abs(_crop(samples, 4, 0.5, 30.0)).max() == 1.0
        assert _crop(samples, 6, 0.0, 0.0).tolist() == [0.0, 0.25, -0.5, 0.125, 0.0, 0.25]

    def test_a_batch_that_cannot_be_shared_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORLD_SIZE", "3")
        with pytest.raises(EarmarkError, match="3 processes cannot share a batch of 8"):
            Group.of_environment(8)


class TestSchedule:
    def test_ours_is_clean_then_grows_then_is_full(self) -> None:
        recipe = Recipe(steps=1000, clean=0.1, ramp=0.2, full=0.3, light=3, light_alpha=0.5)
        assert recipe.eps_at(99) == 0.0
        assert 0.0 < recipe.eps_at(100) < recipe.eps_at(200) < recipe.eps_at(298)
        assert recipe.eps_at(299) == recipe.eps_at(999) == 0.002
        hat = arm("hat10")
        assert recipe.attack_at(699, hat) == (3, 0.5)
        assert recipe.attack_at(700, hat) == (10, 0.2)
        for step in (0, 999):
            assert recipe.attack_at(step, arm("fgsm")) == (1, 1.0)
            assert recipe.attack_at(step, arm("standard"))[0] == 0

    def test_ours_rises_and_falls(self) -> None:
        recipe = Recipe(steps=1000, rate=0.1, ascent=10)
        assert recipe.rate_at(0) == pytest.approx(0.01)
        assert recipe.rate_at(9) == pytest.approx(0.1, rel=1e-3)
        assert recipe.rate_at(500) == pytest.approx(0.05)
        assert recipe.rate_at(999) < 1e-6

    def test_the_paper_s_is_the_paper_s(self) -> None:
        recipe = schedule.paper(steps_per_epoch=7)
        assert (recipe.steps, recipe.batch) == (1400, 128)
        for epoch, rate in [(0, 0.1), (59, 0.1), (60, 0.01), (89, 0.01), (90, 1e-3), (199, 1e-3)]:
            assert recipe.rate_at(epoch * 7) == pytest.approx(rate)
        assert recipe.eps_at(0) == recipe.eps_at(1399) == 0.002
        for step in (0, 1399):
            assert recipe.attack_at(step, arm("hat10")) == (10, 0.2)
