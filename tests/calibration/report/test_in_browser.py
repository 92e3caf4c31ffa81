"""The pages in a real Chromium: on a phone, on a desktop, in the dark, on paper."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from pypdf import PdfReader
from tests.calibration.report import samples
from tests.calibration.report.browser import PRINTED_WIDTH, chromium, opened

from earmark_calibration.record import Change, Option, Record, Threshold
from earmark_calibration.report import fleet, fleet_page, page, words
from earmark_calibration.report.fleets import Entry, Unread

TEXT_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3, level AA."""

DRAWN_CONTRAST = 3.0
"""WCAG 2.2, 1.4.11, level AA."""

VIEWS = {
    "phone": (360, "light", "screen"),
    "desktop": (1280, "light", "screen"),
    "dark desktop": (1280, "dark", "screen"),
    "paper": (PRINTED_WIDTH, "light", "print"),
}
"""Every page is seen in these."""

MORE_VIEWS = {
    "small phone": (320, "light", "screen"),
    "dark phone": (360, "dark", "screen"),
    "tablet": (800, "light", "screen"),
    "paper from a dark desktop": (PRINTED_WIDTH, "dark", "print"),
}
"""And the fullest of them in these."""


def hostile() -> Record:
    """A record whose every text is as long as it may be, or tries to be markup."""
    good = samples.good()
    evil = '<script>document.title="owned"</script><img src="http://127.0.0.1:9/x.png" onerror=x>'
    option = Option(parameters={"k" * 80: "v" * 1000, "x": evil})
    assert good.choice is not None
    return good.model_copy(
        update={
            "device": good.device.model_copy(update={"serial": "S" * 1000, "audio_device": evil}),
            "measurements": tuple(
                item.model_copy(update={"doc": evil * 3, "advice": "w" * 900, "name": "m" * 80})
                for item in good.measurements[:1]
            )
            + good.measurements[1:],
            "curves": tuple(
                item.model_copy(
                    update={
                        "title": "T" * 900,
                        "x_name": "x" * 500,
                        "y_name": evil,
                        "y": tuple(y and y * 1e7 for y in item.y),
                    }
                )
                for item in good.curves
            ),
            "choice": good.choice.model_copy(update={"after": option, "sentence": "y" * 1000}),
            "thresholds": (Threshold(name="n" * 80, value=-1.23456789e-12, note=evil),),
            "settings": (Change(key="s" * 80, before="b" * 1000, after=evil),),
        }
    )


def hostile_fleet() -> str:
    """Devices, files and reasons with the longest names there can be."""
    records = [
        record.model_copy(
            update={
                "device": record.device.model_copy(update={"serial": record.device.serial * 70})
            }
        )
        for record in samples.many()
    ]
    named = samples.good().measurements[0].model_copy(update={"name": "m" * 80, "unit": "u" * 90})
    records[0] = records[0].model_copy(update={"measurements": (named,)})
    return fleet_page(
        fleet([Entry.of(r, "f") for r in records], [Unread("f", "<script>" + "w" * 900)] * 3)
    )


def made_of(*records: Record) -> str:
    return fleet_page(fleet(Entry.of(record, "x.json") for record in records))


PAGES: dict[str, Callable[[], str]] = {
    **{name: partial(lambda make: page(make()), make) for name, make in samples.ALL.items()},
    "hostile": lambda: page(hostile()),
    "fleet": lambda: made_of(*samples.many()),
    "hostile fleet": hostile_fleet,
}


SEEN = [
    *((name, view) for name in PAGES for view in VIEWS),
    *((name, view) for name in ("marginal", "hostile") for view in MORE_VIEWS),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages")
    for name, text in PAGES.items():
        (made / f"{name}.html").write_text(text(), encoding="utf-8")
    return made


@pytest.mark.parametrize(("name", "view"), SEEN)
def test_a_page_can_be_read(browser: Browser, folder: Path, name: str, view: str) -> None:
    file = folder / f"{name}.html"
    width, scheme, media = (VIEWS | MORE_VIEWS)[view]
    with opened(browser, file, width, scheme, media) as seen:
        assert seen.requests == [file.as_uri()]
        assert seen.complaints == []
        assert seen.outside() == []
        texts, drawn = seen.contrasts("text"), seen.contrasts("drawn")
        assert len(texts) > 30
        assert texts[0][0] >= TEXT_CONTRAST, texts[:5]
        assert drawn[0][0] >= DRAWN_CONTRAST, drawn[:5]
        if "hostile" not in name:
            assert seen.overlaps() == []


def test_dark_is_dark_and_paper_is_not(browser: Browser, folder: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    colours = {}
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        with opened(browser, folder / "good.html", 1280, scheme, media) as seen:
            colours[scheme, media] = seen.page.evaluate(ground)
    assert colours["dark", "screen"] != colours["light", "screen"]
    assert colours["dark", "print"] == colours["light", "screen"] == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", ["marginal", "broken"])
def test_it_prints_on_a4(browser: Browser, folder: Path, name: str) -> None:
    record = samples.ALL[name]()
    with opened(browser, folder / f"{name}.html") as seen:
        pdf = PdfReader(io.BytesIO(seen.page.pdf(prefer_css_page_size=True)))
    sizes = {(round(float(p.mediabox.width)), round(float(p.mediabox.height))) for p in pdf.pages}
    assert all(abs(w - 595) <= 1 and abs(h - 842) <= 1 for w, h in sizes), sizes
    assert len(pdf.pages) <= 5
    text = " ".join(" ".join(p.extract_text() for p in pdf.pages).split())
    for wanted in (words.verdict(record), "Made by earmark-calibrate", record.device.serial):
        assert wanted in text
    for item in record.measurements:
        assert words.title(item.name) in text


@pytest.mark.parametrize("name", samples.ALL)
def test_a_screen_reader_gets_names_and_tables(browser: Browser, folder: Path, name: str) -> None:
    """On a phone, too, where the tables are laid out as blocks."""
    record = samples.ALL[name]()
    with opened(browser, folder / f"{name}.html", 360) as seen:
        page = seen.page
        tables = page.get_by_role("table", name="Measurements with their limits")
        rows = tables.get_by_role("row")
        assert rows.count() == len(record.measurements) + 1
        assert page.get_by_role("heading", level=1).count() == 1
        charts = page.get_by_role("img")
        assert charts.count() == page.locator("svg.chart").count() > 0
        for n in range(charts.count()):
            title, summary = charts.nth(n).locator("title, desc").all_text_contents()
            assert title
            assert "lowest" in summary


def test_a_fleet_prints_and_has_a_table(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "fleet.html") as seen:
        rows = seen.page.get_by_role("table", name="Devices").get_by_role("row")
        assert rows.count() == 25
        pdf = PdfReader(io.BytesIO(seen.page.pdf(prefer_css_page_size=True)))
    text = " ".join(p.extract_text() for p in pdf.pages)
    assert len(pdf.pages) <= 4
    assert all(f"EM-2026-{500 + n:05d}" in text for n in range(23))


def test_markup_in_a_record_stays_text(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "hostile.html") as seen:
        assert seen.page.locator("script, img").count() == 0
        assert "owned" not in seen.page.title()
        assert seen.page.get_by_text('<script>document.title="owned"</script>').count() > 0


FLAWS = {
    "contrast": ("</main>", "<p style='color:#999'>pale</p></main>"),
    "request": ("</main>", "<img src='http://127.0.0.1:9/x.png'></main>"),
    "script": ("</main>", "<script>nothing()</script></main>"),
    "width": ("</main>", "<div style='width:500px'>wide</div></main>"),
    "chart": ('<text class="name" x="2"', '<text class="name" x="-60"'),
    "overlap": ('<text class="name" x="2" y="12"', '<text class="name" x="2" y="50"'),
    "line": (".line.s0 { stroke: var(--s0); }", ".line.s0 { stroke: #ccc; }"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_these_tests_see_a_flaw(browser: Browser, folder: Path, tmp_path: Path, flaw: str) -> None:
    """Each check that `test_a_page_can_be_read` makes can fail."""
    text = (folder / "good.html").read_text(encoding="utf-8")
    old, new = FLAWS[flaw]
    assert old in text
    file = tmp_path / "flawed.html"
    file.write_text(text.replace(old, new), encoding="utf-8")
    with opened(browser, file, 360) as seen:
        found = {
            "contrast": seen.contrasts("text")[0][0] < TEXT_CONTRAST,
            "request": seen.requests != [file.as_uri()] or bool(seen.complaints),
            "script": bool(seen.complaints),
            "width": bool(seen.outside()),
            "chart": bool(seen.outside()),
            "overlap": bool(seen.overlaps()),
            "line": seen.contrasts("drawn")[0][0] < DRAWN_CONTRAST,
        }
    assert found[flaw]
