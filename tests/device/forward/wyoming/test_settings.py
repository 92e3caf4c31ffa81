"""The settings of Wyoming, addresses, and who may connect."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from earmark.forward import ForwardSettings, open_forwarder
from earmark.forward.wyoming.address import Address, Peers
from earmark.forward.wyoming.settings import WyomingSettings


class TestAddress:
    """tcp, tls and unix."""

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("tcp://192.168.1.5:10700", Address("192.168.1.5", 10700)),
            ("tls://asr.example:1", Address("asr.example", 1, tls=True)),
            ("tcp://[::1]:65535", Address("::1", 65535)),
            ("tcp://[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
            ("unix:///run/earmark/x.sock", Address(path=Path("/run/earmark/x.sock"))),
        ],
    )
    def test_reads_and_writes(self, text: str, address: Address) -> None:
        assert Address.parse(text) == address
        assert str(address) == text

    @pytest.mark.parametrize(
        "text",
        [
            *("", "localhost:80", "tcp://localhost", "tcp://:80", "tcp://a:0", "tcp://a:65536"),
            *("http://a:80", "tcp://a:80/x", "unix://x", "unix:///" + "x" * 100, "tcp://::1:80"),
            *("tcp://a:80\n", "tcp://user@a:80", "stdio://"),
        ],
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"give tcp://|a socket's path"):
            Address.parse(text)


class TestPeers:
    """Who may connect."""

    def test_addresses_and_networks(self) -> None:
        peers = Peers(["192.168.1.5", "10.0.0.0/8", "fd00::/8", "fe80::/10"])
        for address in ("192.168.1.5", "10.9.9.9", "fd12::1", "fe80::1%eth0", "::ffff:10.0.0.1"):
            assert address in peers
        for address in ("192.168.1.6", "11.0.0.1", "fc00::1", "::ffff:11.0.0.1", "", "x", "::1"):
            assert address not in peers

    def test_nobody(self) -> None:
        assert "127.0.0.1" not in Peers([])

    @pytest.mark.parametrize("text", ["x", "10.0.0.1/8", "10.0.0.0/33", "homeassistant.local"])
    def test_what_is_no_network(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no address or network"):
            Peers([text])


class TestSettings:
    """What does not fit together is refused."""

    def test_the_default_lets_only_this_machine_in_and_announces_nothing(self) -> None:
        settings = WyomingSettings()
        peers = Peers(settings.peers)
        assert "127.0.0.1" in peers
        assert "::1" in peers
        assert "192.168.1.5" not in peers
        assert not settings.announce

    @pytest.mark.parametrize(
        ("values", "match"),
        [
            ({"uri": "localhost:10300"}, "give tcp://"),
            ({"listen": "10700"}, "give tcp://"),
            ({"peers": ("home",)}, "is no address or network"),
            ({"listen": "tls://0.0.0.0:10700"}, "needs cert_file and key_file"),
            ({"announce": True, "listen": "unix:///x"}, "announce needs"),
            ({"keep_s": 4.5}, "less than or equal to 4"),
            ({"identity": "a.b"}, "pattern"),
        ],
    )
    def test_wrong_values(self, values: dict[str, object], match: str) -> None:
        with pytest.raises(ValidationError, match=match):
            WyomingSettings.model_validate(values)

    @pytest.mark.parametrize("kind", ["wyoming_asr", "wyoming_satellite", "wyoming_proxy"])
    def test_times_that_do_not_fit(self, kind: str) -> None:
        with pytest.raises(ValidationError, match=r"timeout_s must be at least 1"):
            ForwardSettings.model_validate({"kind": kind, "timeout_s": 0.9})
        with pytest.raises(ValidationError, match=r"and wyoming\.keep_s"):
            ForwardSettings.model_validate(
                {"kind": kind, "timeout_s": 2.0, "wyoming": {"keep_s": 3.0}}
            )

    def test_a_program_as_what_comes_next_needs_a_name(self) -> None:
        with pytest.raises(ValidationError, match="argv"):
            ForwardSettings.model_validate({"kind": "wyoming_asr", "wyoming": {"then": "command"}})

    def test_an_announcement_that_nobody_asked_for_is_not_made(self) -> None:
        settings = ForwardSettings.model_validate(
            {"kind": "wyoming_proxy", "wyoming": {"listen": "tcp://127.0.0.1:17399"}}
        )
        open_forwarder(settings).close()
