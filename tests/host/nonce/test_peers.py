"""The peers: what they send they find again, and what is no message they do not make into one."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import soxr

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal, gain, rms
from earmark_host.nonce.peers import (
    GGWAVE_FAST,
    GGWAVE_NORMAL,
    GGWAVE_NORMAL_FIXED,
    LITERAL,
    LITERAL_HOPS,
    MINIMODEM_18,
    PEERS,
    Ggwave,
    LiteralBfsk,
    Minimodem,
    Modem,
    Protocol,
)
from earmark_host.nonce.peers import minimodem as minimodem_module
from earmark_host.nonce.theory import noncoherent_bfsk_ber

PAYLOADS = [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x80\x0a\xff", b"Pi4!"]

needs_minimodem = pytest.mark.skipif(
    shutil.which("minimodem") is None, reason="needs the program: apt-get install minimodem"
)

ALL = [
    pytest.param(peer, id=peer.name, marks=[needs_minimodem] if isinstance(peer, Minimodem) else [])
    for peer in PEERS
]


def recorded(message: Signal, noise_db: float, seed: int = 1, at_s: float = 0.3) -> Signal:
    """`message` after `at_s` of noise, which is `noise_db` dB against the message's level."""
    silence = np.zeros(round(at_s * RATE_HZ), np.float32)
    whole = np.concatenate([silence, message, silence])
    noise = np.random.default_rng(seed).standard_normal(whole.size) * rms(message)
    return np.asarray(whole + gain(noise_db) * noise, np.float32)


def noise(seconds: float, seed: int = 3) -> Signal:
    return np.asarray(
        0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)), np.float32
    )


@pytest.mark.parametrize("peer", ALL)
@pytest.mark.parametrize("payload", PAYLOADS, ids=bytes.hex)
def test_a_clean_message_comes_back(peer: Modem, payload: bytes) -> None:
    message = peer.encode(payload)
    assert message.dtype == np.float32
    assert message.ndim == 1
    assert 0.1 < np.max(np.abs(message)) <= 1.0
    assert peer.seconds == pytest.approx(message.size / RATE_HZ, abs=0.003)
    assert peer.decode(recorded(message, -60.0)) == payload


@pytest.mark.parametrize("peer", ALL)
@pytest.mark.parametrize("at_s", [0.0, 0.1234, 1.777])
def test_a_message_is_found_in_noise_wherever_it_is(peer: Modem, at_s: float) -> None:
    payload = b"\x12\x34\xab\xcd"
    recording = recorded(peer.encode(payload), -6.0, at_s=at_s)
    assert peer.decode(0.1 * recording) == payload


@pytest.mark.parametrize("peer", ALL)
def test_garbage_is_no_message(peer: Modem) -> None:
    assert peer.decode(np.zeros(0, np.float32)) is None
    assert peer.decode(np.zeros(100, np.float32)) is None
    assert peer.decode(np.zeros(3 * RATE_HZ, np.float32)) is None
    assert peer.decode(noise(3.0)) is None


@pytest.mark.parametrize("peer", ALL)
def test_a_message_far_under_the_noise_is_not_invented(peer: Modem) -> None:
    assert peer.decode(recorded(peer.encode(b"Pi4!"), 40.0, seed=5)) is None


@pytest.mark.parametrize("peer", ALL)
def test_half_a_message_is_not_the_payload(peer: Modem) -> None:
    message = peer.encode(b"\x12\x34\xab\xcd")
    assert peer.decode(message[: message.size // 2]) is None


@pytest.mark.parametrize("peer", ALL)
@pytest.mark.parametrize("payload", [b"", b"abc", b"abcde"])
def test_a_payload_of_another_length_is_refused(peer: Modem, payload: bytes) -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        peer.encode(payload)


@pytest.mark.parametrize("peer", ALL)
def test_what_is_no_recording_is_refused(peer: Modem) -> None:
    with pytest.raises(ValueError, match="1-D and finite"):
        peer.decode(np.zeros((2, RATE_HZ), np.float32))
    with pytest.raises(ValueError, match="1-D and finite"):
        peer.decode(np.full(RATE_HZ, np.nan, np.float32))


def test_names_are_unique() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert {peer.payload_bytes for peer in PEERS} == {4}


class TestGgwave:
    def test_sixteen_kilohertz_keep_its_band(self) -> None:
        message = GGWAVE_NORMAL.encode(b"\xff\x00\xff\x00")
        power = np.abs(np.fft.rfft(message)) ** 2
        hertz = np.fft.rfftfreq(message.size, 1.0 / RATE_HZ)
        inside = power[(hertz > 1800.0) & (hertz < 6500.0)].sum()
        assert inside > 0.99 * power.sum()

    def test_any_other_ggwave_understands_it(self) -> None:
        """The library with its defaults, at its own rate."""
        import ggwave

        message = recorded(GGWAVE_FAST.encode(b"Pi4!"), -60.0)
        instance = ggwave.init()
        try:
            native = soxr.resample(message, RATE_HZ, 48_000)
            assert ggwave.decode(instance, native.tobytes()) == b"Pi4!"
        finally:
            ggwave.free(instance)

    def test_the_first_of_two_messages_counts(self) -> None:
        both = [recorded(GGWAVE_NORMAL.encode(payload), -60.0) for payload in (b"1st!", b"2nd!")]
        assert GGWAVE_NORMAL.decode(np.concatenate(both)) == b"1st!"

    def test_a_message_of_another_length_is_none_of_ours(self) -> None:
        import ggwave

        native = np.frombuffer(ggwave.encode("longer", 1, 50), np.float32)
        message = np.asarray(soxr.resample(native, 48_000, RATE_HZ), np.float32)
        assert GGWAVE_FAST.decode(recorded(message, -60.0)) is None

    def test_it_leaves_the_library_as_it_was_even_from_threads(self) -> None:
        """Four instances are all there are, and the choice of protocols is process-wide."""
        found: list[bytes | None] = []

        def work(peer: Ggwave) -> None:
            found.append(peer.decode(recorded(peer.encode(b"Pi4!"), -60.0)))

        peers = [GGWAVE_NORMAL, GGWAVE_FAST, GGWAVE_NORMAL_FIXED] * 3
        threads = [threading.Thread(target=work, args=(peer,)) for peer in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [b"Pi4!"] * 9
        self.test_any_other_ggwave_understands_it()

    def test_no_free_instance_is_said(self) -> None:
        import ggwave

        held = [ggwave.init() for _ in range(4)]
        try:
            with pytest.raises(EarmarkError, match="free those"):
                GGWAVE_FAST.encode(b"Pi4!")
        finally:
            for instance in held:
                ggwave.free(instance)
        assert GGWAVE_FAST.encode(b"Pi4!").size > 0

    @pytest.mark.parametrize("wrong", [{"passes": 0}, {"passes": 17}, {"marker_threshold": 0.5}])
    def test_a_setting_out_of_range_is_refused(self, wrong: dict[str, int]) -> None:
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
            Ggwave("x", Protocol.FAST, False, **wrong)  # type: ignore[arg-type]


class TestMinimodem:
    def test_a_missing_program_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        for call in (
            lambda: MINIMODEM_18.encode(b"Pi4!"),
            lambda: MINIMODEM_18.decode(noise(0.1)),
        ):
            with pytest.raises(EarmarkError, match="minimodem is missing: install it: apt-get"):
                call()

    @needs_minimodem
    def test_of_several_bursts_the_complete_one_counts(self) -> None:
        message = MINIMODEM_18.encode(b"\x00\xff~!")
        # Two of its bytes, and noise until the program gives the carrier up, after 20 bits.
        fragment = message[: round(message.size * 25 / 48)]
        gap = 0.01 * noise(2.0)
        recording = np.concatenate([gap, fragment, gap, message, gap, fragment, gap])
        assert MINIMODEM_18.decode(recording) == b"\x00\xff~!"

    @needs_minimodem
    def test_messages_without_a_pause_are_read_from_the_first(self) -> None:
        message = MINIMODEM_18.encode(b"Pi4!")
        assert MINIMODEM_18.decode(recorded(np.tile(message, 2), -60.0)) == b"Pi4!"

    @pytest.mark.parametrize(
        ("body", "said"),
        [("echo kaputt >&2; exit 3", "status 3 .kaputt"), ("exit 3", "status 3 .no message")],
    )
    def test_a_failing_program_is_said(
        self,
        body: str,
        said: str,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        folder = tmp_path_factory.mktemp("bin")
        script = folder / "minimodem"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        with pytest.raises(EarmarkError, match=said):
            MINIMODEM_18.encode(b"Pi4!")
        with pytest.raises(EarmarkError, match=said):
            MINIMODEM_18.decode(noise(0.1))

    def test_a_program_that_hangs_is_ended(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path_factory.mktemp("bin")
        script = folder / "minimodem"
        script.write_text("#!/bin/sh\nexec sleep 20\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        monkeypatch.setattr(minimodem_module, "TIMEOUT_S", 0.2)
        with pytest.raises(EarmarkError, match="did not end"):
            MINIMODEM_18.decode(noise(0.1))

    @pytest.mark.parametrize(
        "wrong", [{"baud": 0.5}, {"baud": 301.0}, {"mark_hz": 50.0}, {"space_hz": 7900.0}]
    )
    def test_a_setting_out_of_range_is_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValueError, match=r"baud is|out of its range"):
            replace(MINIMODEM_18, **wrong)  # type: ignore[arg-type]


class TestLiteral:
    def test_the_text_example_is_sent(self) -> None:
        """Bit "0" is a cosine of 1 kHz, bit "1" one of 5 kHz (AEOLUS 3.2)."""
        message = LITERAL.encode(b"\x00\x00\xff\xff")
        half = message.size // 2
        time = np.arange(500) / RATE_HZ
        np.testing.assert_allclose(message[:500], np.cos(2 * np.pi * 1000.0 * time), atol=1e-6)
        np.testing.assert_allclose(
            message[half : half + 500], np.cos(2 * np.pi * 5000.0 * time), atol=1e-2
        )

    def test_hops_use_all_four_tones(self) -> None:
        spectrum = np.abs(np.fft.rfft(LITERAL_HOPS.encode(b"\x55\x55\x55\x55"), RATE_HZ))
        tones = [spectrum[round(f) - 10 : round(f) + 10].max() for f in (4125, 4375, 4625, 4875)]
        between = [spectrum[f - 5 : f + 5].max() for f in (4000, 4250, 4500, 4750, 5000)]
        assert min(tones) > 2.0 * max(between)

    @pytest.mark.parametrize("peer", [LITERAL, LITERAL_HOPS], ids=lambda peer: peer.name)
    def test_white_noise_leaves_the_errors_of_theory(self, peer: LiteralBfsk) -> None:
        """At an Eb/N0 of 7 dB 4.1 % of the bits; looking for the exact start costs little."""
        payload = b"\x3c\xa5\x96\x0f"
        message = peer.encode(payload)
        # Noise power in the whole band of 8 kHz; a bit lasts 1/30 s.
        noise_db = 10.0 * np.log10(RATE_HZ / 2 / peer.bit_rate_hz) - 7.0
        errors = [
            peer.bit_errors(payload, recorded(message, noise_db, seed), start_s=0.3)
            for seed in range(30)
        ]
        expected = float(noncoherent_bfsk_ber(7.0))
        assert 0.5 * expected < np.mean(errors) / 32 < 2.0 * expected

    def test_errors_are_counted(self) -> None:
        recording = recorded(LITERAL.encode(b"\x0f\x0f\x0f\x0f"), -60.0)
        assert LITERAL.bit_errors(b"\x0f\x0f\x0f\x0f", recording) == 0
        assert LITERAL.bit_errors(b"\x0f\x0f\x0f\x08", recording) == 3
        assert LITERAL.bit_errors(b"\xf0\xf0\xf0\xf0", recording) == 32

    def test_a_recording_too_short_is_a_guess(self) -> None:
        assert LITERAL.bit_errors(b"Pi4!", noise(1.0)) == 16

    def test_a_known_start_picks_the_message(self) -> None:
        first, second = (recorded(LITERAL.encode(text), -60.0) for text in (b"1st!", b"2nd!"))
        both = np.concatenate([first, second])
        at_s = first.size / RATE_HZ + 0.3
        assert LITERAL.decode(both, start_s=0.3 + 0.01) == b"1st!"
        assert LITERAL.decode(both, start_s=at_s - 0.01) == b"2nd!"
        assert LITERAL.decode(both, start_s=99.0) is None
        assert LITERAL.bit_errors(b"2nd!", both, start_s=99.0) == 16

    def test_a_long_recording_is_searched_piece_by_piece(self) -> None:
        recording = recorded(LITERAL.encode(b"Pi4!"), -20.0, at_s=9.0)
        assert LITERAL.decode(recording) == b"Pi4!"

    @pytest.mark.parametrize(
        "wrong", [{"tones_hz": ()}, {"tones_hz": ((1000.0, 9000.0),)}, {"bit_rate_hz": 0.0}]
    )
    def test_a_setting_out_of_range_is_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"tones|bit_rate_hz is"):
            replace(LITERAL, **wrong)  # type: ignore[arg-type]
