"""Known weaknesses of the dependencies, by pip-audit and npm audit: `make audit`.

PYTEST_DONT_REWRITE: this is a program.
"""

import json
import subprocess
import sys

UNREACHABLE = "{tool} cannot reach its database of known weaknesses: nothing was checked"


def of_python(tool, site):
    """Return (package, weaknesses) of the packages in a folder; None without the database."""
    argv = [tool, "--path", site, "--format", "json", "--progress-spinner", "off"]
    answer = _json(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)
    looked_up = [each for each in (answer or {}).get("dependencies", ()) if "version" in each]
    # A database that answers for somebody else knows none of them.
    if not looked_up:
        return None
    return [
        (f"{each['name']} {each['version']}", [one["id"] for one in each["vulns"]])
        for each in looked_up
        if each["vulns"]
    ]


def of_console(folder):
    """Return (package, weaknesses) of the console's packages; None without the database."""
    argv = ["npm", "audit", "--prefix", folder, "--omit", "dev", "--json"]
    answer = _json(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)
    if answer is None or "vulnerabilities" not in answer:
        return None
    return [(name, [each["severity"]]) for name, each in answer["vulnerabilities"].items()]


def _json(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def main(tool, site, folder):
    """Print what is known; return 1 for weaknesses, 2 where a database cannot be reached."""
    status = 0
    results = {"pip-audit": of_python(tool, site), "npm audit": of_console(folder)}
    for name, weak in results.items():
        if weak is None:
            print(UNREACHABLE.format(tool=name), file=sys.stderr)
            status = status or 2
            continue
        print(f"{name}: {len(weak)} packages with known weaknesses")
        for package, which in weak:
            status = 1
            print(f"  {package}: {', '.join(which)}")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
