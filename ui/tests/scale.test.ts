import { expect, test } from "vitest";
import { idleStretches, makeScale } from "../src/lib/scale";

const DAY = 86_400_000;

test("idle is what nothing busy covers, and overlaps count once", () => {
  const busy = [
    { from: 30, to: 40 },
    { from: 0, to: 10 },
    { from: 5, to: 20 },
  ];
  expect(idleStretches(busy, 0, 50)).toEqual([
    { from: 20, to: 30 },
    { from: 40, to: 50 },
  ]);
  expect(idleStretches([], 0, 50)).toEqual([{ from: 0, to: 50 }]);
  expect(idleStretches([{ from: -5, to: 60 }], 0, 50)).toEqual([]);
});

test("a wait of three days leaves the work before and after it to be seen", () => {
  const whole = { from: 0, to: 3 * DAY + 60 };
  const scale = makeScale(whole, [{ from: 30, to: 3 * DAY + 30 }], null, 1000);
  expect(scale.x(30) - scale.x(0)).toBeGreaterThan(300);
  expect(scale.x(3 * DAY + 60) - scale.x(3 * DAY + 30)).toBeGreaterThan(300);
  expect(scale.shortened()).toHaveLength(1);
  expect(scale.shortened()[0]?.ms).toBe(3 * DAY);
});

test("later is never drawn before earlier, and a pixel leads back to its instant", () => {
  const idle = [
    { from: 100, to: 5_000 },
    { from: 5_100, to: 90_000 },
  ];
  const scale = makeScale({ from: 0, to: 91_000 }, idle, null, 800);
  let last = -1;
  for (let at = 0; at <= 91_000; at += 50) {
    const x = scale.x(at);
    expect(x).toBeGreaterThanOrEqual(last);
    expect(Math.abs(scale.at(x) - at)).toBeLessThan(1);
    last = x;
  }
  expect(scale.x(91_000)).toBeCloseTo(800);
});

test("a wait that begins does not make the axis jump", () => {
  const before = makeScale({ from: 0, to: 1_000 }, [], null, 800);
  const after = makeScale({ from: 0, to: 1_001 }, [{ from: 1_000, to: 1_001 }], null, 800);
  expect(Math.abs(before.x(500) - after.x(500))).toBeLessThan(2);
});

test("a view shows its part alone", () => {
  const scale = makeScale({ from: 0, to: 1_000 }, [], { from: 250, to: 500 }, 600);
  expect(scale.x(250)).toBeCloseTo(0);
  expect(scale.x(500)).toBeCloseTo(600);
});

test("ticks are apart, in order, and few", () => {
  for (const ms of [3, 40, 700, 9_000, 80_000, 3_600_000, 9 * DAY]) {
    const ticks = makeScale({ from: 0, to: ms }, [], null, 900).ticks();
    expect(ticks.length).toBeGreaterThan(1);
    expect(ticks.length).toBeLessThan(16);
    for (let i = 1; i < ticks.length; i += 1) {
      expect((ticks[i]?.x ?? 0) - (ticks[i - 1]?.x ?? 0)).toBeGreaterThan(50);
    }
  }
});
