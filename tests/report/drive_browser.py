"""Open a page in headless Chromium and say, as JSON, what a reader would see of it.

Called with the browser, the page, a folder for screenshots (light, dark, on a phone, without JavaScript and as
printed) and the number of the column of the table of ratios to sort by.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# Where the last sentence of the answer ends, before anybody scrolls.
ANSWER_ENDS_PX = """() => Math.max(
  ...[...document.querySelectorAll(".said")].map((e) => e.getBoundingClientRect().bottom))"""
# Contrast as WCAG 2 defines it, of every element that holds text, against the nearest painted background.
CONTRAST = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest("script,style")) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.tagName + " " + e.className + ": " + e.textContent.slice(0, 40)];
  }
  return worst;
}"""
COLUMN = """([id, column]) => [...document.querySelectorAll(`${id} tbody tr`)]
  .map((row) => row.cells[column].textContent.trim())"""


def sorted_column(page: Page, where: str, column: int) -> dict[str, list[str]]:
    """The cells of a column as they stand, after one press of its button by keyboard, and after two."""
    seen = {"before": page.evaluate(COLUMN, [where, column])}
    button = page.locator(f"{where} thead button").nth(column)
    for name in ("once", "twice"):
        button.focus()
        page.keyboard.press("Enter")
        seen[name] = page.evaluate(COLUMN, [where, column])
    return seen


def main() -> None:
    browser_path, page_path, folder, column = sys.argv[1:]
    found: dict[str, object] = {"console": [], "requests": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        context = browser.new_context(viewport=WIDE, offline=True)
        page = context.new_page()
        page.on("console", lambda message: found["console"].append(message.text))
        page.on("pageerror", lambda error: found["console"].append(str(error)))
        page.on("request", lambda request: found["requests"].append(request.url[:100]))
        page.goto(Path(page_path).resolve().as_uri())
        page.screenshot(path=f"{folder}/light.png", full_page=False)
        found["answer_ends_px"] = [page.evaluate(ANSWER_ENDS_PX)]
        found["contrast_light"] = page.evaluate(CONTRAST)
        found["sorting"] = sorted_column(page, "#table-ratios", int(column))
        found["texts"] = page.evaluate("() => document.body.innerText.length")
        found["alt"] = page.evaluate("() => [...document.images].map((image) => image.alt)")
        found["broken"] = page.evaluate(
            "async () => { document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; });"
            " await Promise.all([...document.images].map((i) => i.decode().catch(() => null)));"
            " return [...document.images].filter((i) => !i.naturalWidth).length; }"
        )
        found["unnamed"] = page.evaluate(
            "() => [...document.querySelectorAll('button, a, summary, [role=img]')]"
            ".filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label'))).length"
        )
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=f"{folder}/dark.png", full_page=False)
        found["contrast_dark"] = page.evaluate(CONTRAST)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(PHONE)
        found["phone_overflow_px"] = page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        page.screenshot(path=f"{folder}/phone.png", full_page=False)
        page.evaluate("() => window.scrollTo(0, 0)")
        found["answer_ends_px"].append(page.evaluate(ANSWER_ENDS_PX))
        page.set_viewport_size(WIDE)
        page.emulate_media(media="print")
        page.screenshot(path=f"{folder}/print.png", full_page=True)
        page.pdf(path=f"{folder}/page.pdf", format="A4")
        # A sheet is 718 pixels wide; Chromium shrinks what is wider, which nobody reads much smaller.
        page.set_viewport_size({"width": 718, "height": 1000})
        found["cut_in_print"] = page.evaluate(
            "() => [...document.querySelectorAll('table')].filter((t) => t.scrollWidth > 1.5 * 718).map("
            "(t) => t.closest('section').id + ' ' + t.tHead.textContent.slice(0, 60))"
        )
        without = browser.new_context(viewport=WIDE, offline=True, java_script_enabled=False)
        silent = without.new_page()
        silent.goto(Path(page_path).resolve().as_uri())
        silent.screenshot(path=f"{folder}/silent.png", full_page=False)
        found["silent"] = silent.locator("#answer").inner_text()
        browser.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
