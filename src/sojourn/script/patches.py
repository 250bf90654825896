"""The functions of Python that take a path, made to obey a path map.

Replaced: `open`, those functions of `os` that all of `os.path`, `pathlib`, `glob`, `shutil`,
pandas, numpy and PIL come down to, `shutil.rmtree` (it works on descriptors), and the import path.
Readers written in C that open files by themselves are in `foreign`.
"""

from __future__ import annotations

import builtins
import errno
import functools
import io
import os
import posix
import shutil
import sys
import threading
from contextlib import contextmanager
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from typing import TYPE_CHECKING, Any

from sojourn.script.arguments import absolute, call_with, in_the_form_of, path_text
from sojourn.script.captures import find_captures
from sojourn.script.folders import Listing, folder_of_descriptor
from sojourn.script.foreign import watch_foreign_openers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sojourn.script.paths import PathMap

_READ = ("stat", "lstat", "access", "readlink", "chdir", "statvfs", "getxattr", "listxattr")
_ATTRIBUTES = (
    *("chmod", "chown", "lchown", "utime", "setxattr", "removexattr"),
    *("fchmod", "fchown"),  # of a descriptor alone
)
_CREATE = ("mkdir", "mkfifo", "mknod")
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CAPABILITIES: tuple[set[Any], ...] = (
    os.supports_dir_fd,
    os.supports_fd,
    os.supports_follow_symlinks,
)


def install_patches(paths: PathMap) -> Callable[[], None]:
    """Replace the functions; return what puts them back."""
    session = _Session(paths)
    for names, body in (
        (_READ, session.read),
        (_ATTRIBUTES, session.change_attributes),
        (_CREATE, session.create),
        (("unlink", "remove", "rmdir"), session.remove),
        (("rename", "replace"), session.move),
        (("open",), session.open_descriptor),
        (("truncate",), session.truncate),
        (("symlink", "link"), session.link),
        (("listdir",), session.list_names),
        (("scandir",), session.scan),
    ):
        for name in names:
            session.replace(os, name, body)
    # Below Python the kernel keeps files from being written, but not their mode and times.
    for name in _ATTRIBUTES:
        session.replace(posix, name, session.change_attributes)
    session.replace(builtins, "open", session.open)
    session.replace(io, "open", session.open)
    session.replace(shutil, "rmtree", session.remove_tree)
    session.replace_captures()
    session.follow_import_path()
    session.undo.append(watch_foreign_openers(session.outside))
    return session.end


class _Patched:
    """A replaced function. An object, because unlike a function it does not bind as a method."""

    def __init__(self, original: Any, body: Callable[..., Any], session: _Session) -> None:
        self.__wrapped__ = original
        self.__name__ = original.__name__
        self.__doc__ = original.__doc__
        self._body = body
        self._session = session

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._session.is_resting():
            return self.__wrapped__(*args, **kwargs)
        if not args:  # the one path, given by its name
            for name in ("path", "src", "file", "fd"):
                if name in kwargs:
                    args = (kwargs.pop(name),)
                    break
        if "dst" in kwargs:
            args = (*args, kwargs.pop("dst"))
        with self._session.resting():
            return self._body(self.__wrapped__, *args, **kwargs)


class _Session:
    """One installation: what was replaced, and how each kind of function is carried out."""

    def __init__(self, paths: PathMap) -> None:
        self.undo: list[Callable[[], None]] = []
        self._paths = paths
        self._thread = threading.local()
        self._is_over = False
        self._replaced: dict[int, _Patched] = {}

    def is_resting(self) -> bool:
        """Whether file functions are called by this part itself, and mean what they say."""
        return self._is_over or getattr(self._thread, "is_resting", False)

    @contextmanager
    def resting(self) -> Iterator[None]:
        self._thread.is_resting = True
        try:
            yield
        finally:
            self._thread.is_resting = False

    def outside(self, path: Any, *, writes: bool) -> Any:
        """Return a path for a reader or writer that opens the file by itself."""
        text = path_text(path)
        if text is None or self.is_resting():
            return path
        with self.resting():
            where = self._paths.writing(text) if writes else self._paths.reading(text)
        return path if where == text else in_the_form_of(path, where)

    def replace(self, module: Any, name: str, body: Callable[..., Any]) -> None:
        original = getattr(module, name, None)
        if original is None:  # not on this system
            return
        patched = _Patched(original, body, self)
        setattr(module, name, patched)
        self.undo.append(lambda: setattr(module, name, original))
        self._replaced[id(original)] = patched
        for capability in _CAPABILITIES:
            if original in capability:
                capability.add(patched)
                self.undo.append(lambda group=capability: group.discard(patched))  # type: ignore[misc]

    def replace_captures(self) -> None:
        """Replace what modules imported by now have kept of the same functions."""
        for holder, name, original in find_captures(self._replaced):
            setattr(holder, name, self._replaced[id(original)])
            self.undo.append(functools.partial(setattr, holder, name, original))

    def end(self) -> None:
        self._is_over = True
        while self.undo:
            self.undo.pop()()

    def follow_import_path(self) -> None:
        """Let `sys.path.append("/content/project")` find modules; write no bytecode meanwhile."""

        def hook(entry: str) -> FileFinder:
            where = self.outside(entry, writes=False)
            if where == entry or not os.path.isdir(where):
                raise ImportError(f"{entry} is where it says")
            return FileFinder(where, (SourceFileLoader, SOURCE_SUFFIXES))

        writes_bytecode = sys.dont_write_bytecode
        sys.dont_write_bytecode = True
        sys.path_hooks.insert(0, hook)
        sys.path_importer_cache.clear()

        def restore() -> None:
            sys.path_hooks.remove(hook)
            sys.path_importer_cache.clear()
            sys.dont_write_bytecode = writes_bytecode

        self.undo.append(restore)

    # From here on: how each kind of function is carried out, given the original and its arguments.

    def read(self, original: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
        text = path_text(path)
        if text is None or kwargs.get("dir_fd") is not None:
            return original(path, *args, **kwargs)
        return call_with(original, path, self._paths.reading(text), *args, **kwargs)

    def list_names(self, original: Any, path: Any = ".") -> Any:
        text = path_text(path)
        if text is None or not self._paths.is_changed(text):
            return original(path)
        try:
            names = self._paths.names(text)
        except OSError as error:
            error.filename = path
            raise
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names

    def scan(self, original: Any, path: Any = ".") -> Any:
        text = path_text(path)
        if text is None or not self._paths.is_changed(text):
            return original(path)
        return Listing(path, self.list_names(os.listdir, path))

    def open(self, original: Any, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        text = path_text(file)
        if text is None or not isinstance(mode, str):
            return original(file, mode, *args, **kwargs)
        if not set(mode) & set("wax+"):
            where = self._paths.reading(text)
        else:
            must_exist = "r" in mode
            keep = must_exist or "a" in mode
            where = self._writable(text, keep=keep, must_exist=must_exist, is_new="x" in mode)
        return call_with(original, file, where, mode, *args, **kwargs)

    def open_descriptor(
        self, original: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> Any:
        text = path_text(path)
        if text is None:
            return original(path, flags, mode, dir_fd=dir_fd)
        if not flags & _WRITE_FLAGS:
            if dir_fd is not None:
                return original(path, flags, mode, dir_fd=dir_fd)
            return call_with(original, path, self._paths.reading(text), flags, mode)
        where = self._writable(
            absolute(text, dir_fd),
            keep=not flags & os.O_TRUNC,
            must_exist=not flags & os.O_CREAT,
            is_new=bool(flags & os.O_CREAT and flags & os.O_EXCL),
        )
        return call_with(original, path, where, flags, mode)

    def truncate(self, original: Any, path: Any, length: int) -> Any:
        text = path_text(path)
        if text is None:
            return original(path, length)
        where = self._writable(text, keep=True, must_exist=True, is_new=False)
        return call_with(original, path, where, length)

    def change_attributes(self, original: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
        text = path_text(path)
        if text is None:
            is_allowed = self._may_change_opened(path)
            return original(path, *args, **kwargs) if is_allowed else None
        where: str | None = self._paths.reading(absolute(text, kwargs.get("dir_fd")))
        if self._paths.overlay is not None and where is not None:
            where = self._paths.overlay.changing_attributes(where)
        elif kwargs.get("dir_fd") is not None:
            return original(path, *args, **kwargs)
        if where is None:
            return None
        kwargs.pop("dir_fd", None)
        return call_with(original, path, where, *args, **kwargs)

    def _may_change_opened(self, descriptor: Any) -> bool:
        """Whether mode and times of an open file may be changed: of what is ours, or no file."""
        if self._paths.overlay is None or not isinstance(descriptor, int):
            return True
        try:
            opened = folder_of_descriptor(descriptor)
        except OSError:
            return True  # it is not open, and the original says so
        return not opened.startswith("/") or self._paths.overlay.may_change(opened)

    def create(
        self, original: Any, path: Any, *args: Any, dir_fd: int | None = None, **kwargs: Any
    ) -> Any:
        text = absolute(os.fsdecode(path), dir_fd)
        where = self._writable(text, keep=False, must_exist=False, is_new=True)
        return call_with(original, path, where, *args, **kwargs)

    def link(self, original: Any, source: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        text = absolute(os.fsdecode(target), kwargs.pop("dir_fd", None))
        pointed = os.fsdecode(source)
        if self._paths.overlay is None:
            pointed = self._paths.reading(pointed) if pointed.startswith("/") else pointed
            return original(pointed, self._paths.writing(text), *args, **kwargs)
        where = self._writable(text, keep=False, must_exist=False, is_new=True)
        if original.__name__ == "link":  # through a hard link, the user's own file could be written
            pointed = os.path.realpath(self._paths.reading(pointed))
        return os.symlink(pointed, where, *args)

    def remove(
        self, original: Any, path: Any, *args: Any, dir_fd: int | None = None, **kwargs: Any
    ) -> Any:
        if self._paths.overlay is None and dir_fd is not None:
            return original(path, *args, dir_fd=dir_fd, **kwargs)
        local = self._paths.find_local(absolute(os.fsdecode(path), dir_fd))
        where: str | None = local
        if self._paths.overlay is not None:
            self._check_removable(original, local)
            where = self._paths.overlay.removing(local)
        return None if where is None else call_with(original, path, where, *args, **kwargs)

    def move(self, original: Any, source: Any, target: Any, **kwargs: Any) -> Any:
        from_path = absolute(os.fsdecode(source), kwargs.get("src_dir_fd"))
        to_path = absolute(os.fsdecode(target), kwargs.get("dst_dir_fd"))
        if self._paths.overlay is None:
            if kwargs:
                return original(source, target, **kwargs)
            return original(self._paths.reading(from_path), self._paths.writing(to_path))
        local = self._paths.find_local(from_path), self._paths.find_local(to_path)
        pair = self._paths.overlay.moving(*local)
        if pair is None:
            return None
        try:
            return original(*pair)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        # To the script both are on one file system.
        return shutil.move(*pair, copy_function=shutil.copyfile) and None

    def remove_tree(self, original: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
        text = path_text(path)
        if text is None or self._paths.overlay is None:
            where = path if text is None else self._paths.reading(text)
            return original(where, *args, **kwargs)
        try:
            gone = self._paths.overlay.removing(self._paths.find_local(text))
        except OSError:
            if kwargs.get("ignore_errors", args[:1] == (True,)):
                return None
            raise
        return None if gone is None else original(gone, *args, **kwargs)

    def _writable(self, path: str, *, keep: bool, must_exist: bool, is_new: bool) -> str:
        if self._paths.overlay is None:
            return self._paths.writing(path)
        shown = self._paths.reading(path)
        if is_new and os.path.lexists(shown):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if must_exist and not os.path.exists(shown):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._paths.writing(path, keep=keep)

    def _check_removable(self, original: Any, path: str) -> None:
        """Refuse what the system would refuse, where the file itself is not touched."""
        shown = self._paths.reading(path)
        is_folder = os.path.isdir(shown) and not os.path.islink(shown)
        if original.__name__ != "rmdir":
            if is_folder:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            return
        if os.path.lexists(shown) and not is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        if is_folder and self._paths.names(path):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
