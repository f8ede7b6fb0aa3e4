"""What the demo prints while it runs: when, who, what."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable

from examples.claim_demo.effects import EffectLog


class Timeline:
    """Prints what happens, when, and to whom."""

    def __init__(self) -> None:
        self._begin = time.time()
        self._told = 0
        bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._bold = ("\033[1m", "\033[0m") if bold else ("", "")

    def say(self, who: str, text: str, at: float | None = None) -> None:
        """One line. `at`: epoch seconds, now if left out."""
        print(f"{(at or time.time()) - self._begin:6.1f} s  {who:<8}  {text}", flush=True)

    def retell(self, news: Iterable[tuple[str, str]]) -> None:
        """A line each: who, what."""
        for who, text in news:
            self.say(who, text)

    def loud(self, who: str, text: str) -> None:
        """One line that nobody should miss."""
        before, after = self._bold
        print(f"{before}{time.time() - self._begin:6.1f} s  {who:<8}  {text}{after}", flush=True)

    def tell(self, log: EffectLog) -> None:
        """What the agent did since it was last told, in its own words; replays are gathered in one line."""
        effects = log.read()
        replayed: list[str] = []
        for effect in effects[self._told :]:
            if effect.event == "replayed":
                replayed.append(effect.step)
            elif effect.event == "finished":
                self._tell_replayed(replayed, effect.time_s)
                self.say("agent", f"ran {effect.step}", effect.time_s)
        self._tell_replayed(replayed, time.time())
        self._told = len(effects)

    def _tell_replayed(self, steps: list[str], at: float) -> None:
        if steps:
            self.say("agent", f"from the journal, not run again: {', '.join(dict.fromkeys(steps))}", at)
            steps.clear()

    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.time() - self._begin
