"""Light patterns on the kernel's LEDs (``/sys/class/leds``), of one colour or of several.

A thread of its own plays the rhythm, so that a slow bus never holds up the audio. The newest
pattern is shown at once; what it interrupts does not come back. An LED that is missing or fails
is told once, and the others shine on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from earmark.feedback.lights import Colour, LightPattern

_log = logging.getLogger(__name__)

SYSFS = Path("/sys/class/leds")
"""Where the kernel shows its LEDs."""

CLOSE_S = 0.5
"""Longest wait at the end for a write that hangs, s."""

MAX_BRIGHTNESS = 65_535
"""Largest brightness believed; the kernel's own are 1 to 4,095."""


class Led:
    """One LED.

    Multi-colour LEDs (``multi_index``, ``multi_intensity``) show the pattern's colour; others
    only its rhythm, by which all patterns can be told apart.

    Parameters
    ----------
    folder : the LED's folder.

    Raises
    ------
    OSError, ValueError
        There is no such LED, it is not writable, or it says nonsense.
    """

    def __init__(self, folder: Path) -> None:
        self._brightness = folder / "brightness"
        self._intensity = folder / "multi_intensity"
        self._most = int(_read(folder / "max_brightness"))
        if not 1 <= self._most <= MAX_BRIGHTNESS:
            raise ValueError("max_brightness is out of range")
        self._channels: tuple[str, ...] = ()
        if self._intensity.exists():
            self._channels = tuple(_read(folder / "multi_index").split())
        trigger = folder / "trigger"
        if trigger.exists():
            # Or the heartbeat, or the disk, would blink in between.
            trigger.write_text("none")
        self.show(None)

    def show(self, colour: Colour | None) -> None:
        """Light it in `colour`; None is dark.

        Raises
        ------
        OSError
            The LED does not take it.
        """
        if colour is not None and self._channels:
            self._intensity.write_text(" ".join(map(str, self._mixed(colour))))
        self._brightness.write_text(str(0 if colour is None else self._most))

    def _mixed(self, colour: Colour) -> list[int]:
        """The intensity of each channel; a white one, or one of another name, takes the least."""
        red, green, blue = colour.value
        named = {"red": red, "green": green, "blue": blue}
        rest = min(colour.value)
        return [round(named.get(name, rest) * self._most / 255) for name in self._channels]


class Leds:
    """Shows patterns on some LEDs.

    Parameters
    ----------
    names : folders in `root`, such as ``rgb:status``.
    root : where the LEDs are.
    wait : waits so many seconds (None: for ever) until the event is set; for tests.
    """

    def __init__(
        self,
        names: Sequence[str],
        root: Path = SYSFS,
        wait: Callable[[threading.Event, float | None], object] = threading.Event.wait,
    ) -> None:
        self._wait = wait
        self._failed: set[str] = set()
        self._leds = {name: led for name in names if (led := self._opened(name, root))}
        self._next: LightPattern | None = None
        self._changed = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="earmark-leds", daemon=True)
        self._thread.start()

    def show(self, pattern: LightPattern) -> None:
        """Begin a pattern; returns at once."""
        self._next = pattern
        self._changed.set()

    def close(self) -> None:
        """Go dark. Closing twice is harmless."""
        self._over = True
        self._changed.set()
        self._thread.join(CLOSE_S)

    def _opened(self, name: str, root: Path) -> Led | None:
        try:
            return Led(root / name)
        except (OSError, ValueError) as error:
            self._tell(name, error)
            return None

    def _run(self) -> None:
        while True:
            self._changed.clear()
            pattern = self._next
            if self._over:
                break
            if pattern is not None:
                for colour, seconds in steps(pattern):
                    self._light(colour)
                    self._wait(self._changed, seconds)
                    if self._changed.is_set():
                        break
                else:
                    self._wait(self._changed, None)
            else:
                self._wait(self._changed, None)
        self._light(None)

    def _light(self, colour: Colour | None) -> None:
        for name, led in self._leds.items():
            try:
                led.show(colour)
            except OSError as error:
                self._tell(name, error)

    def _tell(self, name: str, error: Exception) -> None:
        if name not in self._failed:
            self._failed.add(name)
            why = getattr(error, "strerror", None) or str(error)
            _log.warning("LED %s does not work (%s): check feedback.leds", name, why)


def steps(pattern: LightPattern) -> Iterator[tuple[Colour | None, float | None]]:
    """What a pattern shows: colours (None is dark) and for how long, s; None is for ever.

    A pattern that ends leaves the dark behind; one that goes on never ends here.
    """
    lengths = list(zip(pattern.blink[::2], pattern.blink[1::2], strict=True))
    if not pattern.repeats and all(off == 0.0 for _, off in lengths):
        yield pattern.colour, None  # steady: nothing to wake up for
        return
    shown = 0
    while not pattern.repeats or shown < pattern.repeats:
        for on_s, off_s in lengths:
            yield pattern.colour, on_s
            if off_s > 0.0:
                yield None, off_s
        shown += 1
    yield None, 0.0


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(256).decode("ascii", "replace").strip()
