"""The pictures of calibration/README.md: ``python -m tests.calibration.report.pictures``.

They show the sample records of the tests, as Debian's Chromium draws them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image
from tests.calibration.report import samples
from tests.calibration.report.browser import chromium, opened

from earmark_calibration.report import fleet, fleet_page, page
from earmark_calibration.report.fleets import Entry

FOLDER = Path(__file__).resolve().parents[3] / "calibration" / "pictures"

MOST_BYTES = 200_000
COLOURS = 128
"""Of the palette: text and lines need no more, and the files become a third."""


def _small(png: Path) -> None:
    """Draw it again with a palette, without changing what is seen."""
    with Image.open(png) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(png, optimize=True)
    if png.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{png} is larger than {MOST_BYTES} bytes")


def _side_by_side(parts: list[Path], to: Path, gap: int = 24) -> None:
    pictures = [Image.open(part).convert("RGB") for part in parts]
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(picture.height for picture in pictures)), "#7a828a")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + gap
    sheet.save(to)


def main() -> None:
    """Draw both pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made, chromium() as browser:
        folder = Path(made)
        report, many = folder / "report.html", folder / "fleet.html"
        report.write_text(page(samples.marginal()), encoding="utf-8")
        records = [Entry.of(record, "x.json") for record in samples.many()]
        many.write_text(fleet_page(fleet(records)), encoding="utf-8")
        shots = []
        for name, scheme, anchor in (
            ("top", "light", "header"),
            ("measurements", "light", "h2:text('Measurements')"),
            ("charts", "dark", "h2:text('Charts')"),
        ):
            with opened(browser, report, 360, scheme, scale=1.5) as seen:
                seen.page.set_viewport_size({"width": 360, "height": 780})
                seen.page.locator(anchor).first.evaluate("e => e.scrollIntoView()")
                shots.append(folder / f"{name}.png")
                seen.page.screenshot(path=shots[-1])
        _side_by_side(shots, FOLDER / "report.png")
        with opened(browser, many, 960) as seen:
            seen.page.set_viewport_size({"width": 960, "height": 640})
            seen.page.screenshot(path=FOLDER / "fleet.png")
    for name in ("report.png", "fleet.png"):
        _small(FOLDER / name)


if __name__ == "__main__":
    main()
