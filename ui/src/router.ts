/** Addresses of the UI, all under `/ui`, and moving between them without loading the page anew. */

import { computed, signal } from "@preact/signals";

export const BASE = "/ui";

const address = signal(location.pathname + location.search);

export type Page =
  | { name: "invocations" }
  | { name: "invocation"; id: string }
  | { name: "services" }
  | { name: "deployments" }
  | { name: "unknown" };

export const page = computed<Page>(() => pageOf(address.value.split("?")[0] ?? ""));
export const search = computed(() => new URLSearchParams(address.value.split("?")[1] ?? ""));

export function pageOf(path: string): Page {
  const parts = path
    .slice(BASE.length)
    .split("/")
    .filter((part) => part !== "");
  const [first, second] = parts;
  if (parts.length === 0 || (parts.length === 1 && first === "invocations")) return { name: "invocations" };
  if (parts.length === 2 && first === "invocations" && second !== undefined) {
    return { name: "invocation", id: decoded(second) };
  }
  if (parts.length === 1 && (first === "services" || first === "deployments")) return { name: first };
  return { name: "unknown" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const links = {
  invocations: (query = "") => `${BASE}/${query === "" ? "" : `?${query}`}`,
  invocation: (id: string) => `${BASE}/invocations/${encodeURIComponent(id)}`,
  services: () => `${BASE}/services`,
  deployments: () => `${BASE}/deployments`,
};

export function go(to: string, how: "push" | "replace" = "push"): void {
  if (to === location.pathname + location.search + location.hash) return;
  if (how === "push") history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  address.value = location.pathname + location.search;
}

addEventListener("popstate", () => {
  address.value = location.pathname + location.search;
});

// Links are ordinary links: copied, opened in a new tab, and only a plain click is taken over.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || link.target !== "" || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || !(to.pathname === BASE || to.pathname.startsWith(`${BASE}/`))) return;
  event.preventDefault();
  go(to.pathname + to.search + to.hash);
  scrollTo(0, 0);
});
