"""SQL modules in a database: found, installed and upgraded, each in one transaction, without a superuser's rights."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection, errors, sql

from ..errors import SkyError, UsageError
from .sql import queries

Action = Literal["installed", "upgraded", "current", "extension", "foreign"]
Kind = Literal["absent", "ours", "extension", "foreign"]

OLDEST_SERVER = 140000
_KEYS = {"name", "version", "schema", "files", "requires"}
_ROOT = files(__package__.partition(".engine.")[0] + ".sql")


class InstallError(SkyError):
    """A module could not be installed; the database is as it was."""


@dataclass(frozen=True, slots=True)
class Module:
    """One <name>/module.toml: the files in the order they run, and the modules that must be there before."""

    name: str
    version: str
    schema: str
    folder: Traversable
    files: tuple[str, ...]
    requires: tuple[str, ...] = ()


Catalog = Mapping[str, Module]


@dataclass(frozen=True, slots=True)
class ModuleState:
    """What a database holds under a module's name. `version` is the extension's or ours; None when unknown.

    `owner` is the schema's, where that is not the role that asks; `role` is that role as SET ROLE takes it.
    """

    name: str
    kind: Kind
    version: str | None
    owner: str | None = None
    role: str = "none"


@dataclass(frozen=True, slots=True)
class InstallReport:
    """What was done to one module; `required` are the reports of the modules it needs, in the order they ran."""

    name: str
    action: Action
    version: str | None
    detail: str
    required: tuple[InstallReport, ...] = ()


@cache
def modules() -> Catalog:
    """The modules that come with the program, by name. Raises InstallError when a module.toml is not what we read."""
    return find_modules(_ROOT)


def find_modules(root: Traversable) -> Catalog:
    """The modules in the folders below `root`, by name. Raises InstallError."""
    found: dict[str, Module] = {}
    for folder in sorted(root.iterdir(), key=lambda entry: entry.name):
        if folder.is_dir() and folder.joinpath("module.toml").is_file():
            found[folder.name] = read_module(folder)
    return found


def module_named(name: str, catalog: Catalog | None = None) -> Module:
    """The module of this name. Raises UsageError that names those there are."""
    known = modules() if catalog is None else catalog
    try:
        return known[name]
    except KeyError:
        raise UsageError(f'There is no SQL module "{name}".', f"There are: {', '.join(known) or 'none'}.") from None


def read_module(folder: Traversable) -> Module:
    """The module.toml of a folder, read strictly. Raises InstallError with what is wrong in it."""
    where = f"{folder.name}/module.toml"
    try:
        table = tomllib.loads(folder.joinpath("module.toml").read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InstallError(f"{where} is not TOML: {error}.") from error
    if unknown := sorted(set(table) - _KEYS):
        raise InstallError(f"{where} has unknown keys: {', '.join(unknown)}.")
    name, version = folder.name, _text(where, table, "version", None)
    if table.get("name") != name:
        raise InstallError(f'{where} must have name = "{name}".')
    version_key(version)
    names, requires = _texts(where, table, "files"), _texts(where, table, "requires")
    if not names:
        raise InstallError(f"{where} lists no files.")
    if missing := [file for file in names if not folder.joinpath(file).is_file()]:
        raise InstallError(f"{where} lists files that are not there: {', '.join(missing)}.")
    return Module(name, version, _text(where, table, "schema", name), folder, names, requires)


def version_key(version: str) -> tuple[int, ...]:
    """A version such as "1.10.0" for comparison: numbers, not text. Raises InstallError when it is not of that form."""
    try:
        numbers = [int(part) for part in version.split(".")]
    except ValueError:
        raise InstallError(f'"{version}" is not a version of numbers and dots.') from None
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


async def inspect(conn: AsyncConnection[Any], name: str, *, catalog: Catalog | None = None) -> ModuleState:
    """What the database holds under the module's name. Raises psycopg.Error when the server fails."""
    return await _state(conn, module_named(name, catalog))


async def _state(conn: AsyncConnection[Any], module: Module) -> ModuleState:
    statements = queries("install/modules.sql")
    cursor = await conn.execute(statements["state"], {"name": module.name, "schema": module.schema})
    row = await cursor.fetchone()
    assert row is not None
    extension, schema_exists, filled, version, owner, own, role = row
    if extension is not None:
        return ModuleState(module.name, "extension", extension)
    kind: Kind = "absent"
    if schema_exists and filled:
        kind = "foreign" if version is None else "ours"
    return ModuleState(module.name, kind, version, None if own else owner, role)


async def install(
    conn: AsyncConnection[Any],
    name: str,
    *,
    dry_run: bool = False,
    again: bool = False,
    catalog: Catalog | None = None,
) -> InstallReport:
    """Install a module and those it requires, or bring them up to our version; a second call finds them current.

    An extension of the same name, and a schema that others filled, are left alone and reported. `dry_run` does
    everything and rolls it back, so it tells of missing rights too; `again` runs the files of a current module again.
    The caller's roles and rights apply; `catalog` is where modules are looked up, the program's own by default.
    Raises InstallError, with the database unchanged, also for a downgrade.
    """
    known = modules() if catalog is None else catalog
    module = module_named(name, known)
    if conn.info.server_version < OLDEST_SERVER:
        raise InstallError(
            f"The server is PostgreSQL {conn.info.server_version // 10000}.", "The modules need PostgreSQL 14 or newer."
        )
    try:
        async with conn.transaction(force_rollback=dry_run):
            statements = queries("install/modules.sql")
            await conn.execute(statements["isolation"])
            await conn.execute(statements["session"])
            # Two installers meet here; the second reads the state only after the first has committed.
            await conn.execute(statements["lock"])
            return await _install(conn, module, known, again, ())
    except errors.InsufficientPrivilege as error:
        raise _no_right(conn, module, error) from error
    except errors.ReadOnlySqlTransaction as error:
        raise InstallError(
            f"{module.name} can not be installed in {conn.info.dbname}: the session is read-only.",
            "Connect to the primary, with a role that may write.",
        ) from error
    except errors.LockNotAvailable as error:
        raise InstallError(
            f"{module.name} was not installed: others held locks on its objects, or another installer ran, for 30 s.",
            "Try again when long transactions have ended.",
        ) from error
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error).strip()
        raise InstallError(f"{module.name} was not installed in {conn.info.dbname}: {said}.") from error


async def _install(
    conn: AsyncConnection[Any], module: Module, known: Catalog, again: bool, path: tuple[str, ...]
) -> InstallReport:
    if module.name in path:
        raise InstallError(f"The modules {' -> '.join((*path, module.name))} require each other.")
    inner = (*path, module.name)
    required = tuple([await _install(conn, module_named(name, known), known, again, inner) for name in module.requires])
    state = await _state(conn, module)
    if state.kind == "extension":
        detail = f"The installed extension {module.name} {state.version} is used as it is."
        return InstallReport(module.name, "extension", state.version, detail, required)
    if state.kind == "foreign":
        detail = f"The schema {module.schema} was made by other scripts and is left alone."
        return InstallReport(module.name, "foreign", None, detail, required)
    action: Action = "installed"
    if state.kind == "ours" and state.version is not None:
        have, want = version_key(state.version), version_key(module.version)
        if have > want:
            raise InstallError(
                f"{conn.info.dbname} has {module.name} {state.version}, newer than our {module.version}.",
                "Use the skyconsole that installed it, or a newer one.",
            )
        if have == want and not again:
            return InstallReport(module.name, "current", state.version, f"{module.name} is up to date.", required)
        action = "upgraded" if have < want else "current"
    if state.kind == "absent" and state.owner is not None:
        # Who owns a schema can replace what others make in it, and would be called with their rights.
        raise InstallError(
            f"The schema {module.schema} of {conn.info.dbname} is empty and belongs to {state.owner}.",
            f"Install as {state.owner}, or drop the schema.",
        )
    become = queries("install/modules.sql")["become"]
    if state.owner is not None:
        # New functions must belong to the owner of the old ones, which call them with his rights.
        await conn.execute(become, {"role": state.owner})
    for name in module.files:
        await _run_file(conn, module, name)
    await _mark(conn, module)
    if state.owner is not None:
        await conn.execute(become, {"role": state.role})
    was = f" from {state.version}" if action == "upgraded" else ""
    detail = f"{module.name} {module.version} was {'run again' if action == 'current' else action + was}."
    return InstallReport(module.name, action, module.version, detail, required)


async def _run_file(conn: AsyncConnection[Any], module: Module, name: str) -> None:
    text = module.folder.joinpath(name).read_text("utf-8")
    try:
        await conn.execute(text.encode(), prepare=False)
    except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction, errors.LockNotAvailable):
        raise
    except psycopg.DatabaseError as error:
        position = error.diag.statement_position
        line = f", line {text[: int(position)].count(chr(10)) + 1}" if position else ""
        said = error.diag.message_primary or str(error)
        raise InstallError(
            f"The file {module.name}/{name}{line} failed: {said}.", error.diag.message_hint or ""
        ) from error


async def _mark(conn: AsyncConnection[Any], module: Module) -> None:
    statements = queries("install/modules.sql")
    names = {"schema": sql.Identifier(module.schema), "version": sql.Literal(module.version)}
    for name in ("marker", "comment"):
        await conn.execute(sql.SQL(statements[name]).format(**names))


def _no_right(conn: AsyncConnection[Any], module: Module, error: psycopg.Error) -> InstallError:
    said = error.diag.message_primary or str(error)
    return InstallError(
        f"The role {conn.info.user} may not install {module.name} in {conn.info.dbname}: {said}.",
        "It needs CREATE on the database, ownership of what is there, and CREATEROLE unless the module's roles exist.",
    )


def _text(where: str, table: Mapping[str, object], key: str, default: str | None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        raise InstallError(f"{where} must give {key} as a text.")
    return value


def _texts(where: str, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InstallError(f"{where} must give {key} as a list of texts.")
    return tuple(value)
