from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sojourn.script.colab import install_colab
from sojourn.script.quiet import block_network, skip_commands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

USER_FILE = "users_train.py"


@pytest.fixture
def notes() -> Iterator[list[str]]:
    lines: list[str] = []
    undo = install_colab(lines, {"KNOWN": "secret value"})
    yield lines
    undo()


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, USER_FILE, "exec"), names)
    return names


def is_user_frame(frame: FrameType) -> bool:
    return frame.f_code.co_filename == USER_FILE


def test_a_colab_scripts_first_lines_go_through(notes: list[str]) -> None:
    names = run("""
from google.colab import auth, drive, files, output, runtime, userdata
from google.colab.patches import cv2_imshow
import google.colab.data_table
drive.mount("/content/drive", force_remount=True)
auth.authenticate_user()
output.clear()
uploaded = files.upload()
files.download("model.pt")
cv2_imshow(None)
runtime.unassign()
drive.flush_and_unmount()
table = google.colab.data_table.DataTable(3)
""")
    assert names["uploaded"] == {}
    assert names["table"] == 3
    assert notes == ["files.upload gives no files here"]


def test_a_secret_that_is_not_known_is_empty_and_noted(notes: list[str]) -> None:
    names = run("""
from google.colab import userdata
from kaggle_secrets import UserSecretsClient
known = userdata.get("KNOWN")
unknown = userdata.get("HF_TOKEN")
on_kaggle = UserSecretsClient().get_secret("KNOWN")
try:
    raise userdata.SecretNotFoundError("x")
except (userdata.SecretNotFoundError, userdata.NotebookAccessError):
    pass
""")
    assert (names["known"], names["unknown"], names["on_kaggle"]) == (
        "secret value",
        "",
        "secret value",
    )
    assert notes == ["secret 'HF_TOKEN' is not known here; the script got an empty text"]


def test_what_is_not_stood_in_for_does_nothing_and_is_noted(notes: list[str]) -> None:
    run("from google.colab import ai, drive\nai.generate_text('x')\ndrive.something_new()")
    assert notes == [
        "google.colab.ai.generate_text does nothing here",
        "google.colab.drive.something_new does nothing here",
    ]


@pytest.mark.usefixtures("notes")
def test_other_packages_of_the_name_google_stay_importable() -> None:
    has_protobuf = importlib.util.find_spec("google.protobuf") is not None
    if has_protobuf:
        assert importlib.import_module("google.protobuf").__name__ == "google.protobuf"
    else:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("google.protobuf")


def test_the_shell_runs_nothing(notes: list[str]) -> None:
    names = run("""
shell = get_ipython()
shell.system("rm -rf x")
shell.run_line_magic("matplotlib", "inline")
lines = shell.getoutput("ls")
display(lines)
shell.events.register("post_execute", print)
""")
    assert names["lines"] == []
    assert notes == ["not run: !rm -rf x", "not run: %matplotlib inline", "not run: !ls"]


def test_display_shows_where_it_is_told_to() -> None:
    shown: list[object] = []
    undo = install_colab([], show=shown.append)
    try:
        run("display(1, 'x')\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>'))")
    finally:
        undo()
    assert shown[:2] == [1, "x"]


@pytest.mark.usefixtures("notes")
def test_a_notebooks_progress_bar_works_without_widgets() -> None:
    if importlib.util.find_spec("ipywidgets") is not None:
        pytest.skip("the widgets are installed")
    names = run("from tqdm.notebook import tqdm, trange\nbar = tqdm(range(2), disable=True)")
    assert list(names["bar"]) == [0, 1]


def test_everything_is_taken_away_again() -> None:
    before = set(sys.modules)
    install_colab([])()
    left = {name for name in set(sys.modules) - before if name.startswith(("google.co", "kaggle"))}
    assert left == set()
    assert not hasattr(builtins, "get_ipython")
    assert not hasattr(builtins, "display")


def test_other_machines_are_not_reached() -> None:
    notes: list[str] = []
    environ = {"WANDB_MODE": "online"}
    undo = block_network(notes, environ)
    try:
        assert environ["HF_HUB_OFFLINE"] == "1"
        assert environ["WANDB_MODE"] == "disabled"
        with pytest.raises(OSError, match=r"offline while tracing: example\.org"):
            socket.create_connection(("example.org", 80))
        with socket.socket() as sock, pytest.raises(OSError, match="offline while tracing"):
            sock.connect(("192.0.2.1", 80))
        with (
            socket.socket(type=socket.SOCK_DGRAM) as sock,
            pytest.raises(OSError, match="offline while tracing"),
        ):
            sock.sendto(b"x", ("192.0.2.1", 80))
        with (
            socket.socket(type=socket.SOCK_DGRAM) as sock,
            pytest.raises(OSError, match="offline while tracing"),
        ):
            sock.sendmsg([b"x"], [], 0, ("192.0.2.1", 80))
        for look_up in (socket.gethostbyname, socket.gethostbyname_ex, socket.gethostbyaddr):
            with pytest.raises(OSError, match=r"offline while tracing: example\.org"):
                look_up("example.org")
    finally:
        undo()
    assert environ == {"WANDB_MODE": "online"}
    assert notes == [
        "offline while tracing: example.org was not reached",
        "offline while tracing: 192.0.2.1 was not reached",
    ]


def test_this_machine_is_reached() -> None:
    notes: list[str] = []
    undo = block_network(notes, {})
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(("localhost", server.getsockname()[1])).close()
        left, right = socket.socketpair()
        left.sendmsg([b"x"])
        assert right.recv(1) == b"x"
        left.close()
        right.close()
        assert socket.gethostbyname(socket.gethostname()).startswith("127.")
    finally:
        undo()
    assert notes == []


def test_who_listens_to_every_network_is_heard_on_this_machine_alone() -> None:
    undo = block_network([], {})
    try:
        for address in ("", "0.0.0.0", socket.gethostname(), "127.0.0.1"):
            with socket.socket() as listening:
                listening.bind((address, 0))
                assert listening.getsockname()[0] == "127.0.0.1"
        with pytest.raises(TypeError), socket.socket() as listening:
            listening.bind(("127.0.0.1", "no port"))
    finally:
        undo()


def test_proxies_are_left_out_and_put_back() -> None:
    environ = {"http_proxy": "http://127.0.0.1:3128", "HTTPS_PROXY": "http://127.0.0.1:3128"}
    before = dict(environ)
    undo = block_network([], environ)
    try:
        assert not {"http_proxy", "HTTPS_PROXY"} & set(environ)
    finally:
        undo()
    assert environ == before


def test_the_users_commands_are_not_run(tmp_path: Path) -> None:
    notes: list[str] = []
    victim = tmp_path / "victim"
    victim.touch()
    undo = skip_commands(notes, is_user_frame)
    try:
        names = run(f"""
import os, subprocess
status = os.system("rm {victim}")
done = subprocess.run(["rm", "{victim}"], capture_output=True, text=True, check=True, cwd="/gone")
output = subprocess.check_output("ls", shell=True, input=b"x")
with os.popen("ls") as pipe:
    listed = pipe.read()
""")
    finally:
        undo()
    assert victim.exists()
    assert names["status"] == 0
    assert names["done"].stdout == ""
    assert names["output"] == b""
    assert names["listed"] == ""
    assert notes == [
        f"not run: rm {victim}",
        f"not run: rm {victim}",
        "not run: ls",
        "not run: ls",
    ]


def test_a_librarys_commands_are_run() -> None:
    notes: list[str] = []
    undo = skip_commands(notes, is_user_frame)
    try:
        output = subprocess.check_output(["echo", "hi"])
        assert os.system("true") == 0
    finally:
        undo()
    assert output == b"hi\n"
    assert notes == []
