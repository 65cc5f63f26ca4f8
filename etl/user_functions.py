"""Functions of the project's own: found in its ``transforms/`` folder, loaded, and blamed by file and line."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

from etl.errors import ConfigError, EtlError, TransformError
from etl.vocabulary import nearest

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
FOLDER = "transforms"

Error = TypeVar("Error", bound=EtlError)


class _Loader(SourceFileLoader):
    """Compiles what the file says now: the cached bytecode of an edit within the same second may be that of before."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  the signature of the standard library
        """Return the code of the module."""
        return self.source_to_code(self.get_data(self.path), self.path)


class UserFunction:
    """``module:function``, loaded once; ``where`` is the place of the transform that names it."""

    def __init__(self, name: str, folder: Path, where: str) -> None:
        self.name = name
        self._where = where
        self._path = Path()
        self._shown = ""
        self._function = self._load(folder)

    def __call__(self, *values: Any) -> Any:  # noqa: ANN401  whatever the function takes and gives
        """Return what the function returns. Raises TransformError with its file and line."""
        try:
            return self._function(*values)
        except Exception as exc:
            raise self.broken(TransformError, exc) from exc

    def instantiate(self) -> None:
        """Make the instance of a class, which is called from now on; a function stays as it is. *Repeat*: safe."""
        if inspect.isclass(self._function):
            self._function = self()

    def broken(self, kind: type[Error], exc: Exception) -> Error:
        """Return the error of a function that failed."""
        reason = exc.message if isinstance(exc, EtlError) else f"{type(exc).__name__}: {exc}".split("\n", 1)[0]
        line = self._line(exc)
        place = "" if line is None else f" ({self._shown}, line {line})"
        return kind(f"{self.name} failed: {reason}{place}", where=self._where, hint="look at the function")

    def _line(self, exc: BaseException) -> int | None:
        """Return the line of the user's file at which an error arose, None where it arose elsewhere."""
        if isinstance(exc, SyntaxError) and exc.filename == str(self._path):
            return exc.lineno
        found, trace = None, exc.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(self._path):
                found = trace.tb_lineno
            trace = trace.tb_next
        return found

    def _load(self, folder: Path) -> Callable[..., Any]:
        """Return the function. Raises ConfigError."""
        match = _NAME.fullmatch(self.name)
        if match is None:
            raise ConfigError(f"{self.name!r} is no function", where=self._where, hint="write module:function")
        module_name, function_name = match.groups()
        self._shown = f"{FOLDER}/{module_name.replace('.', '/')}.py"
        self._path = self._contained(folder / FOLDER, module_name)
        names = vars(self._module(module_name))
        if function_name not in names:
            known = [name for name, value in names.items() if inspect.isfunction(value)]
            raise ConfigError(
                f"{self._path.name} has no function {function_name!r}{nearest(function_name, known)}",
                where=self._where,
                hint=f"its functions are {', '.join(known) or 'none'}",
            )
        found = names[function_name]
        if not callable(found):
            raise ConfigError(f"{self.name} is no function", where=self._where, hint="write def, with its parameters")
        loaded: Callable[..., Any] = found
        return loaded

    def _contained(self, folder: Path, module_name: str) -> Path:
        """Return the module's file, which must lie below ``folder`` after links are followed. Raises ConfigError."""
        path = folder.joinpath(*module_name.split(".")).with_suffix(".py")
        if not path.is_file():
            raise ConfigError(f"no file {path}", where=self._where, hint=f"modules lie in the folder {FOLDER}/")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"{path} leads out of {FOLDER}/", where=self._where, hint="copy the file into the folder")
        return path.resolve()

    def _module(self, module_name: str) -> object:
        """Return the module, loaded afresh under a name of its own: it can neither hide nor be hidden by another."""
        private = f"_etl_transforms.{module_name}"
        loader = _Loader(private, str(self._path))
        spec = importlib.util.spec_from_file_location(private, self._path, loader=loader)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{self._path} cannot be loaded", where=self._where, hint="name a .py file")
        module = importlib.util.module_from_spec(spec)
        search_path = list(sys.path)
        try:
            spec.loader.exec_module(module)
        except Exception as exc:
            raise self.broken(ConfigError, exc) from exc
        finally:
            sys.path[:] = search_path
        return module
