"""A page in a real browser: what it asks for, what it complains about, what can be read.

Chromium is Debian's (``chromium``), driven by Playwright, which needs no browser of its own then.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

A4_MM = (210, 297)
PRINTED_WIDTH = 695
"""CSS pixels between the margins of the page: 210 mm less twice 13, at 96 an inch."""

_PATIENCE_MS = 300_000
"""Longest wait for anything, ms: a busy machine is slow, and only a hung browser takes longer."""

_CONTRAST = r"""
() => {
  const parse = (text) => {
    const m = text.match(/^rgba?\(([^)]+)\)$/);
    if (!m) throw new Error("colour " + text);
    const v = m[1].split(/[ ,\/]+/).map(Number);
    return [v[0], v[1], v[2], v.length > 3 ? v[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => {
      const c = v / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  const note = (kind, text, colour, element) => {
    const below = ground(element);
    found.push({kind, text: text.trim().slice(0, 60), ratio: ratio(over(colour, below), below)});
  };
  for (const e of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(e);
    if (style.display === "none" || style.visibility === "hidden") continue;
    if (e.closest("title, desc, style")) continue;
    const text = [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("");
    const drawn = e instanceof SVGElement;
    if (text.trim()) note("text", text, parse(drawn ? style.fill : style.color), e);
    const before = getComputedStyle(e, "::before");
    if (before.content.startsWith('"')) note("text", before.content, parse(before.color), e);
    const marks = ["line", "limit", "frame"].some((name) => e.classList.contains(name));
    if (drawn && marks) note("drawn", e.getAttribute("class"), parse(style.stroke), e);
    if (drawn && e.classList.contains("dot")) note("drawn", "dot", parse(style.fill), e);
  }
  return found;
}
"""

_OUTSIDE = r"""
() => {
  const width = document.documentElement.clientWidth;
  const found = [];
  if (document.documentElement.scrollWidth > width)
    found.push("the page is " + document.documentElement.scrollWidth + " wide");
  for (const e of document.body.querySelectorAll("*")) {
    const head = e.closest("thead");
    if (head && getComputedStyle(head).position === "absolute") continue;
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > width + 0.5 || box.left < -0.5))
      found.push(e.tagName + " " + e.className + ": " + e.textContent.slice(0, 40));
    if (!(e instanceof SVGElement) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth
        && getComputedStyle(e).display !== "inline")
      found.push("scrolls: " + e.tagName + " " + e.textContent.slice(0, 40));
  }
  for (const text of document.querySelectorAll("svg.chart text")) {
    const box = text.getBBox(), view = text.closest("svg").viewBox.baseVal;
    if (box.x < -0.5 || box.y < -0.5 || box.x + box.width > view.width + 0.5
        || box.y + box.height > view.height + 0.5)
      found.push("outside its chart: " + text.textContent);
  }
  return found;
}
"""

_OVERLAPS = r"""
() => {
  const found = [];
  for (const chart of document.querySelectorAll("svg.chart")) {
    const boxes = [...chart.querySelectorAll("text")].map((t) => [t, t.getBBox()]);
    boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
      const x = Math.min(p.x + p.width, q.x + q.width) - Math.max(p.x, q.x);
      const y = Math.min(p.y + p.height, q.y + q.height) - Math.max(p.y, q.y);
      if (x > 1 && y > 4) found.push(a.textContent + " / " + b.textContent);
    }));
  }
  return found;
}
"""


@dataclass
class Opened:
    """A page that is open, with all that it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def contrasts(self, kind: str) -> list[tuple[float, str]]:
        """(ratio, what) of every ``text`` or ``drawn`` line, the weakest first."""
        found = self.page.evaluate(_CONTRAST)
        return sorted((one["ratio"], one["text"]) for one in found if one["kind"] == kind)

    def outside(self) -> list[str]:
        """What is cut off or makes the page scroll sideways."""
        return list(self.page.evaluate(_OUTSIDE))

    def overlaps(self) -> list[str]:
        """Texts of a chart that lie on each other."""
        return list(self.page.evaluate(_OVERLAPS))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window.

    Closed before other tests run: while it is open, Playwright keeps an event loop running here.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "install Debian's package chromium (.ci/setup does where it may)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, timeout=_PATIENCE_MS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    width: int = 1280,
    scheme: str = "light",
    media: str = "screen",
    scale: float = 1.0,
) -> Iterator[Opened]:
    """`file` as it is seen in a window `width` CSS pixels wide."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        device_scale_factor=scale,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    context.set_default_timeout(_PATIENCE_MS)
    try:
        page = context.new_page()
        seen = Opened(page)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(message.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        if media == "print":
            page.emulate_media(media="print")
        page.goto(file.as_uri())
        yield seen
    finally:
        context.close()
