"""Packages of the Debian machine that this runs on."""

import os
import subprocess


def is_installed(package):
    """Say whether a package is installed, as dpkg has it."""
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return query.returncode == 0 and query.stdout == "installed"


def install(*packages):
    """Install those of the packages that are missing; raise where apt-get fails."""
    missing = [p for p in packages if not is_installed(p)]
    if not missing:
        return
    subprocess.run(
        ["apt-get", "install", "-y", "--no-install-recommends", "--", *missing],
        env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"),
        stdin=subprocess.DEVNULL,
        check=True,
    )
