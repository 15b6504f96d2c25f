"""The file by which a container sees whether a program lives."""

import asyncio
import os
import subprocess
import sys

from deploy import watchdog
from tests.support.waiting import until


async def test_a_program_touches_its_file_while_its_loop_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    file = tmp_path / "alive"
    assert watchdog.main([str(file)]) == 1
    assert "No such file" in capsys.readouterr().err
    signs = asyncio.create_task(watchdog.send_signs(file))
    await until(file.exists, 5)
    os.utime(file, (0, 0))
    await until(lambda: watchdog.main([str(file)]) == 0, 5)
    signs.cancel()
    os.utime(file, (0, 0))
    capsys.readouterr()
    assert watchdog.main([str(file)]) == 1
    assert "no sign of life for" in capsys.readouterr().err


def test_the_probe_of_the_containers_is_quick(tmp_path):
    (tmp_path / "alive").touch()
    probe = [sys.executable, "-m", "deploy.watchdog", str(tmp_path / "alive")]
    done = subprocess.run(probe, capture_output=True, text=True, check=True, timeout=5)
    assert (done.stdout, done.stderr) == ("", "")
