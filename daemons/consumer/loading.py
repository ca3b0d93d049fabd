"""From a configuration to a consumer: the user's class found by its import path, or one of the built-in ones."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from types import ModuleType

from ...engine.errors import UsageError
from ...engine.queue.consumer import Consumer
from ...engine.queue.remote import RemoteConsumer
from ...engine.queue.steps import Observer, Report
from .config import ConsumerConfig
from .keys import OPTION_SECTION, Kind
from .simple import SimpleConsumer, SimpleLocalConsumer

_BUILT_IN: dict[Kind, type[SimpleConsumer] | type[SimpleLocalConsumer]] = {
    Kind.SIMPLE: SimpleConsumer,
    Kind.SIMPLE_LOCAL: SimpleLocalConsumer,
}


class ConsumerClassError(UsageError):
    """The class that a configuration names cannot be found, or is no consumer."""


def make_consumer(config: ConsumerConfig, observer: Observer | None = None, report: Report | None = None) -> Consumer:
    """The configured consumer, not yet at work. Raises UsageError."""
    if config.kind is not Kind.CLASS:
        return _BUILT_IN[config.kind](config, observer=observer, report=report)
    found = find_class(config)
    arguments: dict[str, object] = dict(config.options)
    if observer is not None:
        arguments["observer"] = observer
    if report is not None:
        arguments["report"] = report
    if issubclass(found, RemoteConsumer):
        if not config.dst_db:
            raise ConsumerClassError(f"{config.consumer_class} works in another database.", "Set dst_db.")
        arguments["remote_dsn"] = config.dst_db
    # A class with a constructor of its own need not know those that only this process wants.
    parameters = inspect.signature(found).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        arguments = {k: v for k, v in arguments.items() if k in parameters or k not in ("observer", "report")}
        if strangers := sorted(config.options.keys() - parameters.keys()):
            raise ConsumerClassError(
                f"{config.consumer_class} takes no argument {', '.join(strangers)}, set in [{OPTION_SECTION}].",
                f"Its own are: {', '.join(_own_arguments(found)) or 'none'}.",
            )
    try:
        inspect.signature(found).bind(config.src_db, config.settings, **arguments)
    except TypeError as error:
        raise ConsumerClassError(
            f"{config.consumer_class} cannot be made: {error}.", f"Set what it needs in [{OPTION_SECTION}]."
        ) from error
    consumer = found(config.src_db, config.settings, **arguments)  # type: ignore[arg-type]
    # It raises where there is no handler.
    _ = consumer.is_async
    return consumer


def _own_arguments(found: type[Consumer]) -> list[str]:
    usual = {"dsn", "settings", "observer", "report", "remote_dsn"}
    return [name for name in inspect.signature(found).parameters if name not in usual]


def find_class(config: ConsumerConfig) -> type[Consumer]:
    """The class that `consumer_class` names. Raises ConsumerClassError."""
    for folder in reversed(config.consumer_path):
        if not folder.is_dir():
            raise ConsumerClassError(f"The folder {folder} of consumer_path does not exist.")
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    module_name, _, class_name = config.consumer_class.partition(":")
    module = _module(module_name)
    found: object = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Consumer)):
        reason = "There is no" if found is None else "No consumer is"
        raise ConsumerClassError(
            f"{reason} {class_name} in the module {module_name} ({module.__file__}).", _consumers_in(module)
        )
    return found


def _module(name: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConsumerClassError(
                f"There is no module {error.name}.", "Set consumer_path to the folder it is in."
            ) from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> ConsumerClassError:
    """What went wrong while a module was imported, with the place in the user's own code."""
    if isinstance(error, SyntaxError):
        where, text = f"{error.filename}:{error.lineno}", error.msg
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name
        text = (str(error).strip().splitlines() or [""])[0]
    return ConsumerClassError(f"The module {name} cannot be imported: {where}: {type(error).__name__}: {text}.")


def _consumers_in(module: ModuleType) -> str:
    found = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Consumer) and value.__module__ == module.__name__
    ]
    return f"Its consumers are: {', '.join(found)}." if found else "There is no consumer in it."
