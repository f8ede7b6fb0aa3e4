/** Which rows of a long list are in sight, so that only those are made. */

import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

const OVERSCAN_ROWS = 8;

export interface Visible {
  first: number;
  /** Past the last one. */
  end: number;
  /** Of the container. */
  width: number;
  /** The first row is not at the top. */
  scrolled: boolean;
}

const NOTHING_YET: Visible = { first: 0, end: 30, width: 0, scrolled: false };

/** Changes only when other rows come into sight, not with every pixel. */
export function useVisible(
  container: RefObject<HTMLElement | null>,
  count: number,
  rowPx: number,
  topPx = 0,
): Visible {
  const [box, setBox] = useState(NOTHING_YET);
  useLayoutEffect(() => {
    const element = container.current;
    if (element === null) return;
    let frame = 0;
    const measure = (): void => {
      frame = 0;
      const { scrollTop, clientHeight, clientWidth: width } = element;
      const first = Math.max(0, Math.floor((scrollTop - topPx) / rowPx) - OVERSCAN_ROWS);
      const end = Math.ceil((scrollTop + clientHeight - topPx) / rowPx) + OVERSCAN_ROWS;
      const scrolled = scrollTop > rowPx / 2;
      setBox((old) =>
        old.first === first && old.end === end && old.width === width && old.scrolled === scrolled
          ? old
          : { first, end, width, scrolled },
      );
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
  }, [container, rowPx, topPx]);
  const end = Math.min(count, box.end);
  return { ...box, first: Math.min(box.first, end), end };
}

/** Scroll so far that row `index` is in sight, `topPx` being covered by a fixed head. */
export function reveal(container: HTMLElement, index: number, rowPx: number, topPx: number): void {
  const top = index * rowPx;
  const seen = container.clientHeight - topPx;
  if (top < container.scrollTop) container.scrollTop = top;
  else if (top + rowPx > container.scrollTop + seen) container.scrollTop = top + rowPx - seen;
}
