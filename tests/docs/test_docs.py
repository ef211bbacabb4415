"""What the documentation says to type works: every code block of every page is run.

The blocks of a page run from top to bottom in one folder, which holds the images and pipelines that
the pages speak of. A block that cannot run here has ``<!-- not run: reason -->`` above it.
"""

import contextlib
import importlib.util
import io
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import attrs
import pytest

import lungpatch
from lungpatch import cli, pipeline
from lungpatch.cli import demo
from lungpatch.datasets.phantom import phantom_cohort, save_cohort
from lungpatch.pipeline import build_pipeline, configuration, loading, storage, tables

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(
        path.relative_to(DOCS).as_posix()
        for path in DOCS.rglob("*.md")
        if not {"_build", "gallery"} & set(path.parts)
    ),
    "../README.md",
    "../CONTRIBUTING.md",
]
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)
SHOWN_ONLY = {"text", "yaml", "json"}
# Commands that change a machine, or take minutes; what they name is checked instead.
NOT_RUN = (
    "pip install",
    "make ",
    "mkdir ",
    "python -m venv",
    "source ",
    "python --version",
    "cd ",
    "pytest ",
    ".venv/bin/pytest ",
)


@attrs.frozen
class Block:
    language: str
    text: str
    line: int


def _blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match["reason"] is None and match["language"] not in SHOWN_ONLY:
            yield Block(match["language"], match["text"], text[: match.start()].count("\n") + 1)


RUN_PAGES = [page for page in PAGES if any(_blocks(page))]


@pytest.fixture(scope="module")
def prepared(cohort, saved, tmp_path_factory):
    """A folder with what the pages speak of. Copied for each page."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(cohort / "normal", folder / "normal")
    further = folder / "further"  # as many as a conformal threshold needs
    save_cohort(phantom_cohort(10, 0, seed=31, size=256), further)
    for path in (further / "normal").iterdir():
        path.rename(folder / "normal" / f"further-{path.name}")
    shutil.rmtree(further)
    shutil.copytree(cohort / "opacity", folder / "others")
    shutil.copytree(cohort / "opacity", folder / "more")
    shutil.copytree(cohort / "normal", folder / "more-normal")
    images = folder / "images"
    images.mkdir()
    rows = ["file,label,patient,view,rsna_class"]
    for group, label, read in (("normal", "normal", ""), ("opacity", "pneumonia", "Lung Opacity")):
        for path in sorted((cohort / group).iterdir()):
            shutil.copy(path, images / path.name)
            rows.append(f"{path.name},{label},{path.stem},PA,{read}")
    (images / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    (images / "boxes.csv").write_text("file,x,y,w,h\nopacity-000.png,0.2,0.3,0.2,0.2\n")
    rows += [
        f"{path.name},normal,{path.stem},PA," for path in (folder / "normal").glob("further-*")
    ]
    (folder / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "abnormal.csv").write_text("file\nnormal-000.png\n", encoding="utf-8")
    shutil.copy(cohort / "opacity" / "opacity-000.png", folder / "patient.png")
    _write_dicom(folder / "image.dcm", lungpatch.read_image(folder / "patient.png"))
    shutil.copytree(saved, folder / "mine.lungpatch")
    (folder / "mine.toml").write_text('preset = "paper"\n', encoding="utf-8")
    return folder


def _write_dicom(path, image):
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.1", "1.2.2"
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelSpacing = [0.4, 0.4]
    dataset.PixelData = (image.pixels * 255).round().astype("uint8").tobytes()
    dataset.save_as(path, enforce_file_format=True)


@pytest.fixture
def quick(monkeypatch):
    """Small networks, one epoch, and a demo of a few images; all else is as it is printed."""
    tables_of = configuration._preset_tables

    def one_epoch(name):
        tables = tables_of(name)
        if name == "paper":
            tables["model"] |= {"epochs": 1, "base_channels": 2}
        if name == "default":
            for member in tables["model"]["members"]:
                member["model"]["passes"] = 1
            tables["thresholder"] = {"name": "quantile"}  # conformal takes more images
        return tables

    monkeypatch.setattr(configuration, "_preset_tables", one_epoch)
    small = {"N_NORMAL": 6, "N_OPACITY": 3, "IMAGE_SIZE": 128}
    for name, value in small.items():
        monkeypatch.setattr(demo, name, value)


@pytest.fixture
def beside(prepared, tmp_path, monkeypatch, quick):
    """That folder, to work in, and what it is left with."""
    folder = tmp_path / "page"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("page", RUN_PAGES)
def test_every_code_block_runs(page, beside, fitted, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    names = {"__name__": "page", "pipeline": fitted, "detection": fitted.detect("patient.png")}
    loaded = set(sys.modules)
    for block in _blocks(page):
        where = f"{page}, the block in line {block.line}"
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                if block.language == "python":
                    _run_python(block.text, names, monkeypatch)
                elif block.language == "toml":
                    _run_toml(block.text, beside)
                elif block.language == "console":
                    _run_console(block.text, monkeypatch)
                else:
                    pytest.fail(f"{where}: nothing runs a block of {block.language!r}")
        except Exception as error:
            pytest.fail(f"{where}: {type(error).__name__}: {error}")
        finally:
            pyplot.close("all")
    for name in set(sys.modules) - loaded:
        if name.startswith(("lungpatch_", "test_")):
            monkeypatch.delitem(sys.modules, name)


def _run_python(text, names, monkeypatch):
    """Run a block; one whose first line names a file becomes that file, and a module if it can."""
    first = re.match(r"# (\S+\.py)\n", text)
    if first is None:
        exec(compile(text, "block", "exec"), names)
        return
    path = Path(first[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if path.stem == "conftest" or path.stem.startswith("test_"):
        compile(text, path, "exec")  # pytest runs those: tests/testing/test_pytest_integration.py
        return
    name = path.parent.name if path.stem == "__init__" else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    if hasattr(module, "lungpatch_register"):
        registry = lungpatch.Registry(plugins=[module])
        for user in (configuration, loading, storage, tables):
            monkeypatch.setattr(user, "default_registry", lambda: registry)


def _run_toml(text, folder):
    """Check a block; one that describes a pipeline becomes mine.toml, or the file it names."""
    table = tomllib.loads(text)
    if "preset" in table or "model" in table:
        named = re.match(r"# (\S+\.toml)\n", text)
        path = folder / (named[1] if named else "mine.toml")
        path.write_text(text, encoding="utf-8")
        lungpatch.load_config(path)


def _run_console(text, monkeypatch):
    for line in text.replace("\\\n", " ").splitlines():
        if not line.startswith("$ "):
            continue  # what a command printed
        words = shlex.split(line[2:], comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        command = " ".join(words)
        if words and words[0] == "lungpatch":
            monkeypatch.setattr(sys, "argv", words)
            with contextlib.redirect_stderr(io.StringIO()) as errors:
                try:
                    cli.main()
                except SystemExit as end:
                    assert end.code in (0, None), f"{command}: {errors.getvalue()}"
        else:
            assert f"{command} ".startswith(NOT_RUN), f"nothing checks {command!r}"


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pages = "\n".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    for target in set(re.findall(r"^\$ make (\w+)", pages, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_page_runs_what_it_can():
    """The reader's first pages hold code, so the walk above must have found some in each."""
    assert {"index.md", "tutorial.md", "how-to/own-data.md", "plugins.md"} <= set(RUN_PAGES)


def test_the_plugin_of_the_plugin_page_works(fast_tables, cohort, beside, monkeypatch):
    (module_block, *_) = (block for block in _blocks("plugins.md") if block.language == "python")
    module = types.ModuleType("lungpatch_median")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(module_block.text, module.__dict__)
    registry = lungpatch.Registry(plugins=[module])
    fast_tables["scorer"] = {"name": "median"}
    pipeline = build_pipeline(fast_tables, origin="test", registry=registry)
    pipeline.fit(cohort / "normal")
    (detection,) = pipeline.detect_many(sorted((cohort / "opacity").iterdir())[:1])
    assert detection.status == "ok"
    assert len(detection.scores) > 0


# ------------------------------------------------------------------------------ the built site


@pytest.fixture
def link_check(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return importlib.import_module("link_check")


def test_broken_links_are_found(link_check, tmp_path):
    (tmp_path / "how-to").mkdir()
    (tmp_path / "picture.png").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">A</h1> <a href="how-to/b.html#there">fine</a> <a href="#top">fine</a>'
        '<img src="picture.png"> <a href="https://example.org/x">not ours</a> <a href="#">top</a>'
        '<a href="c.html">no page</a> <a href="how-to/b.html#gone">no anchor</a>'
    )
    (tmp_path / "how-to" / "b.html").write_text(
        '<h1 id="there">B</h1> <a href="../index.html#top">fine</a> <img src="no.png">'
    )
    assert link_check.broken_links(tmp_path) == [
        "how-to/b.html: no.png",
        "index.html: c.html",
        "index.html: how-to/b.html#gone",
    ]


@pytest.mark.parametrize(("target", "status"), [("#top", 0), ("gone.html", 1)])
def test_a_broken_link_fails_the_build(target, status, tmp_path):
    pytest.importorskip("sphinx")
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(DOCS / '_ext')!r})\nextensions = ['link_check']\n"
    )
    (tmp_path / "index.rst").write_text(
        f'Top\n===\n\n.. raw:: html\n\n   <p id="top"><a href="{target}">there</a></p>\n'
    )
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", tmp_path, tmp_path / "site"]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert (done.returncode, f"index.html: {target}" in done.stderr) == (status, bool(status))


def test_the_site_is_built_with_that_check():
    conf = (DOCS / "conf.py").read_text(encoding="utf-8")
    assert '    "link_check",\n' in conf
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^docs:.*\n\t\S*sphinx-build .*-W .* docs ", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_links_between_files_lead_somewhere(page):
    path = (DOCS / page).resolve()
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue  # another site
        name, _, anchor = target.partition("#")
        there = _file_behind(path, name)
        assert there is not None, f"{page}: {target}"
        assert not anchor or anchor in _anchors(there), f"{page}: {target}"


def _file_behind(page, name):
    """Return the file that a link is to; of what is built, what it is built from."""
    if not name:
        return page
    example = re.fullmatch(
        r"(?:\.\./)*gallery/((?:\w+/)?)(?:images/sphx_glr_)?(\w+?)(?:_\d+\.png)?", name
    )
    if page.is_relative_to(DOCS) and example is not None:
        script = {"index": "GALLERY_HEADER.rst"}.get(example[2], f"{example[2]}.py")
        candidates = [ROOT / "examples" / example[1] / script]
    else:
        candidates = [page.parent / name, page.parent / f"{name}.md"]
    label = f"({name})=\n"
    labelled = [path for path in DOCS.glob("*.md") if label in path.read_text(encoding="utf-8")]
    return next((path for path in [*candidates, *labelled] if path.exists()), None)


def _anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_example_is_in_the_order_of_the_gallery(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_ext")
    order = importlib.import_module("gallery_order").ORDER
    listed = {f"{group}/{name}" for group, names in order.items() for name in names}
    examples = ROOT / "examples"
    assert listed == {path.relative_to(examples).as_posix() for path in examples.rglob("*.py")}


def test_every_component_is_in_the_api():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    documented = set(re.findall(r"^\.\. automodule:: (\S+)$", pages, flags=re.MULTILINE))
    entries = lungpatch.Registry(plugins=[]).entries()
    assert len(entries) > 30
    for entry in entries:
        component = pkgutil.resolve_name(entry.target)
        package = entry.target.partition(":")[0]
        assert {component.__module__, package} & documented, entry.target


def test_every_public_name_is_on_the_first_page_of_the_api():
    page = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   (\w+)$", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted(set(lungpatch.__all__) - {"__version__"})


def test_every_name_of_the_pipeline_is_in_the_api():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    modules = {getattr(pipeline, name).__module__ for name in pipeline.__all__}
    whole = {module for module in modules if f"automodule:: {module}\n" in pages}
    for name in pipeline.__all__:
        listed = re.search(rf"^\.\. auto(class|function):: {name}$", pages, flags=re.MULTILINE)
        assert listed or getattr(pipeline, name).__module__ in whole, name
