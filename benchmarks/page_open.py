"""A large CT on the page: seconds until its three planes stand and can be worked on, beside NiiVue's own planes.

Run: python benchmarks/page_open.py [--size 512 512 600] [--repeats 3] [--ours]
Needs Chromium. Both sides load the same .nii.gz from the same service, in the same headless browser, in turns; each prints the
median over repeats, by the clock and in processor time of all processes of the browser, which hardly depends on what else the machine
does. Without a graphics card both draw on the processor. --ours leaves NiiVue out.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from playwright.sync_api import Browser, sync_playwright

from voxloom.serve.engine import Engine
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import Security
from voxloom.serve.http.server import Listening, open_socket, server_of
from voxloom.serve.service import Service
from voxloom.serve.store import Store

#: NiiVue as its manual says, in a page of the service; resolves when its planes are drawn.
NIIVUE = """async (url) => {
  await new Promise((done) => { const script = document.createElement("script"); script.src = "/page/vendor/niivue.umd.js";
    script.onload = done; document.head.append(script); });
  const canvas = document.createElement("canvas"); Object.assign(canvas, {width: 1024, height: 640}); document.body.append(canvas);
  const nv = new niivue.Niivue({logLevel: "error"}); await nv.attachToCanvas(canvas);
  await nv.loadVolumes([{url, name: "image.nii.gz"}]); nv.drawScene(); nv.gl.finish();
}"""
STEPS = """(work) => { const v = voxloom.viewer, t = performance.now();
  for (let n = 0; n < 20; n++) { if (work === "scroll") v.goSlice("axial", 100 + n); else v.setWindow(0, [-100 - n, 200]);
    v.panes.forEach((pane) => pane.draw()); }
  return (performance.now() - t) / 20 }"""


def write_ct(path: Path, size: tuple[int, int, int]) -> None:
    """A noisy ellipse of soft tissue in air, int16, gzip."""
    random = np.random.default_rng(0)
    i, j = np.ogrid[: size[0], : size[1]]
    inside = ((i / size[0] - 0.5) / 0.4) ** 2 + ((j / size[1] - 0.5) / 0.3) ** 2 < 1
    data = np.where(inside, 40, -1000).astype(np.int16)[:, :, None] + random.integers(-20, 20, size, dtype=np.int16)
    image = nib.Nifti1Image(data, np.diag([0.8, 0.8, 1, 1]))
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(image.to_bytes())


def processor_seconds() -> float:
    """Processor time so far of all running processes that descend from this one (Linux): the browser's."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            parents[int(path.parent.name)], ticks[int(path.parent.name)] = (
                int(fields[1]),
                int(fields[11]) + int(fields[12]),
            )
    own = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in own and pid not in own}:
        own |= new
    return sum(ticks.get(pid, 0) for pid in own - {os.getpid()}) / os.sysconf("SC_CLK_TCK")


def ours(browser: Browser, url: str) -> dict[str, float]:
    """Seconds until the case is open, and ms per slice and per window."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    started = time.perf_counter()
    page.goto(f"{url}/#/case/ct")
    page.wait_for_selector("html[data-ready]", state="attached", timeout=600_000)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found = {"open s": time.perf_counter() - started, "processor s": processor_seconds()}
    found |= {"ms per slice": page.evaluate(STEPS, "scroll"), "ms per window": page.evaluate(STEPS, "window")}
    page.close()
    return found


def niivue(browser: Browser, url: str) -> dict[str, float]:
    """Seconds until NiiVue's planes stand."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    started = time.perf_counter()
    page.goto(f"{url}/#/cases")
    page.set_default_timeout(600_000)
    page.evaluate(NIIVUE, "/api/cases/ct/image.nii.gz?channel=0")
    found = {"open s": time.perf_counter() - started, "processor s": processor_seconds()}
    page.close()
    return found


def measure(folder: Path, size: tuple[int, int, int], repeats: int, both: bool) -> dict[str, dict[str, float]]:
    """Medians of both sides."""
    (folder / "scans").mkdir()
    write_ct(folder / "scans" / "ct.nii.gz", size)
    service = Service(Engine({}, device="cpu"), Store.of(folder / "scans"))
    where = Listening(port=0)
    socket = open_socket(where)
    server = server_of(create_app(service, Security()), where)
    threading.Thread(target=server.run, args=([socket],), daemon=True).start()
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    sides = {"page": ours, **({"NiiVue 0.69.0": niivue} if both else {})}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    with sync_playwright() as play:
        for _ in range(repeats):
            for name, side in sides.items():
                chromium = shutil.which("chromium") or "chromium"
                browser = play.chromium.launch(executable_path=chromium, headless=True, args=["--no-sandbox"])
                rows[name].append(side(browser, url))
                browser.close()
    server.should_exit = True
    service.close()
    return {
        name: {key: statistics.median(row[key] for row in found) for key in found[0]} for name, found in rows.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 600))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ours", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), tuple(given.size), given.repeats, not given.ours)
    print(json.dumps({name: {key: round(value, 2) for key, value in row.items()} for name, row in found.items()}))


if __name__ == "__main__":
    main()
