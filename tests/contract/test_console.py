"""`ezpath console` in a real browser: a real nats-server, the real process, and events that the lab's main job made."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from cli_process import ezpath
from console_rig import BUSY_S, NETWORK, ConsoleProcess, answer_for_services, console, first, later, recording, replay
from ezpath.bus import Bus
from ezpath.events import SagaOutcome
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect
from playwright.async_api import TimeoutError as Waited

PAIR = "red.red-11.red-21"
PICTURES = Path(os.environ["PICTURES"]) if "PICTURES" in os.environ else None
"""Where `make pictures` wants what the page looks like."""
IN_TIME_MS = 60_000
"""Not a matter of time: a machine may have much else to do."""

expect.set_options(timeout=IN_TIME_MS)


pytestmark = pytest.mark.asyncio(loop_scope="module")
"""One browser for all of the file, and so one loop."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(needs: Callable[..., None]) -> AsyncIterator[Browser]:
    needs("chromium")
    async with async_playwright() as playwright:
        # root has no sandbox, and CI is root
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def bus(nats_server) -> AsyncIterator[Bus]:
    async with await Bus.connect(nats_server.url, "test", wait_s=30) as bus:
        yield bus


@pytest_asyncio.fixture(loop_scope="module")
async def served(nats_server, tmp_path: Path) -> AsyncIterator[ConsoleProcess]:
    async with console(nats_server.url, tmp_path) as process:
        yield process


@asynccontextmanager
async def opened(browser: Browser, url: str, scheme: str = "light", width: int = 1440) -> AsyncIterator[Page]:
    """The page, once it shows what the server has. Whatever the browser complains of fails the test."""
    context = await browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 1000},
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    await page.goto(url)
    await expect(page.locator("#link")).to_have_attribute("data-state", "up")
    yield page
    await context.close()
    ours = [text for text in complaints if "ERR_" not in text]  # a server that is away on purpose
    assert ours == []


async def busy(bus: Bus) -> None:
    """The recorded job when three pairs are on the switches, with services that answer."""
    await answer_for_services(bus)
    seen = first(recording(), BUSY_S)
    await replay(bus, seen, time.time() - seen[-1].at)


async def picture(page: Page, file: Path) -> None:
    """What docs/CONSOLE.md shows: the last minute, and one saga opened."""
    await page.get_by_label("Span").select_option("60")
    await page.locator("#sagas summary").nth(1).click()
    await expect(page.locator("#sagas details[open] tbody tr")).not_to_have_count(0)
    await expect(page.locator("#flows tbody tr")).to_have_count(6)
    await expect(page.locator("#figures .good")).to_contain_text("none")
    await page.evaluate("document.fonts.ready")
    small = io.BytesIO()
    shot = Image.open(io.BytesIO(await page.screenshot(full_page=True)))
    shot.quantize(128, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    assert 20_000 < small.tell() < 200_000, "nothing on it, or too much for a repository"
    await asyncio.to_thread(file.write_bytes, small.getvalue())


def way_of(page: Page, pair: str = PAIR):  # type: ignore[no-untyped-def]
    """Its line in the table that says the same as the topology."""
    return page.locator("#tunnels tbody tr", has=page.locator("th", has_text=pair)).locator("td").nth(1)


async def test_the_tunnel_is_drawn_by_the_tors_as_soon_as_the_outcome_comes(bus, served, browser):
    # Given the recorded job just before its first outcome: the pair is carried by the hosts, and on its way
    seen = recording()
    outcome = next(each for each in seen if isinstance(each.event, SagaOutcome) and each.event.pair == PAIR)
    before = seen[: seen.index(outcome)]
    by_s = time.time() - outcome.at
    async with opened(browser, served.url) as page:
        await replay(bus, before, by_s)
        await expect(way_of(page)).to_have_text("VXLAN h11 to h21")
        line = page.locator("#picture g.line", has_text=f"{PAIR}:").first
        await expect(line).to_have_class("line moving")
        await expect(line.locator("path.tag")).to_have_count(0)
        # When the outcome comes, and nothing else
        await bus.publish(later(outcome.event, by_s))
        # Then the tunnel goes from ToR to ToR, in the picture and in the table that stands for it
        await expect(way_of(page)).to_have_text("VLAN tag h11 to tor1, VXLAN tor1 to tor2, VLAN tag tor2 to h21")
        await expect(line).to_have_class("line switch")
        await expect(line.locator("path.tag")).to_have_count(1)
        # and who does not see it is told
        await expect(page.locator("#said")).to_have_text("red-11 – red-21: active")
        # The moments are on the plot of its rate, and in its words
        plot = page.locator("#flows tbody tr", has_text="red-11 – red-21").locator("svg[role=img]")
        await expect(plot).to_have_attribute("aria-label", re.compile(r"offload decided; .* active$"))
        await expect(plot.locator(".mark.decided")).to_have_count(1)
        await expect(plot.locator(".mark.active")).to_have_count(1)


async def test_all_of_it_is_on_one_page_and_the_filters_work_by_keyboard(bus, served, browser):
    async with opened(browser, served.url) as page:
        await busy(bus)
        # Flows, sagas with their phases, tables of each ToR, and that all is well
        await expect(page.locator("#flows tbody tr")).to_have_count(6)
        await expect(page.locator("#sagas li")).to_have_count(4)
        await expect(page.locator("#sagas li").first).to_contain_text("rolled-back 485 ms")
        await expect(page.get_by_role("table", name="Tables of tor2")).to_contain_text("4 / 131,072")
        await expect(page.locator("#figures")).to_contain_text("none")
        rows, count = page.locator("#events tbody tr"), page.locator("#count")
        await expect(rows.first).to_contain_text("ROLLED BACK")
        # When somebody without a mouse goes to the events: the first thing that the Tab key finds leads there
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(page.locator("#find")).to_be_focused()
        await page.keyboard.type("RED-12.red-22 tor2")
        # Then only lines with both words are left
        await expect(rows).to_have_count(4)
        assert all("red.red-12.red-22" in text for text in await rows.all_inner_texts())
        await expect(count).to_have_text(re.compile(r"^4 of \d+ events$"))
        # When a kind is chosen as well, and writers' reports with it
        await page.keyboard.press("Tab")
        await expect(page.locator("#kind")).to_be_focused()
        await page.keyboard.type("step-report")
        await expect(rows).to_have_count(2)
        await expect(page.locator("#events tbody .bad")).to_contain_text("RESOURCE_EXHAUSTED")
        # When all is cleared, then all is back, and the focus stays where it was
        for _ in range(3):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#find")).to_have_value("")
        await expect(page.get_by_role("button", name="Clear")).to_be_focused()
        await expect(rows.nth(20)).to_be_attached()
        # A saga opens to its phases
        await page.locator("#sagas summary").first.press("Enter")
        story = page.get_by_role("table", name="Phases of red.red-12.red-22.1")
        await expect(story).to_contain_text("switch:tor2 FAILED: RESOURCE_EXHAUSTED")
        # and a pair that is chosen is alone in the picture and among the sagas, and keeps the focus while all goes on
        chosen = page.get_by_role("button", name="red-11 – red-21")
        await chosen.press("Space")
        await expect(chosen).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#sagas li")).to_have_count(1)
        await bus.publish(later(next(each.event for each in recording() if isinstance(each.event, SagaOutcome)), 0.0))
        await expect(chosen).to_be_focused()


async def test_nothing_stands_in_the_way_of_who_uses_a_screen_reader_or_needs_contrast(bus, served, browser, tmp_path):
    for scheme in ("light", "dark"):
        async with opened(browser, served.url, scheme) as page:
            if scheme == "light":
                await busy(bus)
            await picture(page, PICTURES / f"console-{scheme}.png" if PICTURES else tmp_path / f"{scheme}.png")
            await page.locator("#tunnels summary").click()
            await page.get_by_role("button", name="red-12 – red-22").click()
            # axe-core, all rules: landmarks, headings, names, contrast …
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            # and the colours are those that were asked for
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, re.findall(r"\d+", ground))) > 600) == (scheme == "light")


TOO_WIDE = """
() => {
  const room = document.documentElement.clientWidth;
  const name = (e) => e.tagName + "#" + e.id + "." + e.getAttribute("class");
  const within = (e) => e && (getComputedStyle(e).overflowX !== "visible" || within(e.parentElement));
  return [...document.body.querySelectorAll("*")]
    .filter((e) => e.getBoundingClientRect().right > room + 1 && !within(e.parentElement) && !e.closest(".unseen"))
    .map((e) => `${name(e)} to ${e.getBoundingClientRect().right}`);
}
"""
"""What goes beyond the screen and is in nothing that scrolls by itself."""


async def test_on_a_telephone_the_page_does_not_scroll_sideways(bus, served, browser):
    async with opened(browser, served.url, width=390) as page:
        await busy(bus)
        await expect(page.locator("#flows tbody tr")).to_have_count(6)
        await page.locator("#sagas summary").nth(1).click()
        await expect(page.locator("#sagas details[open] tbody tr")).not_to_have_count(0)
        await page.locator("#tunnels summary").click()
        for width in (390, 320):
            await page.set_viewport_size({"width": width, "height": 800})
            # it draws anew when it hears of the other size
            with contextlib.suppress(Waited):
                await page.wait_for_function(f"() => ({TOO_WIDE})().length === 0", timeout=10_000)
            assert await page.evaluate(TOO_WIDE) == []
            assert await page.evaluate("document.scrollingElement.scrollWidth") == width
        # and all of a row is on it: the plot, and who and why
        for cell in ("#flows td.plot svg", "#events td.why", "#sagas details[open] td.why"):
            box = await page.locator(cell).first.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 320 and box["width"] > 100, cell
        # What does scroll by itself, the keyboard reaches
        found = await Axe().run(page, options={"runOnly": ["scrollable-region-focusable"]})
        assert found.violations_count == 0, found.generate_report()


async def test_it_says_that_nats_is_away_and_goes_on_when_it_is_back(nats_server, served, browser):
    link = "#link"
    async with opened(browser, served.url) as page:
        # When NATS goes away, then the page says so, and stays
        nats_server.stop()
        await expect(page.locator(link)).to_contain_text("is away since")
        await expect(page.locator("#said")).to_contain_text("is away since")
        # When it is back, then what happens is shown again
        nats_server.start()
        await expect(page.locator(link)).to_have_attribute("data-state", "up")
        async with await Bus.connect(nats_server.url, "test", wait_s=30) as bus:
            await busy(bus)
            await expect(page.locator("#flows tbody tr")).to_have_count(6)
            await expect(page.locator("#sagas li")).to_have_count(4)
            # When the console itself goes, then the page says that as well
            served.process.terminate()
            await expect(page.locator(link)).to_contain_text("The console does not answer")
            assert await served.process.wait() == 0


async def test_it_says_nothing_on_the_bus_but_the_question_how_services_are(nats_server, tmp_path):
    heard: list[str] = []
    asked = asyncio.Event()
    ear = await nats.connect(nats_server.url)

    async def on_message(message: nats.aio.msg.Msg) -> None:
        heard.append(message.subject)
        if message.subject.startswith("ezpath.ask."):
            asked.set()

    await ear.subscribe("ezpath.>", cb=on_message)
    await ear.subscribe("$JS.API.>", cb=on_message)
    async with console(nats_server.url, tmp_path):
        await asyncio.wait_for(asked.wait(), 60)
    await ear.close()
    assert {subject for subject in heard if subject.startswith("ezpath.")} == {"ezpath.ask.status"}
    # nor does it write, or acknowledge: a stream or bucket that is missing is made, as by all who connect
    verbs = {".".join(subject.split(".")[2:4]) for subject in heard if subject.startswith("$JS.API.")}
    assert verbs <= {
        "STREAM.INFO",
        "STREAM.CREATE",
        "STREAM.UPDATE",
        "STREAM.MSG",
        "CONSUMER.CREATE",
        "CONSUMER.MSG",
        "CONSUMER.INFO",
        "CONSUMER.LIST",
        "CONSUMER.DELETE",
        "DIRECT.GET",
        "INFO",
    }


async def test_an_address_that_is_taken_is_said_with_the_remedy(nats_server, served, tmp_path):
    where = served.url.removeprefix("http://")
    code, _, err = await ezpath("console", "--listen", where, "--inventory", str(NETWORK))
    assert code == 2 and where in err and "ss -ltnp" in err
