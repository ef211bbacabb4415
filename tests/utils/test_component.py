"""Parameters of components, as scikit-learn takes them, and errors of their settings."""

import inspect
import re

import attrs
import numpy as np
import pytest
from attrs import validators

import lungpatch
from lungpatch._utils.component import (
    Component,
    error_text,
    find_components,
    get_params,
    plain_errors,
    result_settings,
    set_params,
)
from lungpatch.errors import ConfigurationError, LungpatchError, MissingExtraError
from lungpatch.models import PCA, EnsembleModel, GaussianModel, Member
from lungpatch.plugins.hookspecs import KINDS
from lungpatch.samplers import GridSampler
from lungpatch.scorers import FeatureScorer, L2Scorer, SADScorer, SSIMScorer
from lungpatch.synthesis import LesionSynthesiser

BUILT_IN = lungpatch.Registry(plugins=[])
REQUIRED = {
    "masks": {"folder": "masks"},
    "imlab": {"weights": "trained_model.hdf5"},
    "torch-module": {"library": "timm", "model": "tiny", "layers": ("first", "second")},
    "fixed": {"value": 1.5},
}
NAMES = [(kind, name) for kind in KINDS for name in BUILT_IN.names(kind)]


def ensemble(**settings):
    return EnsembleModel(
        members=[
            Member(model=PCA(patch_size=16), scorer=SADScorer()),
            Member(model=PCA(patch_size=16, n_components=4), scorer=L2Scorer(), weight=0.5),
        ],
        **settings,
    )


def make(kind, name):
    component_class = BUILT_IN.load(kind, name)
    if component_class is EnsembleModel:
        return ensemble()
    return component_class(**REQUIRED.get(name, {}) if name in BUILT_IN.names(kind) else {})


@pytest.fixture(params=NAMES, ids=lambda found: "-".join(found))
def component(request, fake_timm):
    kind, name = request.param
    return make(kind, name)


def pipeline():
    return lungpatch.Pipeline(
        segmenter=lungpatch.WholeImageSegmenter(),
        fit_sampler=GridSampler(patch_size=16),
        sampler=GridSampler(patch_size=16, stride=8),
        model=ensemble(),
        scorer=FeatureScorer(difference="excess"),
        thresholder=lungpatch.QuantileThresholder(),
    )


def plain_params(component):
    """All settings that are no components, at any depth."""
    return {
        name: value
        for name, value in component.get_params().items()
        if not attrs.has(type(value)) and name.rpartition("__")[2] != "members"
    }


# ------------------------------------------------------------------------------ get_params


def test_params_are_the_settings_by_name_in_order():
    assert SSIMScorer().get_params() == {
        "gaussian_weights": True,
        "sigma": 1.5,
        "win_size": 7,
        "use_sample_covariance": False,
        "region": "lung",
    }


def test_params_of_parts_follow_after_two_underscores():
    scorer = FeatureScorer(difference="excess")
    steps = pipeline()
    steps.scorer = scorer
    params = steps.get_params()
    assert params["scorer"] is scorer
    assert params["scorer__difference"] == "excess"
    assert params["sampler__stride"] == 8
    assert params["fit_sampler__stride"] == 20
    assert params["model__members__0"] is steps.model.members[0]
    assert params["model__members__0__model__n_components"] == PCA().n_components
    assert params["model__members__1__model__n_components"] == 4
    assert params["model__members__1__weight"] == 0.5
    assert "calibration_" not in params


def test_shallow_params_have_no_settings_of_parts():
    assert list(ensemble().get_params(deep=False)) == ["members"]
    assert "scorer__difference" not in pipeline().get_params(deep=False)


def test_private_and_fitted_attributes_are_no_params():
    @attrs.define(kw_only=True, eq=False)
    class Odd(Component):
        _hidden: int = 3
        values_: tuple[int, ...] = attrs.field(init=False, default=())

    assert Odd(hidden=4).get_params() == {"hidden": 4}
    assert Odd().set_params(hidden=5).get_params() == {"hidden": 5}


# ------------------------------------------------------------------------------ set_params


def test_nested_params_reach_their_parts():
    steps = pipeline()
    assert steps.set_params(model__members__1__weight=2.0, scorer__smoothing=0.5) is steps
    assert steps.model.members[1].weight == 2.0
    assert steps.model.members[0].weight == 1.0
    assert steps.scorer.smoothing == 0.5
    steps.set_params(model__members__0__model__n_components=7)
    assert [member.model.n_components for member in steps.model.members] == [7, 4]


def test_settings_go_to_the_part_that_is_exchanged_with_them():
    steps, old = pipeline(), SSIMScorer()
    steps.scorer = old
    new = SADScorer()
    steps.set_params(scorer__reduction="sum", scorer=new)
    assert steps.scorer is new
    assert new.reduction == "sum"


def test_one_refusal_leaves_everything_as_it_was():
    steps = pipeline()
    before = steps.get_params()
    with pytest.raises(ConfigurationError, match="FeatureScorer: 'smoothing'"):
        steps.set_params(
            grid_size=128,
            sampler=GridSampler(patch_size=16, stride=4),
            model__members__1__weight=3.0,
            scorer__smoothing=-1.0,
        )
    after = steps.get_params()
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_a_rollback_restores_the_very_objects():
    @attrs.define(kw_only=True, eq=False)
    class Copying(Component):
        values: list = attrs.field(factory=list, converter=list)
        count: int = attrs.field(default=1, validator=validators.instance_of(int))

    copying = Copying()
    values = copying.values
    with pytest.raises(ConfigurationError):
        copying.set_params(values=[1, 2], count="x")
    assert copying.values is values


def test_settings_are_checked_together():
    model = lungpatch.UNet(loss="ssim", patch_size=32)
    with pytest.raises(ConfigurationError, match="patch_size"):
        model.set_params(patch_size=4)
    assert model.patch_size == 32
    # Neither is right with the other's old value.
    model.set_params(loss="l1", patch_size=4)
    steps = pipeline()
    with pytest.raises(ConfigurationError, match="patch_size"):
        steps.set_params(sampler__patch_size=32)
    assert steps.sampler.patch_size == 16
    steps.set_params(
        sampler__patch_size=32,
        fit_sampler__patch_size=32,
        model__members__0__model__patch_size=32,
        model__members__1__model__patch_size=32,
    )
    assert steps.model.patch_size == 32


def test_all_parts_on_the_way_to_a_setting_are_checked():
    steps = pipeline()
    with pytest.raises(ConfigurationError, match="members"):
        steps.set_params(model__members__1__model__patch_size=8)
    assert [member.model.patch_size for member in steps.model.members] == [16, 16]


def test_what_is_wrong_in_a_part_is_said_before_what_is_wrong_around_it():
    steps = pipeline()
    steps.model = lungpatch.UNet(patch_size=16)
    with pytest.raises(ConfigurationError, match="loss 'ssim'"):
        steps.set_params(model__loss="ssim", model__patch_size=4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "scorr",
            "Pipeline has no setting 'scorr'; did you mean 'scorer'? Its settings: segmenter",
        ),
        ("scorer__smooting", "FeatureScorer has no setting 'smooting'; did you mean 'smoothing'?"),
        ("grid_size__x", "Pipeline: 'grid_size' is 256, which has no setting 'x'"),
        ("model__members__2__weight", "has no setting '2__weight'"),
        ("model__members__weight", "has no setting 'weight'"),
        ("model__members__0", "has no setting '0'"),
        ("segmenter__x", "WholeImageSegmenter has no setting 'x'. It has no settings"),
    ],
)
def test_unknown_names_are_refused_with_what_there_is(name, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        pipeline().set_params(**{name: 1})


def test_a_frozen_part_is_said_to_be_frozen():
    @attrs.frozen
    class Table:
        weight: float = 1.0

    @attrs.define(kw_only=True, eq=False)
    class Holder(Component):
        tables: tuple[Table, ...] = (Table(),)

    holder = Holder()
    assert holder.get_params()["tables__0__weight"] == 1.0
    with pytest.raises(ConfigurationError, match="Table is frozen"):
        holder.set_params(tables__0__weight=2.0)


def test_functions_take_classes_without_the_base():
    @attrs.define
    class Bare:
        scorer: object
        count: int = 1

    bare = Bare(SADScorer())
    set_params(bare, {"scorer__reduction": "sum", "count": 2})
    assert get_params(bare) == {
        "scorer": bare.scorer,
        "scorer__reduction": "sum",
        "scorer__region": "lung",
        "count": 2,
    }


# ----------------------------------------------------------------------------------- clone


def test_clones_of_every_component_have_equal_params_of_their_own(component):
    clone = pytest.importorskip("sklearn.base").clone
    copy = clone(component)
    assert type(copy) is type(component)
    assert list(copy.get_params()) == list(component.get_params())
    assert plain_params(copy) == plain_params(component)
    ours, theirs = find_components(component), find_components(copy)
    assert ours.keys() == theirs.keys()
    assert all(theirs[name] is not ours[name] for name in ours)
    assert all(type(theirs[name]) is type(ours[name]) for name in ours)


def test_clones_of_a_pipeline_share_nothing(fitted):
    clone = pytest.importorskip("sklearn.base").clone
    for steps in (pipeline(), fitted):
        copy = clone(steps)
        assert not copy.is_fitted
        assert plain_params(copy) == plain_params(steps)
        ours, theirs = find_components(steps), find_components(copy)
        assert ours.keys() == theirs.keys()
        assert not {id(part) for part in ours.values()} & {id(part) for part in theirs.values()}
        before = steps.get_params()
        copy.set_params(scorer=SADScorer(reduction="sum"), grid_size=64)
        assert steps.get_params() == before


def test_changing_a_clone_leaves_the_original():
    clone = pytest.importorskip("sklearn.base").clone
    original = ensemble()
    copy = clone(original)
    copy.set_params(members__0__weight=5.0, members__1__model__n_components=1)
    assert original.members[0].weight == 1.0
    assert original.members[1].model.n_components == 4


# --------------------------------------------------------------- what results depend on


def test_parts_are_found_at_any_depth():
    found = find_components(pipeline())
    assert list(found) == [
        "segmenter",
        "fit_sampler",
        "sampler",
        "model",
        *(f"model__members__{i}{part}" for i in (0, 1) for part in ("", "__model", "__scorer")),
        "scorer",
        "thresholder",
        "region_thresholder",
    ]
    assert found["model__members__1__scorer"].__class__ is L2Scorer
    assert list(find_components(GaussianModel())) == ["extractor"]


def test_where_a_component_runs_is_no_setting_of_its_results():
    settings = result_settings(lungpatch.UNetSegmenter(device="cpu"))
    assert settings == {"flip_average": False}
    assert list(result_settings(ensemble())) == []
    assert "extractor" not in result_settings(GaussianModel())


def test_every_device_is_such_a_setting(component):
    if "device" in component.get_params():
        assert "device" not in result_settings(component)


# ---------------------------------------------------------------------------------- errors

WRONG = [
    "x",
    "",
    b"x",
    -1,
    10**30,
    -0.5,
    1e300,
    float("nan"),
    float("inf"),
    None,
    (),
    ("x",),
    (1, "x"),
    [],
    [1, 2],
    {},
    {"a": 1},
    np.zeros((2, 3)),
    np.zeros(2000),
    np.array(["a", "b"]),
    object(),
    "line\nbreak " * 100,
    SADScorer(),
]
INTERNALS = ("Attribute(", "<class", "<function", "validator for", "NOTHING", "_Validator", "\n")


def refusals(component_class, params):
    """Messages for every setting and every wrong value; None where a value is taken."""
    for name in params:
        for value in WRONG:
            try:
                component_class(**{**params, name: value})
            except ConfigurationError as error:
                yield name, value, str(error)
            else:
                yield name, value, None


def check_refusals(component_class, params):
    refused = set()
    for name, value, message in refusals(component_class, params):
        if message is None:
            continue
        refused.add(name)
        assert message.startswith(f"{component_class.__name__}: "), (name, value)
        assert re.search(rf"\b{name}\b", message), (name, value, message)
        assert not [part for part in INTERNALS if part in message], (name, value, message)
        assert len(message) < 500, (name, value, message)
    assert refused == set(params)


def test_every_wrong_setting_of_every_component_is_refused_in_one_clean_line(component):
    check_refusals(type(component), component.get_params(deep=False))


@pytest.mark.parametrize(
    "made",
    [
        pipeline,
        LesionSynthesiser,
        lambda: Member(model=PCA(), scorer=SADScorer()),
        lambda: lungpatch.TrainingHistory(epochs=(), best_epoch=None, stopped="early", seconds=1.0),
    ],
    ids=["pipeline", "synthesiser", "member", "history"],
)
def test_so_are_those_of_what_is_built_of_them(made):
    built = made()
    check_refusals(type(built), get_params(built, deep=False))


def test_assignments_are_refused_in_the_same_words(component):
    for name, value, message in refusals(type(component), component.get_params(deep=False)):
        before = getattr(component, name)
        if message is None:
            continue
        try:
            setattr(component, name, value)
        except ConfigurationError as error:
            assert str(error) == message
        else:  # wrong in company of the others only, which is checked when they are all set
            setattr(component, name, before)
        assert getattr(component, name) is before


def test_toml_and_constructor_say_the_same():
    with pytest.raises(ConfigurationError) as by_class:
        GridSampler(stride=0)
    with pytest.raises(ConfigurationError) as by_table:
        BUILT_IN.create("sampler", "grid", {"stride": 0})
    problem = str(by_class.value).removeprefix("GridSampler: ")
    assert problem == "'stride' must be >= 1: 0"
    assert str(by_table.value).startswith(f"sampler 'grid': {problem}")


def test_fields_of_a_base_class_name_the_class_that_is_made():
    @attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
    class Base(Component):
        count: int = attrs.field(default=1, validator=validators.instance_of(int))
        values: tuple = attrs.field(default=(), converter=tuple)

    @attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
    class Derived(Base):
        more: int = 0

    with pytest.raises(ConfigurationError, match="^Derived: 'count' must be int"):
        Derived(count="x")
    with pytest.raises(ConfigurationError, match="^Derived: 'values' cannot be 3: "):
        Derived(values=3)
    with pytest.raises(ConfigurationError, match="^Base: 'values' cannot be 3: "):
        Base(values=3)
    derived = Derived(values=[1, 2])
    assert derived.values == (1, 2)
    derived.values = [3]
    assert derived.values == (3,)


def test_plugins_need_nothing_for_plain_errors():
    @attrs.define(kw_only=True, eq=False)
    class Plain(Component):
        count: int = attrs.field(
            default=1, validator=[validators.instance_of(int), validators.ge(1)]
        )
        kind: str = attrs.field(default="a", validator=validators.in_(("a", "b")))
        values: tuple = attrs.field(default=(), converter=tuple)

    @attrs.define(kw_only=True, eq=False)
    class Derived(Plain):
        more: float = attrs.field(default=0.5, validator=validators.lt(1))

    for made, settings, message in (
        (Plain, {"count": "x"}, "Plain: 'count' must be int (got 'x' that is a str)"),
        (Plain, {"count": 0}, "Plain: 'count' must be >= 1: 0"),
        (Plain, {"kind": "c"}, "Plain: 'kind' must be in ('a', 'b') (got 'c')"),
        (Derived, {"kind": "c"}, "Derived: 'kind' must be in ('a', 'b') (got 'c')"),
        (Derived, {"more": 2.0}, "Derived: 'more' must be < 1: 2.0"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            made(**settings)
        assert str(caught.value) == message
        component = made()
        ((name, value),) = settings.items()
        with pytest.raises(ConfigurationError) as caught:
            setattr(component, name, value)
        assert str(caught.value) == message
    assert Derived(count=3, more=0.1).set_params(count=4).count == 4
    assert str(inspect.signature(Plain)).startswith("(*, count")
    # What no validator says stays as it is.
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        Plain(other=1)
    with pytest.raises(TypeError, match="not iterable"):
        Plain(values=3)


def test_true_is_no_number(component):
    """It is one in Python, so it would be taken for 1."""
    for field in attrs.fields(type(component)):
        annotation = str(field.type)
        value = getattr(component, field.name)
        if field.init and "bool" not in annotation and type(value) in (int, float):
            with pytest.raises(ConfigurationError, match=rf"'{field.name}' must be"):
                setattr(component, field.name, True)
            assert getattr(component, field.name) == value


def test_true_is_no_number_in_a_tuple_either():
    @attrs.define(kw_only=True, field_transformer=plain_errors)
    class Sizes:
        sizes: tuple[int, ...] = attrs.field(
            default=(1,), validator=validators.deep_iterable(validators.instance_of(int))
        )
        flags: tuple[bool, ...] = attrs.field(
            default=(), validator=validators.deep_iterable(validators.instance_of(bool))
        )

    assert Sizes(sizes=(2, 3), flags=(True,)).flags == (True,)
    with pytest.raises(ConfigurationError, match="'sizes' must be a number .got True"):
        Sizes(sizes=(2, True))


def test_converters_that_take_more_than_the_value_still_work():
    def relative(value, instance, field):
        if value < 0:
            raise ValueError("no such thing")
        return value * instance.unit, field.name

    @attrs.define(kw_only=True, field_transformer=plain_errors)
    class Scaled:
        unit: int = 10
        length: tuple = attrs.field(
            converter=attrs.Converter(relative, takes_self=True, takes_field=True)
        )

    assert Scaled(length=3).length == (30, "length")
    with pytest.raises(ConfigurationError, match="^Scaled: 'length' cannot be -3: no such thing$"):
        Scaled(length=-3)


def test_a_long_value_is_cut():
    def refuse(value):
        raise OverflowError("too much")

    @attrs.define(field_transformer=plain_errors)
    class Made:
        count: int = attrs.field(converter=refuse)

    with pytest.raises(ConfigurationError) as refused:
        Made("a" * 1000)
    assert str(refused.value) == f"Made: 'count' cannot be '{'a' * 79}...: too much"


def test_errors_of_ours_pass_or_get_the_name_in_front():
    def missing(instance, attribute, value):
        raise MissingExtraError("install it")

    def wrong(instance, attribute, value):
        raise ConfigurationError(f"there is no {attribute.name} {value!r}")

    def broken(instance, attribute, value):
        raise RuntimeError("a fault of the program")

    def made(validator):
        @attrs.define(field_transformer=plain_errors)
        class Made:
            loss: str = attrs.field(validator=validator)

        return Made

    with pytest.raises(MissingExtraError, match="^install it$"):
        made(missing)("x")
    with pytest.raises(ConfigurationError, match="^Made: there is no loss 'x'$"):
        made(wrong)("x")
    with pytest.raises(RuntimeError):
        made(broken)("x")


def test_the_cause_is_kept():
    with pytest.raises(LungpatchError) as refused:
        SADScorer(reduction="total")
    assert isinstance(refused.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TypeError("'q' must be <class 'float'> (got 1).", 3), "'q' must be float (got 1)"),
        (TypeError("(<class 'int'>, <class 'float'>)"), "(int, float)"),
        (
            TypeError("'q' must be (<class 'int'>, <class 'a.<locals>.B'>) (got 'x')."),
            "'q' must be int or B (got 'x')",
        ),
        (ValueError("'q' must be in (1, 2) (got 3)"), "'q' must be in (1, 2) (got 3)"),
        (ValueError("two\n   lines"), "two lines"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_text_of_errors(error, text):
    assert error_text(error) == text
