"""Make a virtualenv: build_venv.py DIRECTORY [pip]. Run by the Python it is of.

With pip, what ensurepip would install is unpacked from the wheels that ensurepip
has. A pure wheel is installed by unpacking it; ensurepip does that with the pip
inside of the wheel, which takes 4 s where this takes 0.2. Wheels that are not as
expected are left to ensurepip itself.
"""

import base64
import glob
import hashlib
import os
import subprocess
import sys
import venv
import zipfile

SCRIPT = """\
%s
import sys
from pip._internal.cli.main import main
if __name__ == '__main__':
    sys.exit(main())
"""


def main(directory, *want):
    venv.EnvBuilder(symlinks=True, with_pip=False).create(directory)
    if "pip" not in want:
        return
    found = bundled_wheels()
    if found:
        site = glob.glob(os.path.join(glob.escape(directory), "lib", "*", "site-packages"))[0]
        for wheel in found:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
        finish_pip(site, directory)
        return
    python = os.path.join(directory, "bin", "python")
    subprocess.run(
        [python, "-Im", "ensurepip", "--upgrade", "--default-pip"],
        check=True,
        stdout=sys.stderr,
    )


def bundled_wheels():
    """Return the wheels that ensurepip would install, [] where that is not certain."""
    import ensurepip
    import sysconfig

    names = ["pip-%s" % ensurepip.version()]
    if sys.version_info < (3, 12):
        names.append("setuptools-*")
    own = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    for directory in (sysconfig.get_config_var("WHEEL_PKG_DIR"), own):
        if directory:
            pattern = os.path.join(glob.escape(directory), "%s-*.whl")
            matches = [glob.glob(pattern % name) for name in names]
            if all(len(m) == 1 and is_plain(m[0]) for m in matches):
                return [m[0] for m in matches]
    return []


def is_plain(wheel):
    """Report whether a wheel is installed by unpacking it, and needs no other wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        if any(".data/" in name.split("/")[0] + "/" for name in names):
            return False
        meta = [name for name in names if name.endswith(".dist-info/WHEEL")]
        if len(meta) != 1 or b"Root-Is-Purelib: true" not in archive.read(meta[0]):
            return False
        # Distributions may take out of pip what it carries along: it would not run.
        return (
            "pip/__init__.py" not in names
            or {"pip/_vendor/requests/__init__.py", "pip/_internal/cli/main.py"} <= set(names)
        )


def finish_pip(site, directory):
    """Write the commands of pip, and record them so that pip can replace itself."""
    python = os.path.join(directory, "bin", "python")
    if len(python) > 120 or " " in python:  # more than the kernel takes in a #! line
        first = "#!/bin/sh\n'''exec' \"%s\" \"$0\" \"$@\"\n' '''" % python
    else:
        first = "#!" + python
    data = (SCRIPT % first).encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    records = []
    for name in ("pip", "pip3", "pip%d.%d" % sys.version_info[:2]):
        path = os.path.join(directory, "bin", name)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o755)
        records.append("%s,sha256=%s,%d\n" % (os.path.relpath(path, site), digest, len(data)))
    for info in glob.glob(os.path.join(glob.escape(site), "*.dist-info")):
        lines = ["%s/INSTALLER,,\n" % os.path.basename(info)]
        with open(os.path.join(info, "INSTALLER"), "w") as file:
            file.write("pip\n")
        if os.path.basename(info).startswith("pip-"):
            lines += records
        with open(os.path.join(info, "RECORD"), "a") as file:
            file.writelines(lines)


main(*sys.argv[1:])
