"""A private PipeWire: a real sound server of the test's own, with no sound card in it.

It lives in one folder: sockets, state, settings. Nothing of the user's own sound server is
touched, and no sound card is opened: WirePlumber runs its linking policy alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PACKAGES: Mapping[str, str] = {
    "pipewire": "pipewire-bin",
    "wireplumber": "wireplumber",
    "paplay": "pulseaudio-utils",
    "parec": "pulseaudio-utils",
    "pactl": "pulseaudio-utils",
}
"""Each program that is run, and the Debian package that brings it."""

RATE_HZ = 48_000
"""Rate of the server, Hz: no resampling but the device's own."""

QUANTUM = 1024
"""Samples of a server's cycle: 21 ms. The device's stream holds some 60 ms: with cycles of 43 ms a
loaded machine often left it empty at the next one, which no callback is told."""

READY_S = 20.0
"""Longest start of a part, s: 0.3 measured, and a loaded machine may be 20 times slower."""

SERVER_PRIORITY, CLIENT_PRIORITY = 20, 15
"""Of real-time scheduling: the server before what plays and records. Neither computes for long."""

STOP_S = 5.0
"""Longest that a part may take to end before it is killed, s."""

_PIPEWIRE = """
context.properties = {
    core.daemon = true
    core.name = pipewire-0
    support.dbus = false
    link.max-buffers = 16
    default.clock.rate = %(rate)d
    default.clock.allowed-rates = [ %(rate)d ]
    default.clock.quantum = %(quantum)d
    default.clock.min-quantum = %(quantum)d
    default.clock.max-quantum = %(quantum)d
    settings.check-quantum = true
}
context.spa-libs = {
    audio.convert.* = audioconvert/libspa-audioconvert
    support.* = support/libspa-support
}
context.modules = [
    { name = libpipewire-module-rt args = { nice.level = -11 } flags = [ ifexists nofail ] }
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-profiler }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-spa-node-factory }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-client-device }
    { name = libpipewire-module-access }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-link-factory }
    { name = libpipewire-module-session-manager }
]
context.objects = [
    { factory = spa-node-factory args = {
        factory.name = support.node.driver
        node.name = Dummy-Driver
        node.group = pipewire.dummy
        priority.driver = 20000
    } }
    %(nodes)s
]
"""

_PULSE = """
context.spa-libs = {
    audio.convert.* = audioconvert/libspa-audioconvert
    support.* = support/libspa-support
}
context.modules = [
    { name = libpipewire-module-rt args = { nice.level = -11 } flags = [ ifexists nofail ] }
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-protocol-pulse }
]
pulse.properties = { server.address = [ "unix:native" ] }
"""

_MICROPHONE = """{ factory = adapter args = {
        factory.name = support.null-audio-sink
        node.name = %s
        media.class = Audio/Sink
        audio.position = [ MONO ]
        audio.channels = 1
        monitor.passthrough = true
        monitor.channel-volumes = false
        object.linger = true
    } }"""


class AudioServer:
    """PipeWire, its session manager and its PulseAudio face, as processes of ours.

    Parameters
    ----------
    folder : for sockets, state and logs; its path must be short (sockets: 107 characters).
    bus : name of the null sink that stands for the air at the microphone.
    """

    def __init__(self, folder: Path, bus: str) -> None:
        self.folder = folder
        self._bus = bus
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("run", "state", "config", "log"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "pulse.conf").write_text(_PULSE)
        (folder / "pipewire.conf").write_text(
            _PIPEWIRE % {"rate": RATE_HZ, "quantum": QUANTUM, "nodes": _MICROPHONE % bus}
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find this server and no other."""
        run = str(self.folder / "run")
        return {
            **{key: value for key, value in os.environ.items() if not _misleading(key)},
            "XDG_RUNTIME_DIR": run,
            "PIPEWIRE_RUNTIME_DIR": run,
            "PULSE_RUNTIME_PATH": f"{run}/pulse",
            "PULSE_SERVER": f"unix:{run}/pulse/native",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            # No part needs a session bus, and none may meet the user's.
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={run}/none",
            "LC_ALL": "C.UTF-8",
        }

    def start(self) -> None:
        """Start every part and wait until it answers.

        Raises
        ------
        AssertionError
            A part ended or did not answer in time; with the end of its log.
        """
        missing = sorted({PACKAGES[name] for name in PACKAGES if shutil.which(name) is None})
        assert not missing, (
            f"the virtual room needs a sound server, which this machine lacks ({missing}): run"
            " .ci/setup-room where apt may install, or do what it says"
        )
        run = self.folder / "run"
        for stale in ("pipewire-0", "pipewire-0.lock", "pulse/native", "pulse/pid"):
            (run / stale).unlink(missing_ok=True)
        self.launch("pipewire", "pipewire", "-c", str(self.folder / "pipewire.conf"))
        self.wait_for("pipewire", (run / "pipewire-0").exists)
        # Its linking policy alone: it would otherwise open the machine's sound cards.
        self.launch("wireplumber", "wireplumber", "-c", "policy.conf")
        # Not Debian's pipewire-pulse: that package makes itself the sound server of the desktop.
        self.launch("pulse", "pipewire", "-c", str(self.folder / "pulse.conf"))
        self.wait_for("pulse", lambda: self.has_sink(self._bus))

    def stop(self) -> None:
        """End every part, the last first. Stopping twice is harmless."""
        while self._running:
            _, process = self._running.popitem()
            end(process)

    def kill(self) -> None:
        """End every part as a crash does: at once, without goodbye."""
        while self._running:
            _, process = self._running.popitem()
            end(process, signal.SIGKILL)

    def has_sink(self, name: str) -> bool:
        """Whether the server offers a sink of that name now."""
        answer = self.run("pactl", "list", "short", "sinks", check=False)
        return any(line.split("\t")[1:2] == [name] for line in answer.splitlines())

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a short command on this server and return what it prints."""
        done = subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=READY_S, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"
        return done.stdout

    def launch(self, name: str, *argv: str) -> None:
        """Start a part of the server, which ends with it."""
        with (self.folder / "log" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*realtime(SERVER_PRIORITY), *argv],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running[name] = process

    def drop(self, name: str) -> None:
        """End one part, as when a sound card is unplugged."""
        end(self._running.pop(name), signal.SIGKILL)

    def freeze(self) -> None:
        """Let every part hang, as a server does that waits for something for ever."""
        for process in self._running.values():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let every part go on."""
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)

    def wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        """Wait until `ready`; an AssertionError names `what` and the last lines of all logs."""
        until = time.monotonic() + READY_S
        while not ready():
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            why = f"{', '.join(ended)} ended" if ended else ""
            if not why and time.monotonic() > until:
                why = f"nothing within {READY_S:g} s"
            assert not why, f"the sound server has no {what}: {why}\n{self.logs()}"
            time.sleep(0.05)

    def logs(self) -> str:
        """The last lines of every part's log."""
        lines = []
        for file in sorted((self.folder / "log").glob("*.log")):
            tail = file.read_text(errors="replace").splitlines()[-8:]
            lines += [f"{file.stem}: {line}" for line in tail]
        return "\n".join(lines)


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a process of ours by its id, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(how)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _misleading(key: str) -> bool:
    """A variable of the user's own sound server, or of a service manager."""
    return key.startswith(("PULSE_", "PIPEWIRE_", "ALSA_", "WIREPLUMBER_", "JOURNAL_", "NOTIFY_"))


def realtime(priority: int) -> list[str]:
    """The prefix of a command that runs on time beside other work, where that is permitted."""
    chrt = shutil.which("chrt")
    if chrt is None:
        return []
    prefix = [chrt, "--fifo", str(priority)]
    allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if allowed.returncode == 0 else []


def favour(pid: int) -> None:
    """Give the leader of a session most of the processor when it asks, where that is permitted.

    Not real-time: a verdict would use up what the kernel leaves to such work in a second, and the
    server would be held back with it.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)
        # Where sessions share the processor evenly, whatever their priorities, this counts.
        Path(f"/proc/{pid}/autogroup").write_text("-20")
