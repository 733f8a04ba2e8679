"""Work on the page by keyboard alone: every function, from choosing clips to the download."""

import zipfile

import pytest

from tests.jobs import learning, served

# What can be focused; of the points of an outline one at a time.
FOCUSABLE = "button:enabled, a[href], input:enabled, select, summary, [tabindex='0']"


def tab_to(page, selector, key="Tab"):
    """Presses Tab until an element has the focus."""
    wanted = page.locator(selector)
    for _ in range(80):
        if wanted.evaluate_all("found => found.includes(document.activeElement)"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{selector} is not reached by {key}")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def focused_label(page):
    return page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? ''")


@pytest.mark.slow
def test_every_control_is_reached_by_tab(page, clip_files):
    page.set_input_files("#clip", clip_files[1])
    served.wait_for_clips(page, 1)
    page.locator("#edit").press("Enter")
    wanted = page.evaluate(
        """selector => [...document.querySelectorAll(selector)]
          .filter((e) => e.checkVisibility({visibilityProperty: true}) && e.tabIndex >= 0)
          .map((e, i) => (e.dataset.number = i, i))""",
        FOCUSABLE,
    )
    assert len(wanted) > 25
    page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
    reached = set()
    for _ in range(2 * len(wanted)):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.dataset.number"))
    assert {str(number) for number in wanted} <= reached


@pytest.mark.slow
def test_from_chosen_clips_to_a_trained_step(page, clip_files, tmp_path):
    api = pytest.importorskip("playwright.sync_api")
    choosers = []
    # Listened for from the beginning: a busy browser may open it before it is told to tell.
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    page.wait_for_timeout(500)
    tab_to(page, "#clip")
    press(page, "Enter")
    while not choosers:
        page.wait_for_timeout(100)
    choosers[0].set_files(clip_files)
    served.wait_for_clips(page, 3)
    api.expect(page.locator("#status")).to_contain_text("is outlined: ejection fraction")
    for number, name in enumerate(["first_clip.avi", *served.NAMES[1:]]):
        tab_to(page, f"#clips li:nth-child({number + 1}) button.name", "Tab")
        press(page, "Enter")
        api.expect(page.locator("#clip_name")).to_be_focused()
        assert page.locator("#clip_name").inner_text() == name
        tab_to(page, "#frame")
        press(page, "Home", "ArrowRight", "ArrowRight", "ArrowRight")
        assert page.locator("#frame").input_value() == "3"
        assert "frame 3 " in page.locator("#frame").get_attribute("aria-valuetext")
        press(page, "e")
        assert focused_label(page).startswith("point 1 of 16, ")
        press(page, "PageDown", "PageDown", "Shift+ArrowLeft", "ArrowLeft", "ArrowUp")
        assert focused_label(page).startswith("point 3 of 16, ")
        api.expect(page.locator("#clips li").nth(number)).to_contain_text("1 outline corrected")
        press(page, "Insert")
        assert focused_label(page).startswith("point 4 of 17, ")
        press(page, "Delete")
        assert focused_label(page).startswith("point 3 of 16, ")
        press(page, "Escape")
        api.expect(page.locator("#edit")).to_be_focused()
        api.expect(page.locator("#edit")).to_have_attribute("aria-pressed", "false")
        tab_to(page, "#frame", "Shift+Tab")
        tab_to(page, "#drop input", "Shift+Tab")

    # Marks, undo and redo, in the clip that is open.
    tab_to(page, ".mark.es")
    mark = page.locator(".mark.es").first
    at = int(mark.get_attribute("aria-valuenow"))
    press(page, "PageDown")
    api.expect(mark).to_have_attribute("aria-valuenow", str(at - 5))
    cell = page.locator("#beats tbody tr td").nth(1)
    api.expect(cell).to_have_text(str(at - 5))
    press(page, "Control+z")
    api.expect(cell).to_have_text(str(at))
    press(page, "Control+Shift+z")
    api.expect(cell).to_have_text(str(at - 5))
    api.expect(mark).to_be_focused()
    tab_to(page, "#frame", "Shift+Tab")
    press(page, "Home", "ArrowRight")
    press(page, "d")
    api.expect(page.locator("#beats tbody tr td").first).to_have_text("1")
    press(page, " ")
    api.expect(page.locator("#play")).to_have_attribute("aria-pressed", "true")
    press(page, " ")
    api.expect(page.locator("#play")).to_have_attribute("aria-pressed", "false")

    page.reload()
    served.wait_for_clips(page, 3)
    tab_to(page, "#corrections_of_all")
    with page.expect_download() as download:
        press(page, "Enter")
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path / "corrections")
    made = learning.config(tmp_path / "corrections", tmp_path)
    clips = learning.prepared_clips(made)
    frames = {clip.reference_frames.tolist()[0] for split in clips.values() for clip in split}
    assert frames == {3}
    assert learning.learn_one_step(made)["train/loss"] > 0

    # A corrected clip is removed only when that is said twice.
    page.on("dialog", lambda dialog: dialog.accept())
    tab_to(page, "#clips li:nth-child(1) button:last-child", "Shift+Tab")
    press(page, "Enter")
    api.expect(page.locator("#clips li")).to_have_count(2)
