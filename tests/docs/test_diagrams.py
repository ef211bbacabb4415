"""The diagrams of the documentation say what the code says."""

import importlib
import importlib.util
import itertools
import re
from pathlib import Path

import attrs
import pytest

import lungpatch
from lungpatch import containers, protocols
from lungpatch.pipeline import Detection, Pipeline

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lungpatch"
NOT_ROOMS = {"__init__", "presets", "weights"}
REDRAW = "run: python docs/_ext/diagrams.py"


@pytest.fixture(scope="module")
def diagrams():
    path = ROOT / "docs" / "_ext" / "diagrams.py"
    spec = importlib.util.spec_from_file_location("diagrams", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_diagrams_are_up_to_date(diagrams):
    assert _read("_static/flow.svg") == diagrams.draw_flow(), REDRAW
    assert _read("_static/architecture.svg") == diagrams.draw_architecture(), REDRAW
    assert _read("_static/decisions.svg") == diagrams.draw_decisions(), REDRAW


def test_the_table_of_rooms_is_up_to_date(diagrams):
    page = _read("architecture.md")
    assert diagrams.with_table(page) == page, REDRAW


def test_every_room_has_a_floor_and_a_job(diagrams):
    entries = {
        path.stem
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    floors = [room for rooms in diagrams.read_floors() for room in rooms]
    assert sorted(floors) == sorted(entries - NOT_ROOMS)
    assert set(diagrams.JOBS) == set(floors)


def test_the_rooms_of_components_are_those_of_the_registry(diagrams):
    modules = {entry.target.split(":")[0] for entry in lungpatch.Registry(plugins=[]).entries()}
    assert {module.split(".")[1] for module in modules} == diagrams.COMPONENTS


def test_the_steps_are_those_of_a_detection(diagrams):
    """In order, the values of the flow are the types of a detection's fields."""
    types = [
        str(field.type).removesuffix(" | None")
        for field in attrs.fields(Detection)
        if field.name != "resized"
    ]
    types = [name for name in types if hasattr(containers, name)]
    (*steps, report) = (step for _, steps in diagrams.FLOW for step in steps)
    assert [step.value for step in steps] == types
    assert report.value == "Detection"


def test_the_parts_of_the_flow_are_those_of_a_pipeline(diagrams):
    parts = [step for _, steps in diagrams.FLOW for step in steps if step.is_component]
    fields = [str(field.type) for field in attrs.fields(Pipeline)]
    for step in parts:
        assert hasattr(protocols, step.part), step.part
        assert step.part in fields
        assert step.room in diagrams.COMPONENTS


def test_every_step_has_a_room(diagrams):
    for caption, steps in diagrams.FLOW:
        assert hasattr(Pipeline, caption.split(":")[0].removeprefix("Pipeline."))
        for step in steps:
            importlib.import_module(f"lungpatch.{step.room}")


def test_the_floors_of_the_contributors_page_are_those_of_the_package(diagrams):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```text\n(cli .*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    lines = [re.split(r"  +", line)[0].split(", ") for line in tree.splitlines()]
    floors = {room: number for number, rooms in enumerate(diagrams.read_floors()) for room in rooms}
    listed = [room for line in lines for room in line]
    assert sorted(listed) == sorted(floors.keys() - {"__main__", "_version"})
    for upper, lower in itertools.pairwise(lines):
        assert min(floors[room] for room in upper) >= max(floors[room] for room in lower)
