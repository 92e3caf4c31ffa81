"""`earmark run` as a service: signals, watchdog, control socket, lights and reload.

All of it goes along with the audio loop as its :class:`~earmark.daemon.Attendant` and takes
microseconds of a block. The watchdog is fed by that loop and by nothing else: while blocks flow,
and while a lost card is waited for, between two tries to open it. A restart would not plug the
card in again, so an unplugged one must not cause one; but a loop that hangs, also inside the
sound library which is to open the card, feeds nothing and is restarted. So does one whose library
has not let go of its last card for a minute.
"""

from __future__ import annotations

import logging
import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any

from earmark import __version__, daemon, heap
from earmark.audio import AudioPort, stuck_s
from earmark.config import Config
from earmark.control import ControlError, ControlServer, MuteFile, Request
from earmark.daemon import Attendant, Device, Facts
from earmark.doctor import within
from earmark.errors import EarmarkError, StreamBroken
from earmark.feedback import Entry, Leds, LightPattern
from earmark.gate import Announcement, Reason
from earmark.judging import Judgement
from earmark.loop import Manner
from earmark.notify import Notifier
from earmark.reloading import Plan, plan
from earmark.session import State
from earmark.signals import Signals, has_terminal, outlives_terminal
from earmark.stream_watch import StreamWatch
from earmark.worker import Worker

_log = logging.getLogger(__name__)

END_S = 1.5
"""Time from a signal to stop until the process ends by force, s. The orderly end waits 0.8 s for
the last work and 0.5 s for a card that stalls; in all a stop is to take less than 2 s. Nothing is
lost by force: ledger, memory and vault are whole after each write."""

LOOP_S = 2.0
"""Longest wait for the audio loop to carry out a request, s: a hundred blocks."""

FACTS_S = 60.0
"""Age at which what is known of the files is found out anew, s; also after each session."""

PAUSE_S = 0.1
"""Longest sleep at once while a card is waited for, s: requests and the watchdog do not wait."""

STUCK_S = 60.0
"""How long a sound library may not let go of a card before the watchdog is fed no more, s. A
server that was restarted lets go within seconds; a library that hangs does so until the process
ends, and no card is opened meanwhile."""

MAX_COMMANDS = 8
"""Most requests that wait for the audio loop."""

_DOING = {
    State.IDLE: "Listening for the wake word",
    State.LOCKED: "Locked after rejected commands",
    State.MUTED: "Muted",
    State.BROKEN: "Sound card lost, trying to open it again",
}
"""What `systemctl status` says in each state; in the others a session is open."""

_COUNTED = {
    Announcement.TRY_AGAIN_NOTHING_HEARD: "nothing_heard",
    Announcement.TRY_AGAIN_TOO_LONG: "too_long",
    Announcement.OFFLINE: "not_forwarded",
}
"""Sessions that ended without a verdict, or whose command did not leave."""

_VERDICTS = {State.ALLOWED: "allowed", State.RETRY: "retried", State.REJECTED: "rejected"}


class Service(Attendant):
    """The service around one device.

    Parameters
    ----------
    config : the settings.
    notifier : tells the service manager.
    load : reads the settings again.
    leave : ends the process with an exit status, at once.
    clock, now : monotonic time and the wall clock, s.
    """

    def __init__(
        self,
        config: Config,
        notifier: Notifier,
        load: Callable[[], Config],
        *,
        leave: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._notifier = notifier
        self._load = load
        self._leave = leave
        self._clock = clock
        self._now = now
        self._began_s = clock()
        self._stop = threading.Event()
        self._force = threading.Timer(END_S, self._end_by_force)
        self._hangup = threading.Event()
        self._device: Device | None = None
        self._executor: Executor | None = None
        self._watch: StreamWatch | None = None
        self._port: AudioPort | None = None
        self._ready = False
        self._state: State | None = None
        self._state_since_s = self._began_s
        self._lost: str | None = None
        self._lost_count = 0
        self._late_before = 0
        self._counts = dict.fromkeys([*_VERDICTS.values(), *_COUNTED.values()], 0)
        self._reasons = dict.fromkeys((reason.value for reason in Reason), 0)
        self._facts = Facts()
        self._facts_job: Future[Facts] | None = None
        self._facts_due_s = self._began_s
        self._reload: Future[tuple[Plan, Manner]] | None = None
        self._reloaded: dict[str, object] | None = None
        self._commands: queue.Queue[tuple[bool, Future[None]]] = queue.Queue(MAX_COMMANDS)
        self._mute_file = MuteFile(config.control.mute_file)
        self._errands = Worker(grace_s=0.2)
        self._leds = Leds(config.feedback.leds) if config.feedback.leds else None
        self._server = self._served()
        notifier.status("Starting")

    def _served(self) -> ControlServer | None:
        path = self._config.control.path
        if path is None:
            return None
        try:
            return ControlServer(path, self._answer)
        except ControlError as error:
            # Nothing that guards depends on it.
            _log.warning("%s; going on without", error)
            return None

    # -- from the signals' thread -----------------------------------------------------------

    def stop(self) -> None:
        """End within 2 s, whatever goes on. May be called several times."""
        if not self._stop.is_set():
            self._stop.set()
            self._notifier.stopping()
            self._notifier.status("Stopping")
            self._force.daemon = True
            self._force.start()

    def reload(self) -> None:
        """Read the settings again, as soon as no session is open."""
        self._hangup.set()

    def _end_by_force(self) -> None:
        # In a thread of its own: whoever hangs may hold the lock of the log.
        message = "did not end within %g s: ended by force; no file is harmed by that"
        told = threading.Thread(target=_log.warning, args=(message, END_S), daemon=True)
        told.start()
        told.join(0.2)
        self._leave(0)

    # -- from the audio loop ----------------------------------------------------------------

    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        """Sleep while a card is waited for, but not to requests, signals and the watchdog."""
        until_s = self._clock() + seconds
        while not self._stop.is_set() and (left_s := until_s - self._clock()) > 0.0:
            self._attend()
            self._stop.wait(min(PAUSE_S, left_s))

    def watched(self, watch: StreamWatch) -> None:
        self._watch = watch

    def built(self, device: Device, executor: Executor) -> None:
        self._device, self._executor = device, executor
        if self._mute_file.muted:
            device.loop.mute()
        self._attend()

    def flowing(self, port: AudioPort) -> None:
        if port is not self._port:
            self._port, self._lost = port, None
        self._attend()
        if not self._ready:
            self._ready = True
            self._notifier.ready()
            _log.info("started", extra={"MESSAGE_ID": Entry.STARTED.message_id})

    def lost(self, error: StreamBroken) -> None:
        self._lost = error.what
        self._lost_count += 1
        self._late_before += _late_blocks(self._port)
        self._port = None
        self._attend()

    def announce(self, told: Announcement) -> None:
        counted = _COUNTED.get(told)
        if counted is not None:
            self._counts[counted] += 1
        self._publish(event="announcement", announcement=told.value)

    def show(self, pattern: LightPattern) -> None:
        if self._leds is not None:
            self._leds.show(pattern)
        self._publish(
            event="light",
            name=pattern.name,
            colour=pattern.colour.value,
            blink_s=pattern.blink,
            repeats=pattern.repeats,
        )

    def judged(self, judgement: Judgement, state: State) -> None:
        verdict = _VERDICTS.get(state)
        if verdict is not None:
            self._counts[verdict] += 1
        self._reasons[judgement.verdict.reason.value] += 1

    def _publish(self, **event: object) -> None:
        if self._server is not None:
            self._server.publish({**event, "utc": _utc(self._now())})

    def _attend(self) -> None:
        """What is done once a block."""
        if stuck_s() < STUCK_S:
            self._notifier.beat()
        device, executor = self._device, self._executor
        if device is None or executor is None:
            return
        while not self._commands.empty():
            self._carry_out(device, *self._commands.get())
        self._renew(device, executor)
        self._learn(device, executor)
        if device.loop.state is not self._state and not self._stop.is_set():
            self._state, self._state_since_s = device.loop.state, self._clock()
            doing = _DOING.get(self._state, "In a session")
            lost = f": {self._lost}" if self._lost and self._state is State.BROKEN else ""
            self._notifier.status(doing + lost)
            self._publish(event="state", state=self._state.value)

    @staticmethod
    def _carry_out(device: Device, mute: bool, done: Future[None]) -> None:
        if mute is not device.loop.muted:
            if mute:
                device.loop.mute()
            else:
                device.loop.unmute()
        with suppress(Exception):  # cancelled: who asked waits no more
            done.set_result(None)

    def _learn(self, device: Device, executor: Executor) -> None:
        """Find out about the files, in the thread that works with them."""
        if self._facts_job is not None:
            if self._facts_job.done():
                with suppress(Exception):
                    self._facts = self._facts_job.result()
                self._facts_job = None
        elif device.loop.quiet and self._clock() >= self._facts_due_s:
            self._facts_due_s = self._clock() + FACTS_S
            self._facts_job = executor.submit(_tidied, device)
        elif not device.loop.quiet:
            self._facts_due_s = self._clock()

    # -- reload -----------------------------------------------------------------------------

    def _renew(self, device: Device, executor: Executor) -> None:
        if self._reload is None:
            if self._hangup.is_set():
                self._hangup.clear()
                self._notifier.reloading()
                self._reload = executor.submit(self._planned, device)
            return
        if not self._reload.done() or not device.loop.quiet:
            return
        job, self._reload = self._reload, None
        try:
            new, manner = job.result()
        except EarmarkError as error:
            self._told_reload(logging.ERROR, f"settings not reloaded, the old ones stay: {error}")
            self._reloaded = {"ok": False, "error": error.what, "do": error.do}
        except Exception as error:
            name = type(error).__name__
            self._told_reload(logging.ERROR, f"settings not reloaded, the old ones stay: {name}")
            self._reloaded = {"ok": False, "error": name, "do": "see the journal"}
        else:
            device.loop.renew(manner)
            self._config = new.config
            changed = ", ".join(new.changed) or "nothing"
            self._told_reload(logging.INFO, f"settings reloaded, changed: {changed}")
            if new.restart:
                _log.warning("a restart is needed for: %s", ", ".join(new.restart))
            self._reloaded = {"ok": True, "changed": new.changed, "restart": new.restart}
        self._reloaded["utc"] = _utc(self._now())
        self._notifier.ready()

    def _planned(self, device: Device) -> tuple[Plan, Manner]:
        new = plan(self._config, self._load())
        return new, device.settled(new.config)

    @staticmethod
    def _told_reload(level: int, text: str) -> None:
        entry = Entry.RELOADED if level == logging.INFO else Entry.RELOAD_FAILED
        _log.log(level, "%s", text, extra={"MESSAGE_ID": entry.message_id})

    # -- from the control socket's thread ---------------------------------------------------

    def _answer(self, request: Request) -> Future[Mapping[str, object]]:
        if request in (Request.MUTE, Request.UNMUTE):
            done: Future[None] = Future()
            try:
                self._commands.put_nowait((request is Request.MUTE, done))
            except queue.Full:
                raise ControlError("too many requests wait", "try again") from None
            return self._errands.submit(self._muted, request is Request.MUTE, done)
        if request is Request.DOCTOR:
            return self._errands.submit(self._examined)
        future: Future[Mapping[str, object]] = Future()
        future.set_result({"status": self.status()})
        return future

    def _muted(self, mute: bool, done: Future[None]) -> Mapping[str, object]:
        warning: dict[str, object] = {}
        try:
            self._mute_file.keep(mute)
        except ControlError as error:
            _log.warning("%s", error)
            warning = {"warning": str(error)}
        try:
            if self._device is not None:  # else it is the first thing that the loop does
                done.result(LOOP_S)
        except TimeoutError:
            raise ControlError(
                "the audio loop does not answer", "restart it: systemctl restart earmark"
            ) from None
        return {"muted": mute, **warning}

    def _examined(self) -> Mapping[str, object]:
        return {"findings": [found.as_json() for found in within(self._config)]}

    def status(self) -> dict[str, Any]:
        """How the device is, as JSON values; see ``device/README.md``. For any thread."""
        loop = None if self._device is None else self._device.loop
        state = "starting" if self._state is None else self._state.value
        clock_s, facts = self._clock(), self._facts
        since_s, running_s = clock_s - self._state_since_s, clock_s - self._began_s
        audio, ledger = self._config.audio, self._config.ledger.path
        clocks = None if self._watch is None else self._watch.latest
        return {
            "device": self._config.device.name,
            "room": self._config.device.room,
            "state": state,
            "state_s": round(since_s, 1),
            "since_utc": _utc(self._now() - since_s),
            "running_s": round(running_s, 1),
            "muted": self._mute_file.muted if loop is None else loop.muted,
            "lock_left_s": 0.0 if loop is None else round(loop.lock_left_s, 1),
            "sessions": {"begun": 0 if loop is None else loop.sessions, **self._counts},
            "reasons": {name: count for name, count in self._reasons.items() if count},
            "card": {
                "kind": audio.kind,
                "device": audio.device,
                "lost": self._lost,
                "lost_count": self._lost_count,
                "late_blocks": self._late_before + _late_blocks(self._port),
                "round_trip_s": None if clocks is None else clocks.delay_s,
                "drift_ppm": None if clocks is None else clocks.drift_ppm,
            },
            "model": facts.model,
            "people": facts.people,
            "ledger": {"entries": facts.ledger_entries, "bytes": _bytes_of(ledger)},
            "reload": self._reloaded,
            "versions": {"earmark": __version__, "python": platform.python_version()},
        }

    def close(self, *, ending: bool = False) -> None:
        """Let go of socket, lights and threads. Closing twice is harmless.

        Parameters
        ----------
        ending : the process ends now: what hangs in its last steps, such as the sound library's,
            is still ended by force after a stop.
        """
        if not ending:
            self._force.cancel()
        if self._server is not None:
            self._server.close()
        if self._leds is not None:
            self._leds.close()
        self._errands.shutdown()
        self._notifier.close()
        # The timer that ends by force knows this object until the very end of the process.
        self._port = self._device = self._executor = self._reload = None


def serve(
    config: Config,
    load: Callable[[], Config],
    environ: MutableMapping[str, str] = os.environ,
) -> None:
    """Run the device until SIGTERM or SIGINT, which end the process; SIGHUP reloads, unless it
    says that the terminal which this was started from is closed.

    It returns when a file that took the microphone's place has been heard to its end.

    Parameters
    ----------
    load : reads the settings again.
    environ : what the service manager has said.

    Raises
    ------
    EarmarkError
        A part cannot work as it is configured.
    """
    heap.share()
    service = Service(config, Notifier.taken(environ), load)
    stays = outlives_terminal()

    def hung_up() -> None:
        # The other meaning of SIGHUP: who closes the window does not expect to be listened to.
        if stays or has_terminal():
            service.reload()
        else:
            service.stop()

    try:
        with Signals(service.stop, hung_up):
            daemon.run(config, sleep=service.pause, stop=service.stopping, attendant=service)
        _log.info("stopped", extra={"MESSAGE_ID": Entry.STOPPED.message_id})
    finally:
        service.close(ending=True)
    if service.stopping():
        # All is closed. What is left, exit handlers of libraries and a thread that hangs in one,
        # could only hold up the end.
        logging.shutdown()
        os._exit(0)


def _tidied(device: Device) -> Facts:
    """What is known of the files, after the memory of the last session was given back."""
    heap.give_back()
    return device.facts()


def _late_blocks(port: AudioPort | None) -> int:
    """Blocks that were not played because the loop came late, where the port counts them."""
    count = getattr(port, "late_blocks", 0)
    return count if isinstance(count, int) else 0


def _bytes_of(path: os.PathLike[str]) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _utc(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))
