"""Bills of materials, checked, and the hashes of what was installed: `make sbom`.

PYTEST_DONT_REWRITE: this is a program.
"""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

VERSIONS = {"1.5": SchemaVersion.V1_5, "1.6": SchemaVersion.V1_6}


def check(path):
    """Return how many components a bill has; raises ValueError for one that is none."""
    text = path.read_text(encoding="utf-8")
    bill = json.loads(text)
    wrong = JsonStrictValidator(VERSIONS[bill["specVersion"]]).validate_str(text)
    if wrong is not None:
        raise ValueError(f"{path}: {wrong.data}")
    return len(bill["components"])


def hashes_of(report):
    """Return the lines of a file for `pip install --require-hashes` from a report of pip."""
    lines = []
    for item in report["install"]:
        archive = item["download_info"].get("archive_info")
        name = f"{item['metadata']['name']}=={item['metadata']['version']}"
        # The project itself came from its folder.
        if archive is not None:
            lines.append(f"{name} --hash=sha256:{archive['hashes']['sha256']}")
    return sorted(lines, key=str.lower)


def main(report, hashes, *bills):
    """Write the hashes and check the bills; return 1 for a bill that is none."""
    lines = hashes_of(json.loads(Path(report).read_text(encoding="utf-8")))
    Path(hashes).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{hashes}: {len(lines)} packages of this platform, with SHA-256")
    try:
        for bill in map(Path, bills):
            print(f"{bill}: {check(bill)} components")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
