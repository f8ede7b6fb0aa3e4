/** Which rows of a long list are in sight, so that only those are made. */

import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

const OVERSCAN_ROWS = 8;

export interface Visible {
  first: number;
  /** Past the last one. */
  end: number;
  scrollTop: number;
  height: number;
  width: number;
}

export function useVisible(
  container: RefObject<HTMLElement | null>,
  count: number,
  rowPx: number,
  topPx = 0,
): Visible {
  const [box, setBox] = useState({ scrollTop: 0, height: 600, width: 0 });
  useLayoutEffect(() => {
    const element = container.current;
    if (element === null) return;
    let frame = 0;
    const measure = (): void => {
      frame = 0;
      setBox((old) => {
        const { scrollTop, clientHeight: height, clientWidth: width } = element;
        return old.scrollTop === scrollTop && old.height === height && old.width === width
          ? old
          : { scrollTop, height, width };
      });
    };
    const later = (): void => {
      if (frame === 0) frame = requestAnimationFrame(measure);
    };
    measure();
    const observer = new ResizeObserver(later);
    observer.observe(element);
    element.addEventListener("scroll", later, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
      element.removeEventListener("scroll", later);
    };
  }, [container]);
  const first = Math.max(0, Math.floor((box.scrollTop - topPx) / rowPx) - OVERSCAN_ROWS);
  const end = Math.min(count, Math.ceil((box.scrollTop + box.height - topPx) / rowPx) + OVERSCAN_ROWS);
  return { first, end: Math.max(first, end), ...box };
}

/** Scroll so far that row `index` is in sight, `topPx` being covered by a fixed head. */
export function reveal(container: HTMLElement, index: number, rowPx: number, topPx: number): void {
  const top = index * rowPx;
  const seen = container.clientHeight - topPx;
  if (top < container.scrollTop) container.scrollTop = top;
  else if (top + rowPx > container.scrollTop + seen) container.scrollTop = top + rowPx - seen;
}
