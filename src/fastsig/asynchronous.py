"""`asend`, which awaits the receivers that are coroutine functions."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastsig.engine import find_engine
from fastsig.watching import Sending, watched

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def asend(signal: Any, sender: Any, named: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Send as `Signal.asend` describes."""
    engine = find_engine(signal)
    if engine is None:
        raise TypeError(f"asend() needs fastsig's engine, which {signal!r} does not run on")
    route = engine.find_route(sender)
    sending = Sending(engine, sender, named, watched.get(id(engine)), route)
    responses = sending.responses
    waiting: list[tuple[int, Any, float]] = []
    try:
        try:
            for receiver in sending.receivers():
                started = perf_counter()
                try:
                    response = sending.call(receiver)
                except Exception as error:
                    sending.notify(receiver, started, error)
                    response = sending.fail(receiver, error)
                else:
                    if isawaitable(response):
                        waiting.append((len(responses), response, started))
                    else:
                        sending.notify(receiver, started, None)
                responses.append((receiver, response))
        except BaseException:
            for _, awaitable, _ in waiting:
                if hasattr(awaitable, "close"):
                    awaitable.close()  # it was never started
            raise
        if waiting:
            await wait_for_all(sending, waiting)
        return sending.finish()
    except BaseException as error:
        sending.give_up(error)
        raise


async def wait_for_all(sending: Sending, waiting: list[tuple[int, Any, float]]) -> None:
    """Await the awaitables that receivers returned, and put their results into the responses.

    If the exception of one ends the send, cancel the others and wait for them.
    """
    responses = sending.responses

    async def finish(place: int, awaitable: Awaitable[Any], started: float) -> None:
        receiver = responses[place][0]
        try:
            response = await awaitable
        except Exception as error:
            sending.notify(receiver, started, error)
            response = sending.fail(receiver, error)
        except BaseException as error:
            sending.notify(receiver, started, error)
            raise
        else:
            sending.notify(receiver, started, None)
        responses[place] = (receiver, response)

    tasks = [asyncio.ensure_future(finish(*each)) for each in waiting]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
