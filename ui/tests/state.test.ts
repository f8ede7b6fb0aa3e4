import { expect, test } from "vitest";
import type { Summary } from "../src/api/types";
import { matches } from "../src/lib/filters";
import { bytes, duration, shortCount } from "../src/lib/format";
import { merged } from "../src/lib/merge";

const same = (n: number): number => n;

test("changed items take the place of those with their number, new ones their place in the order", () => {
  expect(merged([1, 3, 5], [4], same)).toEqual([1, 3, 4, 5]);
  expect(merged([], [2, 1], same)).toEqual([1, 2]);
  const old = [
    { n: 1, v: "a" },
    { n: 2, v: "b" },
  ];
  expect(merged(old, [{ n: 2, v: "c" }], (item) => item.n)).toEqual([
    { n: 1, v: "a" },
    { n: 2, v: "c" },
  ]);
  expect(old[1]?.v).toBe("b");
});

test("an invocation that leaves the statuses looked at no longer matches", () => {
  const none = { status: [], service: "", handler: "", key: "", id: "" };
  const row = {
    status: "running",
    service: "Lab",
    handler: "steps",
    key: null,
    id: "inv_1",
  } as unknown as Summary;
  expect(matches(row, none)).toBe(true);
  expect(matches(row, { ...none, status: ["running", "failed"] })).toBe(true);
  expect(matches({ ...row, status: "succeeded" }, { ...none, status: ["running"] })).toBe(false);
  expect(matches(row, { ...none, key: "k" })).toBe(false);
});

test("durations, sizes and counts in words", () => {
  expect(duration(0)).toBe("0 ms");
  expect(duration(999.4)).toBe("999 ms");
  expect(duration(1_234)).toBe("1.23 s");
  expect(duration(61_000)).toBe("1 m 1 s");
  expect(duration(3_600_000)).toBe("1 h");
  expect(duration(90_000_000)).toBe("1 d 1 h");
  expect(bytes(1023)).toBe("1023 B");
  expect(bytes(2_097_152)).toBe("2.0 MiB");
  expect(shortCount(999)).toBe("999");
  expect(shortCount(12_345)).toBe("12k");
});
