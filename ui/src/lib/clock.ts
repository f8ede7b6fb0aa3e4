/** The time of the server as this browser sees it, and a beat for what grows with it. */

import { signal } from "@preact/signals";

const SKEW_IGNORED_MS = 2_500;
const BEAT_MS = 100;

let skewMs = 0;

/** Learn from a response's `date`, which has whole seconds only: small differences are no differences. */
export function setClockSkew(date: string | null): void {
  if (date === null) return;
  const skew = Date.parse(date) - Date.now();
  skewMs = Number.isNaN(skew) || Math.abs(skew) < SKEW_IGNORED_MS ? 0 : skew;
}

export function serverNow(): number {
  return Date.now() + skewMs;
}

/** Milliseconds since the epoch, ten times a second while the page is looked at. */
export const now = signal(serverNow());
/** The same once a second, for what shows no fractions. */
export const nowInSeconds = signal(serverNow());

let beaten = 0;

/** The time moves on. Whoever shows something new anyway calls it, and the next beat need not draw all of it again. */
export function beat(): void {
  beaten = performance.now();
  now.value = serverNow();
  if (now.value - nowInSeconds.value >= 1000) nowInSeconds.value = now.value;
}

setInterval(() => {
  if (document.visibilityState !== "hidden" && performance.now() - beaten > BEAT_MS / 2) beat();
}, BEAT_MS);
