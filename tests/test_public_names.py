"""Every public name has a docstring, an example and a test: the lists of those without are empty.

Public is what the API pages document. A module is in an API page or among the INTERNAL ones below,
never neither, so nothing escapes by being forgotten. A class's example stands for its methods.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from functools import cache, cached_property
from pathlib import Path

import pytest

import lungpatch
from lungpatch.plugins.registry import Registry

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"

SHARED = "shared by the components of one kind; no promise to others"
ONE_CHECK_A_FUNCTION = "its checks are listed by lungpatch.testing.CHECKS, each with its promise"
BEHIND_THE_FACE = "a step behind what its package exports"
A_STAGE = "a step of lungpatch.reference.reproduction"
INTERNAL = {
    "lungpatch.cli": "docs/command-line.md documents the commands",
    "lungpatch.cli.commands": "docs/command-line.md documents the commands",
    "lungpatch.cli.decision_commands": "docs/command-line.md documents the commands",
    "lungpatch.cli.demo": "docs/command-line.md documents the commands",
    "lungpatch.cli.demo_drawing": "docs/command-line.md documents the commands",
    "lungpatch.cli.demo_page": "docs/command-line.md documents the commands",
    "lungpatch.cli.dicomweb_commands": "docs/command-line.md documents the commands",
    "lungpatch.cli.export_commands": "docs/command-line.md documents the commands",
    "lungpatch.cli.entry": "docs/command-line.md documents the commands",
    "lungpatch.cli.model_card": "docs/command-line.md documents the commands",
    "lungpatch.cli.optional_value": "docs/command-line.md documents the commands",
    "lungpatch.cli.options": "docs/command-line.md documents the commands",
    "lungpatch.cli.printing": "docs/command-line.md documents the commands",
    "lungpatch.cli.reporting": "docs/command-line.md documents the commands",
    "lungpatch.cli.saving": "docs/command-line.md documents the commands",
    "lungpatch.cli.worklist_commands": "docs/command-line.md documents the commands",
    "lungpatch.archive.calibrations": BEHIND_THE_FACE,
    "lungpatch.archive.detector_process": BEHIND_THE_FACE,
    "lungpatch.archive.dicom_objects": BEHIND_THE_FACE,
    "lungpatch.archive.dicomweb_connection": BEHIND_THE_FACE,
    "lungpatch.archive.image_detector": BEHIND_THE_FACE,
    "lungpatch.archive.inputs": BEHIND_THE_FACE,
    "lungpatch.archive.names": BEHIND_THE_FACE,
    "lungpatch.archive.records": BEHIND_THE_FACE,
    "lungpatch.archive.parquet": BEHIND_THE_FACE,
    "lungpatch.archive.processing": BEHIND_THE_FACE,
    "lungpatch.archive.worker": BEHIND_THE_FACE,
    "lungpatch.archive.workers": BEHIND_THE_FACE,
    "lungpatch.networks.prepared": SHARED,
    "lungpatch.containers.arrays": "what all containers check of their arrays",
    "lungpatch.io.dicom.compressed": BEHIND_THE_FACE,
    "lungpatch.io.dicom.grey": BEHIND_THE_FACE,
    "lungpatch.io.dicom.header": BEHIND_THE_FACE,
    "lungpatch.io.dicom.luts": BEHIND_THE_FACE,
    "lungpatch.io.dicom.orientation": BEHIND_THE_FACE,
    "lungpatch.io.dicom.pixel_format": BEHIND_THE_FACE,
    "lungpatch.io.dicom.reading": BEHIND_THE_FACE,
    "lungpatch.io.dicom.stored": BEHIND_THE_FACE,
    "lungpatch.io.files": BEHIND_THE_FACE,
    "lungpatch.io.formats": BEHIND_THE_FACE,
    "lungpatch.io.levels": BEHIND_THE_FACE,
    "lungpatch.io.raster": BEHIND_THE_FACE,
    "lungpatch.io.tiff": BEHIND_THE_FACE,
    "lungpatch.pipeline.calibration": BEHIND_THE_FACE,
    "lungpatch.pipeline.cohort": BEHIND_THE_FACE,
    "lungpatch.pipeline.digest": BEHIND_THE_FACE,
    "lungpatch.pipeline.export.exporting": BEHIND_THE_FACE,
    "lungpatch.pipeline.export.modules": BEHIND_THE_FACE,
    "lungpatch.pipeline.export.onnx_file": BEHIND_THE_FACE,
    "lungpatch.pipeline.fitting": BEHIND_THE_FACE,
    "lungpatch.pipeline.loading": BEHIND_THE_FACE,
    "lungpatch.pipeline.scope": BEHIND_THE_FACE,
    "lungpatch.pipeline.site": BEHIND_THE_FACE,
    "lungpatch.pipeline.snapshot": BEHIND_THE_FACE,
    "lungpatch.pipeline.splitting": BEHIND_THE_FACE,
    "lungpatch.pipeline.steps": BEHIND_THE_FACE,
    "lungpatch.pipeline.storage": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.codes": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.elements": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.parametric_map": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.presentation_state": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.result": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.secondary_capture": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.segmentation": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.source": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.structured_report": BEHIND_THE_FACE,
    "lungpatch.reports.dicom.transforms": BEHIND_THE_FACE,
    "lungpatch.reports.worklist.data": BEHIND_THE_FACE,
    "lungpatch.reports.worklist.page": BEHIND_THE_FACE,
    "lungpatch.reports.worklist.table": BEHIND_THE_FACE,
    "lungpatch.reports.worklist.views": BEHIND_THE_FACE,
    "lungpatch.reports.fields": "what reports read of a result; users have the results themselves",
    "lungpatch.testing.fitted_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.datasets.tables": "shared by the loaders",
    "lungpatch.features.network_extractor": SHARED,
    "lungpatch.features.fixed": SHARED,
    "lungpatch.features.local_weights": "used by the extractor torch-module alone",
    "lungpatch.features.dinov2_names": "used by the extractor torch-module alone",
    "lungpatch.networks.checkpoints": SHARED,
    "lungpatch.networks.compact_unet": SHARED,
    "lungpatch.networks.efficientnet_lite": "the network of the extractor imagenet, for training/",
    "lungpatch.models.convolutional": SHARED,
    "lungpatch.models.feature_model": SHARED,
    "lungpatch.networks.image_augmentation": SHARED,
    "lungpatch.networks.lesion_painting": SHARED,
    "lungpatch.networks.lesion_trained": SHARED,
    "lungpatch.networks.network_model": SHARED,
    "lungpatch.networks.packaged_weights": SHARED,
    "lungpatch.networks.onnx_network": SHARED,
    "lungpatch.networks.torch_adapter": SHARED,
    "lungpatch.plugins.builtins": "our own plugin; lungpatch plugins lists what it registers",
    "lungpatch.plugins.settings": "used by the registry alone",
    "lungpatch.reference.claim_checks": A_STAGE,
    "lungpatch.reference.conclusions": A_STAGE,
    "lungpatch.reference.figures.drawing": A_STAGE,
    "lungpatch.reference.images": A_STAGE,
    "lungpatch.reference.loss_study": A_STAGE,
    "lungpatch.reference.paper_network": A_STAGE,
    "lungpatch.reference.patch_table": A_STAGE,
    "lungpatch.reference.preliminary": A_STAGE,
    "lungpatch.reference.proposals": A_STAGE,
    "lungpatch.reference.report": A_STAGE,
    "lungpatch.reference.roles": A_STAGE,
    "lungpatch.reference.stages": A_STAGE,
    "lungpatch.reference.tables": A_STAGE,
    "lungpatch.reference.training": A_STAGE,
    "lungpatch.samplers.cutting": SHARED,
    "lungpatch.scorers.region": SHARED,
    "lungpatch.networks.lung_network": "the network of the segmenter unet, for training/",
    "lungpatch.networks.lung_input": SHARED,
    "lungpatch.segmenters.lung_logits": SHARED,
    "lungpatch.segmenters.network_segmenter": SHARED,
    "lungpatch.testing.batch_checks": SHARED,
    "lungpatch.testing.common_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.testing.comparing": SHARED,
    "lungpatch.testing.extractor_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.testing.model_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.testing.pytest_checks": "lungpatch.testing documents parametrize_checks",
    "lungpatch.testing.random_state": SHARED,
    "lungpatch.testing.runner": SHARED,
    "lungpatch.testing.samples": "the phantom behind lungpatch.testing.fixtures",
    "lungpatch.testing.sampler_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.testing.scorer_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.testing.segmenter_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.testing.state_checks": SHARED,
    "lungpatch.testing.thresholder_checks": ONE_CHECK_A_FUNCTION,
    "lungpatch.thresholders.checks": SHARED,
}


@cache
def _modules():
    """All modules without a leading underscore, by name."""
    names = [info.name for info in pkgutil.walk_packages(lungpatch.__path__, "lungpatch.")]
    return {name: importlib.import_module(name) for name in names if not re.search(r"\._", name)}


@cache
def _documented():
    pages = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")]
    return set(re.findall(r"^\.\. automodule:: (\S+)$", "\n".join(pages), flags=re.MULTILINE))


def _described(value):
    """The object that a fixture of pytest, a class method or a cached property holds."""
    for attribute in ("_get_wrapped_function", "__func__", "func"):
        inner = getattr(value, attribute, None)
        if inner is not None:
            return inner() if attribute == "_get_wrapped_function" else inner
    return value


def _own_names(module):
    """Yield functions and classes without a leading underscore that a module itself defines."""
    for name, value in vars(module).items():
        value = value if inspect.isclass(value) else _described(value)
        documentable = inspect.isfunction(value) or inspect.isclass(value)
        if documentable and value.__module__ == module.__name__ and not name.startswith("_"):
            yield name, value


@cache
def _names():
    """Public functions and classes, by full name."""
    found = {}
    for module_name in sorted(_documented()):
        module = importlib.import_module(module_name)
        # A package documents what it takes from its modules, if it lists it.
        exported = [_described(getattr(module, name)) for name in getattr(module, "__all__", ())]
        listed = [
            value for value in exported if inspect.isfunction(value) or inspect.isclass(value)
        ]
        for value in (*listed, *(value for _, value in _own_names(module))):
            found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


@cache
def _members():
    """Public methods and properties of those classes, by full name, where they are defined."""
    found = {}
    for owner, value in _names().items():
        for name, member in vars(value).items() if inspect.isclass(value) else ():
            member = _described(member)
            is_ours = inspect.isfunction(member) or isinstance(member, (property, cached_property))
            if is_ours and not name.startswith("_"):
                found[f"{owner}.{name}"] = member
    return found


def _has_docstring(value):
    return bool((value.__doc__ or "").strip())


def _inherits_docstring(full_name):
    """Whether a base class says already what the method does."""
    owner, name = full_name.rsplit(".", 1)
    bases = _names()[owner].__mro__[1:]
    return any(_has_docstring(getattr(base, name)) for base in bases if hasattr(base, name))


@cache
def _words_in_tests():
    own = Path(__file__)
    texts = (path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py") if path != own)
    return set(re.findall(r"\w+", "\n".join(texts)))


@pytest.mark.parametrize(
    "name",
    [
        "lungpatch.pipeline.pipeline.Pipeline",
        "lungpatch.pipeline.pipeline.Pipeline.detect",
        "lungpatch.containers.lung_mask.LungMask.right",
        "lungpatch.containers.lung_mask.LungMask.fraction",
        "lungpatch.containers.patches.PatchBatch.concatenate",
        "lungpatch.testing.fixtures.phantom_image",
        "lungpatch.testing.scorer_checks.check_scorer",
    ],
)
def test_the_walk_finds_what_it_should(name):
    assert name in _names() | _members()


def test_nothing_escapes_the_api():
    modules = _modules()
    escaped = [
        f"{module_name}.{name}"
        for module_name in modules.keys() - INTERNAL.keys()
        for name, value in _own_names(modules[module_name])
        if value not in _names().values()
    ]
    assert escaped == []


def test_internal_modules_are_there_and_not_in_the_api():
    assert INTERNAL.keys() - _modules().keys() == set()
    assert INTERNAL.keys() & _documented() == set()


def test_all_have_a_docstring():
    missing = [name for name, value in _names().items() if not _has_docstring(value)]
    for name, value in _members().items():
        if not _has_docstring(value) and not _inherits_docstring(name):
            missing.append(name)
    assert missing == []


def test_internal_modules_say_what_they_are_for():
    assert [name for name in INTERNAL if not _has_docstring(_modules()[name])] == []


def test_all_have_an_example():
    assert [name for name, value in _names().items() if ">>>" not in (value.__doc__ or "")] == []


def test_all_are_named_in_a_test():
    words = _words_in_tests()
    names = (*_names(), *_members())
    assert [name for name in names if name.rsplit(".", 1)[1] not in words] == []


def test_every_command_is_in_the_page_of_commands():
    from typer.main import get_command

    from lungpatch.cli.commands import app

    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    commands = set(get_command(app).commands)
    assert {name for name in commands if f"$ lungpatch {name}" not in page} == set()


# ----------------------------------------------------------------------------- the public face

PACKAGES = sorted(
    info.name
    for info in pkgutil.iter_modules(lungpatch.__path__, "lungpatch.")
    if info.ispkg and "._" not in info.name and info.name != "lungpatch.cli"
)


def _stub(package):
    """The names that the stub of a package imports."""
    path = Path(importlib.import_module(package).__file__).with_suffix(".pyi")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        alias.name: f"{package}.{node.module}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", sorted(lungpatch.__all__))
def test_every_public_name_comes_from_the_top_and_from_its_package(name):
    value = getattr(lungpatch, name)
    home = _stub("lungpatch")[name]
    assert getattr(importlib.import_module(home), name) is value


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_exports_what_it_lists(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))


def test_every_public_name_is_on_an_api_page():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    by_name = set(re.findall(r"^\.\. auto(?:class|function):: lungpatch\.(\w+)$", pages, re.M))
    documented = [*_names().values(), lungpatch.hookimpl, lungpatch.__version__]
    missing = [
        name
        for name in lungpatch.__all__
        if name not in by_name and getattr(lungpatch, name) not in documented
    ]
    assert missing == []


def test_the_stub_and_the_package_agree():
    assert set(_stub("lungpatch")) == set(lungpatch.__all__)


@pytest.mark.parametrize("entry", Registry(plugins=[]).entries(), ids=lambda entry: entry.full_name)
def test_every_built_in_component_is_public(entry):
    component = Registry(plugins=[]).load(entry.kind, entry.name)
    name = component.__name__
    room = ".".join(component.__module__.split(".")[:2])
    assert getattr(lungpatch, name) is component
    assert getattr(importlib.import_module(room), name) is component
