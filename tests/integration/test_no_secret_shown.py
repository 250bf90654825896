"""Every command is run with secrets in each place that may hold one; none is ever seen again.

Searched are: standard output and error, every file that was written, and the command lines of the
processes that were started. A secret is what no other text is: a canary.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sojourn.cli import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.testing.s3 import S3Server

_PATIENCE_S = 180.0
_LOOK_EVERY_S = 0.02


def _canary(place: str) -> str:
    """Return a secret of such a form that no pattern knows it for one."""
    return f"canary{place}bird{'q' * (10 - len(place))}"


CANARIES = {
    place: _canary(place)
    for place in (
        "apitoken",
        "kgkey",
        "tokfile",
        "kgjson",
        "hfvar",
        "hffile",
        "awskey",
        "awssecret",
        "awssess",
        "userinfo",
        "endpoint",
        "query",
        "othervar",
        "login",
        "argument",
    )
}


# A job's own arguments are those of its process: whoever types a secret there has shown it.
TYPED = {"argument"}


@dataclass(slots=True)
class Seen:
    """What one command showed."""

    status: int
    output: str
    command_lines: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Bench:
    """A home with secrets in it, and what was run in it.

    Attributes:
        home: Where all files go.
        environment: The variables, with secrets.
        own: Files in which the secrets are, by right.
        ran: The verbs that were run.
    """

    home: Path
    environment: dict[str, str]
    own: set[Path]
    ran: set[str] = field(default_factory=set)

    def run(self, *arguments: str, text: str = "", **variables: str) -> Seen:
        """Run a command, and watch its processes meanwhile."""
        self.ran.add(arguments[0])
        process = subprocess.Popen(
            [sys.executable, "-m", "sojourn", *arguments],
            cwd=self.home,
            env=self.environment | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        seen = Seen(status=-1, output="")
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, seen.command_lines, done))
        watch.start()
        try:
            seen.output, _ = process.communicate(text, timeout=_PATIENCE_S)
        finally:
            done.set()
            watch.join()
        seen.status = process.returncode
        return seen


def _watch(pid: int, command_lines: set[str], done: threading.Event) -> None:
    """Note the command lines of a process's descendants; its own is what its user typed."""
    while not done.wait(_LOOK_EVERY_S):
        for child in _descendants(pid):
            try:
                command_lines.add(Path(f"/proc/{child}/cmdline").read_text(errors="replace"))
            except OSError:
                continue


def _descendants(pid: int) -> Iterator[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = " ".join((task / "children").read_text() for task in tasks)
    except OSError:
        return
    for child in map(int, children.split()):
        yield child
        yield from _descendants(child)


def _private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def bench(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    home = tmp_path_factory.mktemp("home")
    key_file = json.dumps({"username": "me", "key": CANARIES["kgjson"]})
    own = {
        _private(home / ".kaggle" / "access_token", CANARIES["tokfile"]),
        _private(home / ".kaggle" / "kaggle.json", key_file),
        _private(home / ".cache" / "huggingface" / "token", CANARIES["hffile"]),
    }
    (home / "data").mkdir()
    (home / "data" / "a.csv").write_text("x,y\n1,2\n")
    (home / "train.py").write_text(
        "import sys\nprint('hello')\nif 'fail' in sys.argv: raise SystemExit(3)\n"
    )
    dropped = ("KAGGLE_", "HF_", "AWS_", "XDG_", "HUGGING_FACE_", "COLAB_", "SOJOURN_")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(dropped)}
    environment |= {
        "HOME": str(home),
        "KAGGLE_API_TOKEN": CANARIES["apitoken"],
        "KAGGLE_USERNAME": "me",
        "KAGGLE_KEY": CANARIES["kgkey"],
        "HF_TOKEN": CANARIES["hfvar"],
        "MY_SERVICE_TOKEN": CANARIES["othervar"],
        "AWS_ACCESS_KEY_ID": CANARIES["awskey"],
        "AWS_SECRET_ACCESS_KEY": CANARIES["awssecret"],
        "AWS_ENDPOINT_URL": s3_server.environment["AWS_ENDPOINT_URL"],
        "AWS_REGION": "us-east-1",
    }
    return Bench(home=home, environment=environment, own=own)


def _check(bench: Bench, seen: Seen) -> None:
    for place, canary in CANARIES.items():
        assert canary not in seen.output, f"shown: {place}\n{seen.output}"
        for line in seen.command_lines if place not in TYPED else ():
            assert canary not in line, f"in a command line: {place}"
    for path in bench.home.rglob("*"):
        if path in bench.own or not path.is_file() or path.is_symlink():
            continue
        data = path.read_bytes()
        for place, canary in CANARIES.items():
            assert canary.encode() not in data, f"written to {path}: {place}"


# For each verb: what it is given where all goes well, and where it fails.
USERINFO = f"https://me:{CANARIES['userinfo']}@127.0.0.1:9/x"
S3_USERINFO = f"s3://key:{CANARIES['userinfo']}@bucket/x"
SIGNED = f"https://127.0.0.1:9/x?X-Amz-Signature={CANARIES['query']}"
UNREACHABLE = "https://127.0.0.1:9/nothing"
BAD_STORES = (USERINFO, S3_USERINFO, SIGNED, "s3://bucket/secret-refused")
JOB_ARGUMENTS = ("--", "--api-key", CANARIES["argument"], f"--token={CANARIES['argument']}")

COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "runtimes": (("--json",), ("--subscription", "none-such")),
    "plan": (
        ("absent.py", *JOB_ARGUMENTS),
        ("train.py", "--on", "colab/t4", *JOB_ARGUMENTS),
        ("train.py", "--on", "colab/t4", "--json", *JOB_ARGUMENTS),
    ),
    "push": (
        ("data", "store"),
        ("data", "store", "--dry-run", "--json"),
        ("absent", "store"),
        ("data", "store", "--exclude", f"{CANARIES['awssecret']}*"),
        *(("data", store) for store in BAD_STORES),
        *((store, "store") for store in BAD_STORES),
    ),
    "pull": (
        ("store", "out"),
        ("absent", "out"),
        (UNREACHABLE, "out"),
        *((store, "out") for store in BAD_STORES),
    ),
    "ls": (("store",), ("store", "--json"), *((store,) for store in BAD_STORES)),
    "verify": (("store",), ("store", "data"), *((store,) for store in BAD_STORES)),
    "run": (
        ("train.py", "--on", "local", *JOB_ARGUMENTS),
        ("train.py", "--on", "local", "--json", *JOB_ARGUMENTS, "fail"),
        ("train.py", "--on", "local", "--data", f"{SIGNED}=/content/data"),
        ("train.py", "--on", "local", "--data", "store=/content/data"),
    ),
    "probe": (("absent.py", *JOB_ARGUMENTS), ("train.py", "--json", *JOB_ARGUMENTS)),
    "share": (
        ("kaggle://nobody/nothing-here", "--with", "somebody"),
        *((store, "--with", "somebody") for store in BAD_STORES),
    ),
    "wallet": ((), ("--json",), ("--set", "12.5"), ("--set", "none")),
    "runs": ((), ("--json",)),
    "logs": (("none-such",), ("train",)),
    "login": (("kaggle",), ("hf",), ("none-such",), ("kaggle", "--json")),
    "doctor": ((), ("--json",), *((store,) for store in BAD_STORES)),
}


def test_every_verb_is_tried() -> None:
    """A new verb has to be given commands here."""
    assert set(COMMANDS) == set(VERBS)


@pytest.mark.s3
@pytest.mark.parametrize("verb", VERBS)
def test_no_secret_is_shown_or_kept(verb: str, bench: Bench) -> None:
    if not (bench.home / "store").exists():
        assert bench.run("push", "data", "store").status == 0
    for arguments in COMMANDS[verb]:
        at = arguments.index("--") if "--" in arguments else len(arguments)
        options = (*arguments[:at], "-v", *arguments[at:])
        # What is typed where a token is asked for must not be repeated either.
        seen = bench.run(verb, *options, text=f"{CANARIES['login']} with a word too many")
        assert seen.status in range(9), seen.output
        assert seen.status != 1, seen.output
        _check(bench, seen)


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": f"https://me:{CANARIES['endpoint']}@127.0.0.1:9"},
        {"AWS_ENDPOINT_URL": f"no address {CANARIES['endpoint']}"},
        {"AWS_SECRET_ACCESS_KEY": f"{CANARIES['awssecret']}\nline"},
        {"AWS_SESSION_TOKEN": CANARIES["awssess"]},
        {"https_proxy": f"http://me:{CANARIES['userinfo']}@127.0.0.1:9"},
        {"KAGGLE_API_TOKEN": f"{CANARIES['apitoken']} with more"},
        {"HF_TOKEN": f"{CANARIES['hfvar']}\x1b[31m"},
    ],
    ids=["user in endpoint", "no endpoint", "line break", "session", "proxy", "kaggle", "hf"],
)
@pytest.mark.s3
def test_variables_that_cannot_be_used_are_not_repeated(
    bench: Bench, variables: dict[str, str]
) -> None:
    # The proxy is for addresses of the web alone.
    store = UNREACHABLE if "https_proxy" in variables else "s3://bucket/x"
    for arguments in (("ls", store, "--json"), ("doctor", store, "-v")):
        seen = bench.run(*arguments, **variables)
        assert seen.status in range(9)
        assert seen.status != 1, seen.output
        _check(bench, seen)


@pytest.mark.s3
@pytest.mark.parametrize("text", ["{secret}", '{{"username": "me", "key": "{secret}"}}'])
def test_a_login_that_succeeds_shows_nothing(bench: Bench, text: str, tmp_path: Path) -> None:
    home = str(tmp_path)
    text = text.format(secret=CANARIES["login"])
    dropped = {"KAGGLE_API_TOKEN": "", "KAGGLE_KEY": "", "HOME": home}
    for arguments in (("kaggle", "-v"), ("kaggle", "--json", "-v"), ("kaggle", "--replace")):
        seen = bench.run("login", *arguments, text=text, **dropped)
        assert seen.status == 0, seen.output
        _check(bench, seen)
    holding = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(holding) == 1
    assert CANARIES["login"] in holding[0].read_text()
    assert holding[0].stat().st_mode & 0o077 == 0


@pytest.mark.s3
def test_files_that_others_may_read_are_told_and_not_shown(bench: Bench, tmp_path: Path) -> None:
    """Even then what is in them is known, and hidden in whatever is said."""
    key_file = json.dumps({"username": "me", "key": CANARIES["kgjson"]})
    _private(tmp_path / ".kaggle" / "kaggle.json", key_file).chmod(0o644)
    dropped = {"KAGGLE_API_TOKEN": "", "KAGGLE_KEY": "", "HOME": str(tmp_path)}
    seen = bench.run("doctor", **dropped)
    assert f"chmod 600 {tmp_path}/.kaggle/kaggle.json" in seen.output
    _check(bench, seen)
    # Somebody names a folder as the secret is called.
    seen = bench.run("ls", CANARIES["kgjson"], **dropped)
    assert seen.status == 5
    assert "***" in seen.output
    _check(bench, seen)


def test_the_watch_sees_what_it_should(bench: Bench, tmp_path: Path) -> None:
    """A canary that is shown, written or in a command line is found: the search can fail."""
    (tmp_path / "job.py").write_text(
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', 'import time; time.sleep(1)', {'canary'!r}])\n"
    )
    process = subprocess.Popen([sys.executable, str(tmp_path / "job.py")])
    lines: set[str] = set()
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, lines, done))
    watch.start()
    process.wait(30)
    time.sleep(2 * _LOOK_EVERY_S)
    done.set()
    watch.join()
    assert any(line.endswith("canary\0") for line in lines)

    shown = Seen(status=0, output=f"token {CANARIES['hfvar']}")
    with pytest.raises(AssertionError, match="shown: hfvar"):
        _check(bench, shown)
    listed = Seen(status=0, output="", command_lines={CANARIES["kgkey"]})
    with pytest.raises(AssertionError, match="in a command line: kgkey"):
        _check(bench, listed)
    left = bench.home / "left"
    left.write_text(CANARIES["awssecret"])
    with pytest.raises(AssertionError, match="written to"):
        _check(bench, Seen(status=0, output=""))
    left.unlink()
