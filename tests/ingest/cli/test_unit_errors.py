"""`parktwin unit-errors`, with a cycle that obeys it."""

import asyncio

from ingest.cli import unit_errors
from tests.support.cycle_bench import STEADY, T0, flow, message, samples, steady
from twin import quality as q

pytest_plugins = ["tests.support.cycle_bench"]


async def run(bench, *words):
    """Run the command while cycles go on; return its exit status."""
    command = asyncio.create_task(asyncio.to_thread(unit_errors.main, list(words)))
    nth = 0
    while not command.done():
        nth += 1
        await bench.run([], T0 + (STEADY + 100) * 2000 + nth * 1000)
        await asyncio.sleep(0.02)
    return await command


async def test_listed_rescaled_and_listed_again(bench, db, database, monkeypatch, capsys):
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)
    it = await bench()
    assert await run(it, "list") == 0
    assert capsys.readouterr().out == "no unit error is suspected\n"
    await steady(it)
    now = [message({"FT-1": flow(i) / 3.6}, T0 + i * 2000) for i in range(STEADY, STEADY + 30)]
    await it.run(now, T0 + (STEADY + 30) * 2000)
    assert await run(it, "list") == 0
    line = capsys.readouterr().out
    number = line.split()[0]
    assert "acme/FT-1  open  " in line
    assert "30 samples, expected 36 t/h, shown × 0.2778\n" in line
    assert await run(it, "rescale", number, "--by", "ann", "--factor", "0") == 2
    assert "is between" in capsys.readouterr().err
    assert await run(it, "rescale", number, "--by", "ann") == 0
    assert {code for *_, code in await samples(db)} == {q.GOOD}
    assert await run(it, "dismiss", number, "--by", "ann") == 2
    assert "answered already" in capsys.readouterr().err
    assert await run(it, "list", "--all") == 0
    assert "acme/FT-1  rescale  " in capsys.readouterr().out
