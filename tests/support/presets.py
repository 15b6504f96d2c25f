"""The examples of docs/presets.md: topic and payload of each preset.

PYTEST_DONT_REWRITE: tests and the fuzzer read them.
"""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "presets.md").read_text(encoding="utf-8")
EXAMPLES = {
    name: (topic, payload.encode())
    for name, topic, payload in re.findall(
        r"## `([\w-]+)`\n\nTopic `([^`]+)`\n\n```json\n(.*?)\n```", TEXT, re.DOTALL
    )
}
