"""The model: windows, averages, and everything that it refuses to start with."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from earmark.signal import Signal, active_level_dbfs, gain
from earmark.speaker import SpeakerModel, SpeakerModelError, cover, levelled, window_starts
from earmark.speaker import model as module
from earmark.speaker.interpreter import load

WINDOW = 544
"""Of the tiny model, samples."""


def sound(count: int, seed: int = 0) -> Signal:
    """A few tones and noise."""
    random = np.random.default_rng(seed)
    time = np.arange(count)
    tones = sum(np.sin(time * random.uniform(0.1, 2.0)) for _ in range(4))
    return (0.05 * tones + 0.01 * random.standard_normal(count)).astype(np.float32)


def refused(folder: Path, told: str) -> None:
    with pytest.raises(SpeakerModelError, match=told) as caught:
        SpeakerModel.open(folder)
    assert caught.value.do


# What it says


def test_a_model_is_what_its_files_say(model_folder) -> None:
    model = SpeakerModel.open(model_folder.path)
    content = (model_folder.path / "speaker.tflite").read_bytes()
    assert model.id == hashlib.sha256(content).hexdigest()[:16]
    assert model.name == "tiny"
    assert model.front_end.mels == 6
    assert model.window_samples == WINDOW
    assert dict(model.decision) == {"tests_only": 1.5}
    cohort = model_folder.numbers["cohort"].astype(np.float32)
    np.testing.assert_allclose(model.cohort, cohort, rtol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(model.cohort, axis=1), 1.0, rtol=1e-6)
    assert not model.cohort.flags.writeable


@pytest.mark.parametrize("count", [1, 100, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 3000])
def test_outputs_are_means_over_windows_of_what_the_file_says(
    tiny_model: SpeakerModel, speaker_data: Path, count: int
) -> None:
    """Step by step with the bare interpreter."""
    signal = sound(count)
    interpreter = load((speaker_data / "tiny/speaker.tflite").read_bytes())
    given = interpreter.get_input_details()[0]
    scale, zero = given["quantization"]
    long = np.concatenate([signal] * WINDOW)[:WINDOW] if count < WINDOW else signal
    windows = (long.size + WINDOW - 1) // WINDOW
    said: dict[int, list[np.ndarray]] = {8: [], 5: []}
    for k in range(windows):
        start = round(k * (long.size - WINDOW) / max(1, windows - 1))
        heard = tiny_model.front_end.log_mel(long[start : start + WINDOW])
        whole = np.clip(np.round(heard / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], whole[np.newaxis])
        interpreter.invoke()
        for output in interpreter.get_output_details():
            step, offset = output["quantization"]
            raw = interpreter.get_tensor(output["index"])[0].astype(np.float64)
            said[raw.size].append((raw - offset) * step)
    embedding, logits = tiny_model.outputs(signal)
    assert embedding.dtype == logits.dtype == np.float32
    # One step of int8 in one window, should a level lie halfway between two.
    np.testing.assert_allclose(embedding, np.mean(said[8], axis=0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(logits, np.mean(said[5], axis=0), rtol=0, atol=1e-5)
    unit = tiny_model.embed(signal)
    assert np.linalg.norm(unit) == pytest.approx(1.0, abs=1e-6)
    heard, _ = tiny_model.outputs(levelled(signal))
    np.testing.assert_allclose(unit * np.linalg.norm(heard), heard, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("level", "heard"),
    [(-44.0, -30.0), (-30.0, -30.0), (-24.0, -24.0), (-10.0, -18.0), (-70.0, -40.0)],
)
def test_speech_is_brought_to_a_level_that_the_network_knows(level: float, heard: float) -> None:
    signal = sound(16000)
    signal *= np.float32(gain(level - active_level_dbfs(signal)))
    assert active_level_dbfs(levelled(signal)) == pytest.approx(heard, abs=0.05)


def test_how_far_away_somebody_is_does_not_change_the_embedding(tiny_model: SpeakerModel) -> None:
    near = sound(16000)
    near *= np.float32(gain(-32.0 - active_level_dbfs(near)))
    far = near * np.float32(gain(-18.0))
    assert tiny_model.embed(near) @ tiny_model.embed(far) > 0.999


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (544, (0,)),
        (545, (0, 1)),
        (1088, (0, 544)),
        (1089, (0, 272, 545)),
        (1632, (0, 544, 1088)),
        (2000, (0, 485, 971, 1456)),
    ],
)
def test_windows_cover_a_recording(samples: int, starts: tuple[int, ...]) -> None:
    assert window_starts(samples, WINDOW) == starts
    ramp = np.arange(samples, dtype=np.float32)
    windows = cover(ramp, WINDOW)
    assert windows.shape == (len(starts), WINDOW)
    np.testing.assert_array_equal(windows, [ramp[at : at + WINDOW] for at in starts])
    assert set(windows.ravel()) == set(ramp)


@pytest.mark.parametrize("samples", [1, 3, 271, 272, 543])
def test_a_short_recording_is_repeated(samples: int) -> None:
    ramp = np.arange(samples, dtype=np.float32)
    windows = cover(ramp, WINDOW)
    assert windows.shape == (1, WINDOW)
    np.testing.assert_array_equal(windows[0], np.arange(WINDOW) % samples)


@pytest.mark.parametrize("wrong", [np.zeros(0), np.zeros((2, 600)), np.full(600, np.nan)])
def test_what_is_no_recording_is_refused(tiny_model: SpeakerModel, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"recording|finite"):
        tiny_model.embed(wrong.astype(np.float32))


def test_nothing_said_is_like_nobody(
    tiny_model: SpeakerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = (np.zeros(8, np.float32), np.zeros(5, np.float32))
    monkeypatch.setattr(tiny_model._network, "run", lambda _: silent)
    np.testing.assert_array_equal(tiny_model.embed(sound(600)), np.zeros(8))


def test_two_threads_get_what_one_gets(tiny_model: SpeakerModel) -> None:
    signals = [sound(2000, seed) for seed in range(40)]
    alone = [tiny_model.embed(signal) for signal in signals]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(tiny_model.embed, signals))
    np.testing.assert_array_equal(together, alone)


# What it refuses


@pytest.mark.parametrize("name", ["speaker.tflite", "speaker.npz", "speaker.json"])
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "long"])
def test_a_damaged_file_is_refused(model_folder, name: str, how: str) -> None:
    path = model_folder.path / name
    raw = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": raw[:-1], "long": raw + bytes(10_000_000)}[how])
    if name == "speaker.json" and how == "cut":
        path.write_bytes(raw[:-5])  # the last byte is a line's end
    refused(model_folder.path, re.escape(name))


def test_a_tampered_network_is_refused_before_it_runs(
    model_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model_folder.path / "speaker.tflite"
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 1
    path.write_bytes(raw)
    monkeypatch.setattr(module, "Network", lambda *_: pytest.fail("it ran"))
    refused(model_folder.path, "altered")


def test_another_network_with_its_own_sum_is_refused(model_folder) -> None:
    """Its weights turned around: the sums agree, the answers do not."""
    raw = bytearray((model_folder.path / "speaker.tflite").read_bytes())
    weights = raw.rfind(bytes(_some_weights(bytes(raw))))
    raw[weights : weights + 40] = raw[weights : weights + 40][::-1]
    model_folder.put("speaker.tflite", bytes(raw))
    refused(model_folder.path, "does not work here")


def _some_weights(content: bytes) -> bytes:
    """Forty bytes of the largest constant of a network: of the convolution's kernel."""
    interpreter = load(content)
    tensors = interpreter.get_tensor_details()  # type: ignore[attr-defined]
    kernel = next(tensor for tensor in tensors if np.prod(tensor["shape"]) == 3 * 6 * 12)
    return interpreter.get_tensor(kernel["index"]).tobytes()[:40]


@pytest.mark.parametrize("row", [0, 3])
def test_a_wrong_golden_embedding_is_refused(model_folder, row: int) -> None:
    embedding = model_folder.numbers["embedding"]
    embedding[row] += 0.2 * np.abs(embedding[row]).max() * np.array([1, -1] * 4, np.float32)
    model_folder.count(embedding=embedding)
    refused(model_folder.path, f"golden recording {row + 1} of 4")


def test_a_wrong_golden_person_is_refused(model_folder) -> None:
    model_folder.count(logits=-model_folder.numbers["logits"])
    refused(model_folder.path, "top person")


def test_a_golden_embedding_that_says_nothing_is_refused(model_folder) -> None:
    model_folder.count(embedding=np.zeros((4, 8), np.float32))
    refused(model_folder.path, "cosine 0.0000")


def test_the_tolerance_is_the_manifests(model_folder) -> None:
    embedding = model_folder.numbers["embedding"]
    embedding += 0.15 * np.linalg.norm(embedding, axis=1, keepdims=True) / np.float32(8**0.5)
    model_folder.count(embedding=embedding)
    refused(model_folder.path, "does not work here")
    model_folder.declare(tolerance_cosine=0.9)
    SpeakerModel.open(model_folder.path)


def test_a_front_end_other_than_the_networks_is_noticed(model_folder) -> None:
    model_folder.declare(front_end=model_folder.manifest["front_end"] | {"floor": 0.1})
    refused(model_folder.path, "does not work here")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"signal": None}, "signal"),
        ({"cohort": None}, "cohort"),
        ({"signal": np.zeros((4, 100), np.float32)}, "signal is float32"),
        ({"signal": np.zeros((0, 100), np.int16)}, "signal is int16 of shape"),
        ({"signal": np.zeros((4, 0), np.int16)}, "signal is int16 of shape"),
        ({"signal": np.zeros(100, np.int16)}, "signal is int16 of shape"),
        ({"signal": np.int16(3)}, "signal is int16 of shape"),
        ({"signal": np.zeros((3, 100), np.int16)}, "same number of rows"),
        ({"embedding": np.zeros((4, 7), np.float32)}, "embedding is float32 of shape"),
        ({"logits": np.zeros((4, 8), np.float32)}, "logits is float32 of shape"),
        ({"logits": np.full((4, 5), np.inf, np.float32)}, "logits is not finite"),
        ({"cohort": np.full((4, 8), np.nan, np.float16)}, "cohort is not finite"),
        ({"cohort": np.ones((4, 8), np.float16)}, "unit"),
        ({"cohort": np.zeros((4, 8), np.float16)}, "unit"),
        ({"cohort": np.array([[object()] * 8])}, "objects"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_numbers_are_refused(model_folder, wrong, told: str) -> None:
    model_folder.count(**wrong)
    refused(model_folder.path, told)


def test_no_archive_of_numbers_is_refused(model_folder) -> None:
    model_folder.put("speaker.npz", b"numbers")
    refused(model_folder.path, r"speaker\.npz is damaged")


def packed(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("signal.npy", content)
    return file.getvalue()


def test_an_archive_that_unpacks_to_too_much_is_refused(model_folder) -> None:
    model_folder.put("speaker.npz", packed(bytes(20_000_000)))
    refused(model_folder.path, "unpacks to more than")


def test_an_array_that_claims_more_than_it_holds_is_refused(model_folder) -> None:
    header = io.BytesIO()
    claimed = {"descr": "<i2", "fortran_order": False, "shape": (10**9, 10**3)}
    np.lib.format.write_array_header_1_0(header, claimed)
    model_folder.put("speaker.npz", packed(header.getvalue() + bytes(100)))
    refused(model_folder.path, r"speaker\.npz is damaged")


# Where it is


def test_the_installed_model_comes_before_the_checkouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "device/earmark"
    (package / "speaker").mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(package / "speaker/model.py"))
    assert module.shipped_folder() == tmp_path / "models"
    (package / "models").mkdir()
    assert module.shipped_folder() == package / "models"


def test_without_a_folder_the_shipped_model_is_opened(
    model_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shipped_folder", lambda: model_folder.path)
    assert SpeakerModel.open().name == "tiny"
