"""Pages in headless Chromium: the timeline is drawn, nothing is loaded, nothing that a run wrote is acted upon."""

from __future__ import annotations

import html
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lowrun.kept.tails import tail_of
from lowrun.showing.page import show_page
from lowrun.showing.stories import Story, follow
from tests.browser import look
from tests.readings import call, end, failed_open, fork, run_of, wait


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Where a page would go that loads something."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def is_asked(server: socket.socket) -> bool:
    """Tell whether somebody has connected."""
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def write_page(directory: Path, story: Story) -> Path:
    path = directory / "page.html"
    path.write_text(show_page(story), encoding="utf-8")
    return path


def test_a_hostile_run(tmp_path: Path, server: socket.socket) -> None:
    """Names, arguments and output full of markup are text, in the drawing and in its tips; no request is made."""
    url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
    evil = f"</script><script>document.title='owned'</script><img src='{url}' onerror=alert(1)><style>"
    program = f"/bin/{evil.replace('/', '|')}"
    events = [
        call(0, "execve", path=program, executable=program), fork(1, 2),
        failed_open(2, evil, pid=2, executable=program),
        end(5, 3, pid=2), wait(6, 2), end(9, 3),
    ]  # fmt: skip
    output = tmp_path / "stdout.log"
    output.write_text(evil + "\n")
    run = run_of(3, command=("sh", "-c", evil), faults=(evil,))
    story = Story(run, None, follow(events, run), (tail_of("stdout", output, 5),), notes=(evil,))
    seen = look(write_page(tmp_path, story), tmp_path)
    assert seen.console == []
    assert not is_asked(server)
    assert "<title>lowrun: run 1 failed: exit 3</title>" in seen.dom
    assert len(re.findall("<script", seen.dom)) == 2 and "<img" not in seen.dom
    assert len(re.findall(r'class="bar failed"', seen.dom)) == 2
    assert 'class="mark error"' in seen.dom and 'class="blamed"' in seen.dom
    assert seen.dom.count("&lt;/script&gt;") >= 5


def test_what_the_script_draws(tmp_path: Path) -> None:
    """A lane for each process and thread, with its end and a name for who cannot see; the table is folded."""
    thread = call(1, "clone3", 5, arguments="{flags=CLONE_VM|CLONE_THREAD}")
    events = [
        thread, fork(2, 2), fork(2, 3), call(3, "read", 1, pid=1, tid=5), failed_open(4, "/x", pid=3),
        end(6, 0, pid=2), end(7, signal="SIGSEGV", pid=3), end(8, 0, pid=1, tid=5), end(9, 139),
    ]  # fmt: skip
    run = run_of(139)
    seen = look(write_page(tmp_path, Story(run, None, follow(events, run))), tmp_path)
    assert seen.console == []
    assert 'data-drawn="4"' in seen.dom
    for state, count in (("ok", 1), ("failed", 1), ("killed", 1), ("thread", 1)):
        assert len(re.findall(f'class="bar {state}"', seen.dom)) == count
    labels = re.findall(r'role="img" aria-label="([^"]*)"', seen.dom)
    assert len(labels) == 4 and "killed by SIGSEGV" in labels[-1]
    table = re.search(r'<details id="process-table"[^>]*>', seen.dom)
    assert table is not None and "open" not in table[0]


DRIVE = """
const svg = document.getElementById("lanes");
const press = (key) => svg.dispatchEvent(new KeyboardEvent("keydown", { key: key, bubbles: true }));
const seen = [];
window.requestAnimationFrame = (draw) => setTimeout(draw, 0);  // without a screen there are no frames
const look = () => new Promise((done) => setTimeout(done, 20))
  .then(() => seen.push(document.querySelector(".controls .soft").textContent));
(async () => {
  await look();
  document.querySelector(".controls button").click(); await look();
  press("ArrowRight"); await look();
  svg.dispatchEvent(new WheelEvent("wheel", { deltaY: -10, ctrlKey: true, clientX: 600, bubbles: true })); await look();
  press("0"); await look();
  const bar = document.querySelector(".bar").getBoundingClientRect();
  document.querySelector(".bar").dispatchEvent(
    new PointerEvent("pointermove", { clientX: bar.x + 5, clientY: bar.y + 5, bubbles: true }));
  document.body.dataset.seen = JSON.stringify(seen);
  document.body.dataset.tip = document.querySelector(".tip").textContent;
})();
"""


def test_zooming_and_tips(tmp_path: Path) -> None:
    """A button, keys and the wheel change what is shown; over a bar its process is told."""
    run = run_of(3)
    followed = follow([call(0, "execve"), failed_open(40, "/x"), end(100, 3)], run)
    page = write_page(tmp_path, Story(run, None, followed))
    text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    page.write_text(text.replace("</body>", f"<script>{DRIVE}</script></body>"))
    seen = look(page, tmp_path)
    assert seen.console == []
    found = re.search(r'data-seen="([^"]*)"', seen.dom)
    assert found is not None
    whole, zoomed, moved, wheeled, again = json.loads(html.unescape(found[1]))
    assert whole == again == "100.000 ms in all"
    assert zoomed == "25.000 ms to 75.000 ms" and moved == "30.000 ms to 80.000 ms"
    assert wheeled not in (moved, whole)
    assert 'data-tip="prog (pid 1)' in seen.dom and "exit 3" in seen.dom


def test_loading_is_forbidden(tmp_path: Path, server: socket.socket) -> None:
    """Were there an element that loads something, the policy would not let it."""
    page = write_page(tmp_path, Story(run_of(1)))
    url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
    injected = (
        f'<img src="{url}"><script src="{url}"></script><script>document.title="owned"</script><p style="color:red">'
    )
    page.write_text(page.read_text().replace("<main>", f"<main>{injected}"))
    seen = look(page, tmp_path)
    assert not is_asked(server)
    assert "<title>lowrun: run 1 failed: exit 1</title>" in seen.dom
    assert len([line for line in seen.console if "Content Security Policy" in line]) >= 4


def test_without_scripts(tmp_path: Path) -> None:
    """The table of processes is open where no script runs."""
    run = run_of(3)
    story = Story(run, None, follow([call(0, "execve"), end(5, 3)], run))
    page = write_page(tmp_path, story)
    page.write_text(re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.DOTALL))
    seen = look(page, tmp_path)
    assert 'open="open"' in seen.dom and ">exit 3</td>" in seen.dom
