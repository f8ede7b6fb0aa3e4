/**
 * The timeline: a tree of rows beside bars on one axis of time, both scrolled as one.
 *
 * Only rows in sight exist. While something is pending the axis grows ten times a second; a finished one stands
 * still and costs nothing.
 */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { now as clock } from "../lib/clock";
import { duration } from "../lib/format";
import { useKeys } from "../lib/keys";
import type { Kind } from "../lib/kinds";
import { phone } from "../lib/phone";
import { busyStretches, gapsOf, kindCounts, knownStretch, type Row } from "../lib/rows";
import { idleStretches, makeScale, type Scale, type Stretch, type Tick } from "../lib/scale";
import { reveal, useVisible } from "../lib/virtual";
import { type InvocationTree, WATCHED_MAX } from "../state/tree";
import { RowView } from "./row";
import { Toolbar } from "./toolbar";

/** As in the styles. */
const ROW_PX = 30;
const PHONE_ROW_PX = 52;
const AXIS_PX = 30;
/** Beside the axis, for the words behind the last bars. */
const MARGIN_LEFT_PX = 12;
const MARGIN_RIGHT_PX = 84;
const TICK_WORDS_PX = 44;
const WAIT_WORDS_PX = 46;
const ZOOM_STEP = 1.5;
const VIEW_MIN_MS = 1;

export function TimelineView(props: {
  tree: InvocationTree;
  rows: readonly Row[];
  hidden: ReadonlySet<Kind>;
  onHide: (hidden: ReadonlySet<Kind>) => void;
  selected: string | null;
  onSelect: (row: Row | null) => void;
}) {
  const { tree, rows, selected, onSelect } = props;
  const container = useRef<HTMLDivElement>(null);
  const [shortened, setShortened] = useState(true);
  const [view, setView] = useState<Stretch | null>(null);
  const [note, setNote] = useState("");
  const rowPx = phone.value ? PHONE_ROW_PX : ROW_PX;
  const visible = useVisible(container, rows.length, rowPx, AXIS_PX);

  const shown = tree.shown.value;
  const root = shown.branches.get(shown.root);
  const live = root?.summary?.completed_at === null;
  const now = live ? clock.value : 0;
  const known = useMemo(() => knownStretch(shown), [shown]);
  const counts = useMemo(() => kindCounts(shown), [shown]);
  const { whole, idle, gaps } = useMemo(() => {
    const stretch =
      known === null ? { from: now - 1000, to: now } : { ...known, to: Math.max(known.to, now) };
    const branch = shown.branches.get(shown.root);
    return {
      whole: stretch,
      idle: idleStretches(busyStretches(shown, stretch.to), stretch.from, stretch.to),
      gaps: branch === undefined ? [] : gapsOf(branch, stretch.to),
    };
  }, [shown, known, now]);

  // On a phone the names stand above their bars.
  const nameWidth = phone.value ? 0 : Math.round(Math.min(Math.max(visible.width * 0.36, 200), 340));
  const chartWidth = Math.max(visible.width - nameWidth, 80);
  const axisWidth = Math.max(chartWidth - MARGIN_LEFT_PX - MARGIN_RIGHT_PX, 40);
  const scale = useMemo(
    () => makeScale(whole, shortened ? idle : [], view, axisWidth),
    [whole, idle, shortened, view, axisWidth],
  );
  const ticks = useMemo(() => scale.ticks(), [scale]);

  const zoom = (factor: number, at = axisWidth / 2): void => {
    const from = Math.max(scale.at(at - at * factor), whole.from);
    const to = Math.min(scale.at(at + (axisWidth - at) * factor), whole.to);
    if (to - from < VIEW_MIN_MS) return;
    setView(factor > 1 && from <= whole.from && to >= whole.to ? null : { from, to });
  };
  const pan = (px: number): void => {
    if (view === null) return;
    const from = scale.at(px);
    const to = scale.at(axisWidth + px);
    if (from >= whole.from && to <= whole.to) setView({ from, to });
  };
  useWheel(container, (event) => {
    if (event.ctrlKey || event.metaKey) {
      const left = container.current?.getBoundingClientRect().left ?? 0;
      const at = event.clientX - left - nameWidth - MARGIN_LEFT_PX;
      zoom(event.deltaY > 0 ? ZOOM_STEP : 1 / ZOOM_STEP, Math.min(Math.max(at, 0), axisWidth));
      return true;
    }
    if (view !== null && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      pan(event.deltaX);
      return true;
    }
    return false;
  });

  const toggle = (row: Row): void => {
    if (row.type !== "entry" || row.callee === null) return;
    if (!tree.toggle(row.key, row.callee)) {
      setNote(`At most ${WATCHED_MAX} invocations can be watched at once: open this one on its own page.`);
    }
  };
  // The same functions for all rows and for good, so that a row is made anew only when it has changed.
  const select = useSteady(onSelect);
  const unfold = useSteady(toggle);
  useStayAtEnd(container, rows.length, rowPx, live);

  const index = rows.findIndex((row) => row.key === selected);
  const move = (to: number): void => {
    const next = Math.min(Math.max(to, 0), rows.length - 1);
    const row = rows[next];
    if (row === undefined) return;
    onSelect(row);
    if (container.current !== null) reveal(container.current, next, rowPx, AXIS_PX);
  };
  useKeys((key) => {
    const row = rows[index];
    switch (key) {
      case "j":
      case "ArrowDown":
        move(index + 1);
        return true;
      case "k":
      case "ArrowUp":
        move(index - 1);
        return true;
      case "Home":
        move(0);
        return true;
      case "End":
        move(rows.length - 1);
        return true;
      case "Enter":
      case "ArrowRight":
        if (row?.type !== "entry" || row.callee === null) return false;
        if (!row.unfolded || key === "Enter") toggle(row);
        return true;
      case "ArrowLeft":
        if (row?.type === "entry" && row.unfolded) toggle(row);
        else move(parentOf(rows, index));
        return true;
      case "Escape":
        onSelect(null);
        return true;
      case "+":
        zoom(1 / ZOOM_STEP);
        return true;
      case "-":
        zoom(ZOOM_STEP);
        return true;
      case "0":
        setView(null);
        return true;
      default:
        return false;
    }
  });

  return (
    <section class="timeline" aria-label="Timeline">
      <Toolbar
        counts={counts}
        hidden={props.hidden}
        onHide={props.onHide}
        shortened={shortened}
        canShorten={makesDifference(idle, whole)}
        onShorten={setShortened}
        zoomed={view !== null}
        onZoom={(direction) =>
          direction === 0 ? setView(null) : zoom(direction > 0 ? 1 / ZOOM_STEP : ZOOM_STEP)
        }
      />
      {note !== "" && (
        <button type="button" class="timeline-note" onClick={() => setNote("")}>
          {note}
        </button>
      )}
      <div
        class="timeline-scroll"
        ref={container}
        role="treegrid"
        tabIndex={0}
        aria-label="Journal over time"
        aria-rowcount={rows.length}
        aria-activedescendant={selected === null ? undefined : rowId(selected)}
      >
        <Axis scale={scale} ticks={ticks} nameWidth={nameWidth} chartWidth={chartWidth} />
        <div class="timeline-rows" style={{ height: `${rows.length * rowPx}px` }}>
          <div class="timeline-back" style={{ left: `${nameWidth}px` }} aria-hidden="true">
            {ticks.map((tick) => (
              <span key={tick.x} class="grid-line" style={{ left: `${MARGIN_LEFT_PX + tick.x}px` }} />
            ))}
            {gaps.map((gap) => {
              const from = clampX(scale.x(gap.from), axisWidth);
              const to = clampX(scale.x(gap.to), axisWidth);
              if (to - from < 1) return null;
              return (
                <span
                  key={gap.from}
                  class={`gap gap-${gap.why}`}
                  style={{ left: `${MARGIN_LEFT_PX + from}px`, width: `${to - from}px` }}
                />
              );
            })}
          </div>
          {rows.slice(visible.first, visible.end).map((row, offset) => (
            <RowView
              key={row.key}
              row={row}
              id={rowId(row.key)}
              index={visible.first + offset}
              top={(visible.first + offset) * rowPx}
              nameWidth={nameWidth}
              margin={MARGIN_LEFT_PX}
              axisWidth={axisWidth}
              scale={scale}
              now={live ? now : whole.to}
              selected={row.key === selected}
              onSelect={select}
              onToggle={unfold}
            />
          ))}
        </div>
      </div>
    </section>
  );
}

const rowId = (key: string): string => `row-${key}`;

function clampX(x: number, width: number): number {
  return Math.min(Math.max(x, -MARGIN_LEFT_PX), width + MARGIN_RIGHT_PX);
}

/** Whether shortening waits changes what is drawn enough to be offered. */
function makesDifference(idle: readonly Stretch[], whole: Stretch): boolean {
  const idleMs = idle.reduce((sum, stretch) => sum + stretch.to - stretch.from, 0);
  return idleMs > 0.25 * (whole.to - whole.from);
}

function parentOf(rows: readonly Row[], index: number): number {
  const depth = rows[index]?.depth ?? 0;
  for (let above = index - 1; above >= 0; above -= 1) {
    if ((rows[above]?.depth ?? 0) < depth) return above;
  }
  return 0;
}

function Axis(props: { scale: Scale; ticks: readonly Tick[]; nameWidth: number; chartWidth: number }) {
  const waits = props.scale.shortened().filter((piece) => piece.width >= WAIT_WORDS_PX && piece.x >= 0);
  const covered = (x: number): boolean =>
    waits.some((piece) => x + TICK_WORDS_PX > piece.x && x < piece.x + piece.width);
  const ticks = props.ticks.filter((tick) => !covered(tick.x));
  return (
    <div class="axis" role="row">
      <span class="axis-name" role="columnheader" style={{ width: `${props.nameWidth}px` }}>
        Journal
      </span>
      <span
        class="axis-chart"
        role="columnheader"
        aria-label="Time"
        style={{ width: `${props.chartWidth}px` }}
      >
        {ticks.map((tick) => (
          <span key={tick.x} class="tick num" style={{ left: `${MARGIN_LEFT_PX + tick.x}px` }}>
            {tick.label}
          </span>
        ))}
        {waits.map((piece) => (
          <span
            key={piece.x}
            class="tick-wait num"
            title={`${duration(piece.ms)} in which nothing ran, drawn shorter`}
            style={{ left: `${MARGIN_LEFT_PX + piece.x}px`, width: `${piece.width}px` }}
          >
            <span>{duration(piece.ms)}</span>
          </span>
        ))}
      </span>
    </div>
  );
}

/** A function that stays the same and does what the latest one does. */
function useSteady<A extends unknown[]>(latest: (...args: A) => void): (...args: A) => void {
  const current = useRef(latest);
  current.current = latest;
  return useRef((...args: A) => current.current(...args)).current;
}

/** Whoever looks at the end of a growing timeline goes on looking at its end. */
function useStayAtEnd(
  container: preact.RefObject<HTMLElement | null>,
  count: number,
  rowPx: number,
  live: boolean,
): void {
  const atEnd = useRef(false);
  useEffect(() => {
    const element = container.current;
    if (element === null) return;
    const look = (): void => {
      const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
      atEnd.current = element.scrollTop > 0 && rest < 2 * rowPx;
    };
    element.addEventListener("scroll", look, { passive: true });
    return () => element.removeEventListener("scroll", look);
  }, [container, rowPx]);
  useLayoutEffect(() => {
    if (live && atEnd.current && container.current !== null)
      container.current.scrollTop = container.current.scrollHeight;
  }, [container, count, live]);
}

function useWheel(
  container: preact.RefObject<HTMLElement | null>,
  take: (event: WheelEvent) => boolean,
): void {
  const latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    const element = container.current;
    if (element === null) return;
    const listen = (event: WheelEvent): void => {
      if (latest.current(event)) event.preventDefault();
    };
    element.addEventListener("wheel", listen, { passive: false });
    return () => element.removeEventListener("wheel", listen);
  }, [container]);
}
