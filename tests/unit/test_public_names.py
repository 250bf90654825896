from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import sojourn


def test_public_names_are_sorted_and_all_there() -> None:
    assert sojourn.__all__ == sorted(sojourn.__all__)
    for name in sojourn.__all__:
        assert getattr(sojourn, name) is not None


def test_dir_lists_the_public_names() -> None:
    assert set(sojourn.__all__) < set(dir(sojourn))


def test_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="plann"):
        _ = sojourn.plann


@pytest.mark.parametrize("package", ["torch", "pandas", "pyarrow", "click", "rich", "obstore"])
def test_import_loads_nothing_heavy(package: str) -> None:
    code = f"import sojourn, sys; sys.exit({package!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_command_line_help_loads_neither_torch_nor_tables() -> None:
    code = (
        "import sys\n"
        "from sojourn.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "sys.exit(bool({'torch', 'pandas', 'pyarrow', 'obstore'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_says_what_it_is_and_what_it_raises() -> None:
    for name in sojourn.__all__:
        thing = getattr(sojourn, name)
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            assert "Raises:" in (thing.__doc__ or ""), name


@pytest.mark.parametrize("kind", [sojourn.Dataset, sojourn.Plan])
def test_every_public_method_and_property_says_what_it_is(kind: type) -> None:
    own = {
        name: thing
        for name, thing in vars(kind).items()
        if not name.startswith("_") and (callable(thing) or isinstance(thing, property))
    }
    assert own
    assert not {name for name, thing in own.items() if not thing.__doc__}
