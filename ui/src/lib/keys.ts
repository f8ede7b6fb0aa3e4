/** Keys for the whole page, which do nothing while somebody types or a dialog asks. */

import { useEffect, useRef } from "preact/hooks";

export function useKeys(take: (key: string, event: KeyboardEvent) => boolean): void {
  // Keys come faster than effects run: the newest function is taken as soon as it is rendered.
  const latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target;
      if (target instanceof HTMLElement) {
        if (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
        const pressed = event.key === "Enter" || event.key === " ";
        if (pressed && target.closest("button, a, summary") !== null) return;
      }
      if (document.querySelector("dialog[open]") !== null) return;
      if (latest.current(event.key, event)) event.preventDefault();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
}
