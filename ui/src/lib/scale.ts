/**
 * From instants to pixels, with long waits made short.
 *
 * A run that works for 30 ms, waits three days and works again would be two dots on a straight axis. So stretches in
 * which nothing runs are drawn as long as they are only up to a share of the time in which something does. The
 * mapping is continuous and never goes backwards, also while the last wait still grows.
 */

export interface Stretch {
  from: number;
  to: number;
}

/** A piece of the axis; `short` when it is drawn shorter than it was. */
interface Piece extends Stretch {
  /** In drawn milliseconds from the left end. */
  start: number;
  length: number;
  short: boolean;
}

export interface Tick {
  x: number;
  label: string;
}

export interface Scale {
  readonly from: number;
  readonly to: number;
  x(at: number): number;
  /** The instant at a pixel. */
  at(x: number): number;
  ticks(): Tick[];
  /** Stretches drawn shorter than they were, in pixels. */
  shortened(): { x: number; width: number; ms: number }[];
}

const IDLE_SHARE = 0.6;
const IDLE_PIECES_MIN = 4;
const TICK_PX = 92;
const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3,
  1800e3, 3600e3, 7200e3, 14400e3, 21600e3, 43200e3, 86400e3, 172800e3, 604800e3,
];

/** The stretches of [from, to] that none of `busy` covers. */
export function idleStretches(busy: readonly Stretch[], from: number, to: number): Stretch[] {
  const idle: Stretch[] = [];
  let reached = from;
  for (const stretch of [...busy].sort((a, b) => a.from - b.from)) {
    if (stretch.from > reached) idle.push({ from: reached, to: Math.min(stretch.from, to) });
    reached = Math.max(reached, stretch.to);
    if (reached >= to) break;
  }
  if (reached < to) idle.push({ from: reached, to });
  return idle.filter((stretch) => stretch.to > stretch.from);
}

/**
 * Args:
 *   whole: what the axis covers. idle: what may be drawn shorter; empty for a straight axis.
 *   view: what of it is to be seen. width: in pixels.
 */
export function makeScale(
  whole: Stretch,
  idle: readonly Stretch[],
  view: Stretch | null,
  width: number,
): Scale {
  const pieces = piecesOf(whole, idle);
  const drawn = (at: number): number => {
    const piece = pieces.find((candidate) => at <= candidate.to) ?? last(pieces);
    const share = (at - piece.from) / Math.max(piece.to - piece.from, 1e-6);
    return piece.start + share * piece.length;
  };
  const left = drawn((view ?? whole).from);
  const span = Math.max(drawn((view ?? whole).to) - left, 1e-6);
  const x = (at: number): number => ((drawn(at) - left) / span) * width;
  const instant = (px: number): number => {
    const position = left + (px / Math.max(width, 1)) * span;
    const piece = pieces.find((candidate) => position <= candidate.start + candidate.length) ?? last(pieces);
    return piece.from + ((position - piece.start) / Math.max(piece.length, 1e-6)) * (piece.to - piece.from);
  };
  return {
    from: (view ?? whole).from,
    to: (view ?? whole).to,
    x,
    at: instant,
    ticks: () => ticksOf(pieces, whole, x, width, width / span),
    shortened: () =>
      pieces
        .filter((piece) => piece.short)
        .map((piece) => ({
          x: x(piece.from),
          width: x(piece.to) - x(piece.from),
          ms: piece.to - piece.from,
        })),
  };
}

/** Of a list that has one. */
function last<T>(items: readonly T[]): T {
  const item = items.at(-1);
  if (item === undefined) throw new RangeError("a list without a last item");
  return item;
}

function piecesOf(whole: Stretch, idle: readonly Stretch[]): Piece[] {
  const idleMs = idle.reduce((sum, stretch) => sum + stretch.to - stretch.from, 0);
  const busyMs = Math.max(whole.to - whole.from - idleMs, 1);
  const longest = (busyMs * IDLE_SHARE) / Math.max(idle.length, IDLE_PIECES_MIN);
  const pieces: Piece[] = [];
  let at = whole.from;
  let start = 0;
  const add = (to: number, length: number, short: boolean): void => {
    pieces.push({ from: at, to, start, length, short });
    start += length;
    at = to;
  };
  for (const stretch of idle) {
    if (stretch.from > at) add(stretch.from, stretch.from - at, false);
    const length = stretch.to - stretch.from;
    add(stretch.to, Math.min(length, longest), length > longest);
  }
  if (at < whole.to || pieces.length === 0) add(Math.max(whole.to, at), whole.to - at, false);
  return pieces;
}

function ticksOf(
  pieces: readonly Piece[],
  whole: Stretch,
  x: (at: number) => number,
  width: number,
  pxPerMs: number,
): Tick[] {
  const step = STEPS_MS.find((candidate) => candidate * pxPerMs >= TICK_PX) ?? last(STEPS_MS);
  const byClock = whole.to - whole.from > 15 * 60e3;
  const origin = byClock ? midnight(whole.from) : whole.from;
  const ticks: Tick[] = [];
  let reached = -TICK_PX;
  for (const piece of pieces) {
    if (piece.short || x(piece.to) < 0 || x(piece.from) > width) continue;
    const first = Math.ceil((piece.from - origin) / step);
    const count = Math.min(
      Math.floor((piece.to - origin) / step) - first + 1,
      Math.ceil(width / TICK_PX) * 40,
    );
    for (let i = 0; i < count; i += 1) {
      const at = origin + (first + i) * step;
      const px = x(at);
      if (px < 0 || px > width || px - reached < TICK_PX * 0.7) continue;
      ticks.push({ x: px, label: byClock ? clockLabel(at, step) : elapsedLabel(at - origin, step) });
      reached = px;
    }
  }
  return ticks;
}

function midnight(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const CLOCK_SECONDS = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });

function clockLabel(at: number, step: number): string {
  if (step >= 86400e3) return DAY.format(at);
  if (step >= 60e3) return CLOCK.format(at);
  if (step >= 1e3) return CLOCK_SECONDS.format(at);
  return `${CLOCK_SECONDS.format(at)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`;
}

function elapsedLabel(ms: number, step: number): string {
  if (ms === 0) return "0";
  if (ms < 1e3) return `${ms} ms`;
  if (ms < 60e3) return `${(ms / 1e3).toFixed(step >= 1e3 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3)} s`;
  const minutes = Math.floor(ms / 60e3);
  const seconds = (ms % 60e3) / 1e3;
  return `${minutes}:${seconds.toFixed(step >= 1e3 ? 0 : 1).padStart(step >= 1e3 ? 2 : 4, "0")}`;
}
