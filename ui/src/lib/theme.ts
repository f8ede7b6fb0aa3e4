/** Light, dark, or as the system has it. `public/theme.js` applies the choice before the first paint. */

import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "holdfast.theme";

export const theme = signal<Theme>(stored());

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export function choose(next: Theme): void {
  theme.value = next;
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Then it is for this page only.
  }
}
