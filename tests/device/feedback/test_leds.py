"""LEDs: the pattern's rhythm and colour in the kernel's files, and no harm from a broken one."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from earmark.feedback import FeedbackSettings, Leds, light
from earmark.feedback.leds import Led, steps
from earmark.feedback.lights import Colour
from earmark.gate import Announcement


def sysfs(root: Path, name: str, most: int = 255, channels: str = "") -> Path:
    """A folder as the kernel shows it."""
    led = root / name
    led.mkdir(parents=True)
    (led / "max_brightness").write_text(f"{most}\n")
    (led / "brightness").write_text("7\n")
    (led / "trigger").write_text("[heartbeat] none mmc0\n")
    if channels:
        (led / "multi_index").write_text(f"{channels}\n")
        (led / "multi_intensity").write_text("0 0 0\n")
    return led


class Watch:
    """Waits for nothing, and writes down what could be seen meanwhile."""

    def __init__(self, led: Path, patience: int = 50) -> None:
        self.seen: list[tuple[str, float | None]] = []
        self.over = threading.Event()
        self._led = led
        self._patience = patience

    def __call__(self, changed: threading.Event, seconds: float | None) -> None:
        self.seen.append(((self._led / "brightness").read_text(), seconds))
        if seconds is None or len(self.seen) >= self._patience:
            self.over.set()
            changed.wait()


def shown(root: Path, led: Path, told: Announcement) -> list[tuple[str, float | None]]:
    """What `led` shows, step by step: its brightness and for how long."""
    watch = Watch(led)
    leds = Leds((led.name,), root)
    leds.close()
    leds = Leds((led.name,), root, watch)
    assert watch.over.wait(10)  # dark, and waits for a pattern
    watch.seen.clear()
    watch.over.clear()
    leds.show(light(told))
    assert watch.over.wait(10)
    leds.close()
    return watch.seen


def test_a_pattern_that_ends_is_shown_in_its_rhythm_and_goes_dark(tmp_path: Path) -> None:
    led = sysfs(tmp_path, "status")
    seen = shown(tmp_path, led, Announcement.COULD_NOT_VERIFY)
    assert seen == [("255", 0.8), ("0", 0.2), ("255", 0.8), ("0", 0.2), ("0", 0.0), ("0", None)]


def test_a_state_goes_on_and_a_steady_light_needs_no_waking_up(tmp_path: Path) -> None:
    led = sysfs(tmp_path, "status", most=3)
    assert shown(tmp_path, led, Announcement.MUTED)[:4] == [("3", 0.1), ("0", 2.9)] * 2
    other = sysfs(tmp_path, "other")
    assert shown(tmp_path, other, Announcement.WOKEN) == [("255", None)]


@pytest.mark.parametrize("told", list(Announcement))
def test_the_steps_are_the_pattern(told: Announcement) -> None:
    pattern = light(told)
    found = list(itertools.islice(steps(pattern), 40))
    lit = sum(seconds or 0.0 for colour, seconds in found if colour is not None)
    if pattern.repeats:
        assert sum(seconds or 0.0 for _, seconds in found) == pytest.approx(pattern.duration_s)
        assert found[-1] == (None, 0.0)
        assert lit == pytest.approx(sum(pattern.blink[::2]) * pattern.repeats)
    else:
        assert found[0][0] is pattern.colour
        assert len(found) in (1, 40)


def test_the_newest_pattern_interrupts(tmp_path: Path) -> None:
    led = sysfs(tmp_path, "status")
    leds = Leds(("status",), tmp_path)
    leds.show(light(Announcement.MUTED))
    leds.show(light(Announcement.WOKEN))
    until(lambda: (led / "brightness").read_text() == "255")
    leds.show(light(Announcement.READY))
    until(lambda: (led / "brightness").read_text() == "0")
    leds.close()


def test_several_colours_are_mixed_in_the_order_of_the_led(tmp_path: Path) -> None:
    led = sysfs(tmp_path, "rgb:status", most=510, channels="blue green red")
    Led(led).show(Colour.VERMILION)  # 213, 94, 0
    assert (led / "multi_intensity").read_text() == "0 188 426"
    assert (led / "brightness").read_text() == "510"
    white = sysfs(tmp_path, "rgbw", channels="red green blue white")
    Led(white).show(Colour.YELLOW)  # 240, 228, 66
    assert (white / "multi_intensity").read_text() == "240 228 66 66"


def test_the_trigger_of_the_kernel_is_taken_off_and_the_end_is_dark(tmp_path: Path) -> None:
    led = sysfs(tmp_path, "ACT")
    leds = Leds(("ACT",), tmp_path)
    assert (led / "trigger").read_text() == "none"
    assert (led / "brightness").read_text() == "0"
    leds.show(light(Announcement.WOKEN))
    until(lambda: (led / "brightness").read_text() == "255")
    leds.close()
    leds.close()
    assert (led / "brightness").read_text() == "0"


def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never came true")


# What does not work is told once


def test_a_missing_led_is_told_once_and_the_others_shine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    led = sysfs(tmp_path, "status")
    leds = Leds(("nowhere", "status"), tmp_path)
    for _ in range(5):
        leds.show(light(Announcement.WOKEN))
    until(lambda: (led / "brightness").read_text() == "255")
    leds.close()
    told = "LED nowhere does not work (No such file or directory): check feedback.leds"
    assert [record.getMessage() for record in caplog.records] == [told]


@pytest.mark.parametrize("most", ["0", "-1", "99999999999", "bright", ""])
def test_an_led_that_says_nonsense_is_left_out(
    tmp_path: Path, most: str, caplog: pytest.LogCaptureFixture
) -> None:
    led = sysfs(tmp_path, "odd")
    (led / "max_brightness").write_text(most)
    leds = Leds(("odd",), tmp_path)
    leds.show(light(Announcement.WOKEN))
    leds.close()
    assert caplog.text.count("LED odd does not work") == 1
    assert (led / "brightness").read_text() == "7\n"


def test_an_led_that_vanishes_while_it_shines_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    led = sysfs(tmp_path, "usb")
    leds = Leds(("usb",), tmp_path)
    (led / "brightness").unlink()
    (led / "brightness").mkdir()
    for told in (Announcement.WOKEN, Announcement.FAULT, Announcement.MUTED):
        leds.show(light(told))
    until(lambda: "LED usb does not work" in caplog.text)
    leds.close()
    assert caplog.text.count("LED usb does not work") == 1


def test_a_write_that_hangs_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sysfs(tmp_path, "slow")
    leds = Leds(("slow",), tmp_path)
    release, hung = threading.Event(), threading.Event()

    def hang(self: Led, colour: Colour | None) -> None:
        hung.set()
        release.wait(20)

    monkeypatch.setattr(Led, "show", hang)
    monkeypatch.setattr("earmark.feedback.leds.CLOSE_S", 0.05)
    leds.show(light(Announcement.WOKEN))
    assert hung.wait(10)
    for told in Announcement:
        leds.show(light(told))
    leds.close()
    assert not release.is_set(), "nobody waited for it"
    release.set()


@pytest.mark.parametrize("name", ["", ".", "..", "../mem", "a/b", "a b", "x" * 65, "a\n"])
def test_a_name_that_is_no_led_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        FeedbackSettings(leds=(name,))


@pytest.mark.parametrize("name", ["ACT", "rgb:status", "input3::capslock", "led-1.0"])
def test_names_of_the_kernel_are_taken(name: str) -> None:
    assert FeedbackSettings(leds=(name,)).leds == (name,)
