"""The page in a browser, as a microscopist uses it: no stub anywhere, the released networks at work."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("nicegui", reason="needs the libraries of the page: pip install 'facetem[page]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright to drive a browser")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHOOSER = "input[type=file][multiple]:not([webkitdirectory])"
LONG = 60_000  # ms: the machine may be busy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("weights"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated micrograph of one particle."""
    import facetem
    from facetem.data.micrograph import save_image

    atoms = facetem.build("cuboctahedron", diameter=40.0, orientation=(0, 1, 1), film_thickness=10.0, seed=3)
    pixels = facetem.simulate(
        atoms,
        sampling=0.4,
        optics=facetem.Optics(facetem.Aberrations(defocus=60.0)),
        camera=facetem.Camera(dose=5000.0),
        accuracy="draft",
        seed=1,
        device="cpu",
    )
    path = tmp_path_factory.mktemp("micrographs") / "particle one.tif"
    save_image(path, pixels, 0.4)
    return path


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    told = os.environ.get("FACETEM_SCREENSHOTS")
    folder = Path(told) if told else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def server(
    served: Callable[..., AbstractContextManager[str]],
    image: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Path]]:
    """The address of a page that offers a folder, and the folder."""
    folder = tmp_path_factory.mktemp("folder")
    shutil.copy(image, folder / "shared.tif")
    with served(folder, temporary=tmp_path_factory.mktemp("temporary")) as address:
        yield address, folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def visitor(browser: Any, server: tuple[str, Path], image: Path, shots: Path) -> Iterator[Any]:
    """The page of a visitor who has uploaded a micrograph; in the end nothing was asked of another machine, and nothing
    went wrong in the browser."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    asked: list[str] = []
    wrong: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    refusal = "the server responded with a status of 415"  # which a browser logs by itself
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_default_timeout(LONG)
    page.goto(server[0])
    page.set_input_files(CHOOSER, image)
    page.wait_for_selector(".ft-mark")
    page.screenshot(path=shots / "analysed.png")
    yield page
    context.close()
    here = urlsplit(server[0]).netloc
    assert len(asked) > 10
    assert {
        url for url in asked if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != here
    } == set()
    assert [text for text in wrong if refusal not in text] == []


@pytest.fixture
def visit(visitor: Any) -> Any:
    """The same with that micrograph open and its particle chosen."""
    visitor.set_viewport_size({"width": 1280, "height": 800})
    visitor.get_by_role("tab", name="Analyse").click()
    visitor.get_by_role("button", name="particle one.tif", exact=True).click()
    visitor.wait_for_selector(".ft-title h1 >> text=particle one.tif")
    visitor.locator(".ft-mark").first.click()
    visitor.wait_for_selector(".ft-bars")
    return visitor


def test_a_particle_is_looked_at(visit: Any, shots: Path) -> None:
    mark = visit.locator(".ft-mark").first
    assert mark.get_attribute("aria-label").startswith("1: ")
    visit.wait_for_selector("[data-picture=twin] img[src^=data]")
    for name in ("crop", "restored", "spectrum", "saliency"):
        visit.wait_for_selector(f"[data-picture={name}] img[src^=data]")
    assert visit.locator(".ft-bars li").count() == 8
    # The solid shows the half of its faces that look at the beam, and another half when it is turned by keys.
    solid = visit.locator(".ft-solid svg").first
    assert int(solid.get_attribute("data-faces")) >= 3
    before = solid.inner_html()
    solid.press("ArrowRight")
    visit.wait_for_function("([e, b]) => e.innerHTML !== b", arg=[solid.element_handle(), before])
    visit.screenshot(path=shots / "particle.png")
    assert visit.locator(".ag-row").count() == visit.locator(".ft-mark").count()


def test_the_view_zooms_and_the_slider_uncovers_the_restored_image(visit: Any, shots: Path) -> None:
    stage = visit.locator(".ft-main .ft-stage")
    plane, bar = visit.locator(".ft-main .ft-plane"), visit.locator(".ft-main .ft-bar")
    before, length = plane.get_attribute("style"), bar.inner_text()
    stage.focus()
    for _ in range(4):
        stage.press("+")
    assert plane.get_attribute("style") != before
    assert bar.inner_text() != length  # the scale bar follows
    visit.screenshot(path=shots / "zoomed.png")
    stage.press("0")
    assert bar.inner_text() == length
    clip = visit.locator(".ft-main .ft-plane img").nth(1)
    shown = clip.get_attribute("style")
    visit.locator(".ft-wipe input").press("ArrowRight")
    assert clip.get_attribute("style") != shown
    over = visit.locator(".ft-wipe select")
    assert over.input_value() == "restored"
    assert "/restored.png" in clip.get_attribute("src")
    over.select_option("denoised")
    assert "/denoised.png" in clip.get_attribute("src")
    stage.focus()
    stage.press("d")
    assert "/restored.png" in clip.get_attribute("src")
    assert over.input_value() == "restored"


def test_a_label_is_kept_over_a_reload_and_downloaded_with_its_crop(visit: Any, tmp_path: Path) -> None:
    visit.get_by_role("combobox", name="Your label").click()
    visit.get_by_role("option", name="icosahedron", exact=True).click()
    visit.wait_for_selector("text=kept with the results")
    visit.wait_for_selector("text=Your label is the named shape for 0 of 1 particle")
    visit.reload()
    visit.get_by_role("button", name="particle one.tif", exact=True).click()
    visit.wait_for_selector(".ag-cell[col-id=label] >> text=icosahedron")
    with visit.expect_download() as waiting:
        visit.get_by_role("link", name="Download", exact=True).click()
    waiting.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
        assert {
            "report.html",
            "result.json",
            "particles.csv",
            "restored.tif",
            "labels.json",
            "labels.csv",
        } <= names
        told = json.loads(archive.read("particle one.tif/labels.json"))
        (row,) = told["labels"]
        assert row["label"] == "icosahedron"
        archive.extract("particle one.tif/crops/icosahedron/particle-001.tif", tmp_path)
        # Where the server keeps its files is not in what it gives away.
        assert b"facetem-page-" not in b"".join(archive.read(name) for name in archive.namelist())
    from facetem.data.micrograph import load_micrograph

    crop = load_micrograph(tmp_path / "particle one.tif" / "crops" / "icosahedron" / "particle-001.tif")
    assert crop.image.shape == (256, 256)
    assert crop.sampling == pytest.approx(0.4)


def test_a_file_without_pixel_size_asks_for_one(visit: Any, image: Path, tmp_path: Path) -> None:
    import numpy as np

    from facetem.data.micrograph import load_micrograph

    np.save(tmp_path / "bare.npy", load_micrograph(image).image)
    visit.set_input_files(CHOOSER, tmp_path / "bare.npy")
    visit.wait_for_selector("text=does not know its pixel size")
    visit.get_by_label("Pixel size of bare.npy in nm").fill("0.04")
    visit.locator(".ft-file", has_text="bare.npy").get_by_role("button", name="Analyse").click()
    visit.wait_for_selector(".ft-title h1 >> text=bare.npy")
    visit.get_by_role("button", name="Remove bare.npy").click()
    visit.wait_for_selector(".ft-empty", state="visible")


def test_a_wrong_pixel_size_is_corrected(visit: Any, image: Path, shots: Path, tmp_path: Path) -> None:
    shutil.copy(image, tmp_path / "wrong.tif")
    visit.set_input_files(CHOOSER, tmp_path / "wrong.tif")
    visit.wait_for_selector(".ft-title h1 >> text=wrong.tif")
    facts = visit.locator(".ft-facts")
    assert "0.04 nm/px" in facts.inner_text()
    row = visit.locator(".ft-file", has_text="wrong.tif")
    size = visit.get_by_label("Pixel size of wrong.tif in nm")
    assert not size.is_visible()  # folded away: there is a result
    row.get_by_text("Analyse again").click()
    visit.screenshot(path=shots / "again.png")
    size.fill("0.042")
    # Another micrograph is looked at meanwhile: what was typed stays.
    visit.get_by_role("button", name="particle one.tif", exact=True).click()
    visit.wait_for_selector(".ft-title h1 >> text=particle one.tif")
    assert size.input_value() == "0.042"
    row.get_by_role("button", name="Analyse", exact=True).click()
    visit.wait_for_selector(".ft-title h1 >> text=wrong.tif")
    assert "0.042 nm/px" in facts.inner_text()
    visit.get_by_role("button", name="Remove wrong.tif").click()
    row.wait_for(state="detached")


def test_a_job_is_cancelled_and_a_lying_file_refused_in_words(visit: Any, tmp_path: Path) -> None:
    import numpy as np

    from facetem.data.micrograph import save_image

    save_image(tmp_path / "large.tif", np.random.default_rng(0).normal(size=(1200, 1200)), 0.4)
    visit.set_input_files(CHOOSER, tmp_path / "large.tif")
    row = visit.locator(".ft-file", has_text="large.tif")
    row.get_by_role("button", name="Cancel").click()
    row.get_by_role("button", name="Analyse").wait_for()
    visit.get_by_role("button", name="Remove large.tif").click()
    row.wait_for(state="detached")
    (tmp_path / "lie.tif").write_bytes(b"PK\x03\x04" + bytes(9000))
    visit.set_input_files(CHOOSER, tmp_path / "lie.tif")
    visit.wait_for_selector(".ft-drop .bad >> text=got a zip archive")
    visit.get_by_role("button", name="Dismiss lie.tif").click()


def test_a_micrograph_of_the_folder_keeps_its_report_there(visit: Any, server: tuple[str, Path]) -> None:
    row = visit.locator(".ft-file", has_text="shared.tif")
    row.get_by_role("button", name="Analyse").click()
    visit.wait_for_selector(".ft-title h1 >> text=shared.tif")
    report = server[1] / "facetem-reports" / "shared.tif"
    assert (report / "result.json").is_file()
    assert not [path for path in report.parent.iterdir() if path.name.startswith(".")]


def test_the_simulator_follows_its_sliders(visit: Any, shots: Path) -> None:
    visit.get_by_role("tab", name="Simulate").click()
    said = visit.locator(".ft-said")
    visit.wait_for_function("e => e.innerText.includes('new exit wave')", arg=said.element_handle())
    visit.screenshot(path=shots / "simulator.png")
    picture = visit.locator(".ft-bench .ft-plane img").first
    before = picture.get_attribute("src")
    visit.locator("[data-control=defocus_nm] [tabindex='0']").first.press("ArrowRight")
    visit.wait_for_function("([e, b]) => e.src !== b", arg=[picture.element_handle(), before])
    assert "from the wave that was there" in said.inner_text()  # focus costs no new wave
    before = picture.get_attribute("src")
    visit.locator("[data-control=turn] [tabindex='0']").first.press("ArrowRight")
    visit.wait_for_function("([e, b]) => e.src !== b", arg=[picture.element_handle(), before])
    assert "new exit wave" in said.inner_text()


@pytest.mark.parametrize("size", [(1024, 768), (820, 1180)], ids=["landscape", "portrait"])
def test_a_tablet_shows_all_of_it_without_scrolling_sideways(
    visit: Any, shots: Path, size: tuple[int, int]
) -> None:
    visit.set_viewport_size({"width": size[0], "height": size[1]})
    for tab in ("Analyse", "Simulate"):
        visit.get_by_role("tab", name=tab).click()
        visit.wait_for_timeout(500)
        visit.screenshot(path=shots / f"{tab.lower()}-{size[0]}.png")
        assert visit.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_another_visitor_sees_none_of_it(browser: Any, visit: Any, server: tuple[str, Path]) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(server[0])
    page.wait_for_selector("text=shared.tif")  # the folder is everybody's
    assert page.locator("text=particle one.tif").count() == 0
    key = visit.locator(".ft-file", has_text="particle one.tif").get_attribute("data-file")
    mine, other = (
        visitor.request.get(f"{server[0]}api/items/{key}/field.png").status for visitor in (visit, page)
    )
    assert (mine, other) == (200, 404)
    context.close()
