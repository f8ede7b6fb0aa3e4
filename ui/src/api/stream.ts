/**
 * The one event stream of this page.
 *
 * Whoever shows something says what it watches and gets its events; one connection at a time serves the newest
 * wish, since browsers allow a handful of connections to a server, over all tabs. For the same reason a tab
 * nobody looks at lets go of it.
 *
 * `onFresh` is called whenever events may have been missed: when a stream has opened for the first time or again
 * with nothing to resume from, and when the server says so. Whoever fetches on it, and takes events from then on,
 * is up to date.
 */

import { signal } from "@preact/signals";
import type { EntriesEvent, GoneEvent, Summary } from "./types";

export type Connection = "connecting" | "live" | "lost" | "resting";

/** Of the stream, for the banner and the mark in the header. */
export const connection = signal<Connection>("connecting");

export interface Watch {
  /** The query of `/events`. */
  query: string;
  onFresh(): void;
  onInvocation(summary: Summary): void;
  onEntries(event: EntriesEvent): void;
  onGone(id: string): void;
}

const REOPEN_FIRST_MS = 500;
const REOPEN_MAX_MS = 4_000;
const REST_AFTER_HIDDEN_MS = 10_000;

let watch: Watch | null = null;
let source: EventSource | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let pauseMs = REOPEN_FIRST_MS;

/** Watch this instead of what was watched so far. */
export function follow(next: Watch): () => void {
  const same = watch !== null && watch.query === next.query && source !== null;
  watch = next;
  if (same) {
    if (connection.value === "live") next.onFresh();
  } else {
    open();
  }
  return () => {
    if (watch === next) {
      watch = null;
      close();
    }
  };
}

function open(): void {
  close();
  if (watch === null) return;
  if (connection.value !== "lost") connection.value = "connecting";
  const opened = new EventSource(`/events${watch.query === "" ? "" : `?${watch.query}`}`);
  source = opened;
  let openedBefore = false;
  let resumable = false;
  opened.onopen = () => {
    if (source !== opened) return;
    const again = openedBefore;
    openedBefore = true;
    pauseMs = REOPEN_FIRST_MS;
    connection.value = "live";
    // A connection that the browser has resumed from an event's id continues, or is told `reset`.
    if (!again || !resumable) watch?.onFresh();
  };
  opened.onerror = () => {
    if (source !== opened) return;
    connection.value = "lost";
    // The browser tries again by itself after a broken connection, but not after a refusal.
    if (opened.readyState === EventSource.CLOSED || !openedBefore) reopenLater();
  };
  const on = (name: string, take: (data: string) => void): void => {
    opened.addEventListener(name, (event: MessageEvent<string>) => {
      if (source !== opened) return;
      if (event.lastEventId !== "") resumable = true;
      take(event.data);
    });
  };
  on("invocation", (data) => watch?.onInvocation(JSON.parse(data) as Summary));
  on("entries", (data) => watch?.onEntries(JSON.parse(data) as EntriesEvent));
  on("gone", (data) => watch?.onGone((JSON.parse(data) as GoneEvent).id));
  on("reset", () => watch?.onFresh());
}

function close(): void {
  clearTimeout(timer);
  timer = undefined;
  source?.close();
  source = null;
}

function reopenLater(): void {
  close();
  timer = setTimeout(open, pauseMs);
  pauseMs = Math.min(2 * pauseMs, REOPEN_MAX_MS);
}

/** Try now, not when it is due. */
export function reconnect(): void {
  pauseMs = REOPEN_FIRST_MS;
  open();
}

document.addEventListener("visibilitychange", () => {
  if (watch === null) return;
  if (document.visibilityState === "hidden") {
    clearTimeout(timer);
    timer = setTimeout(() => {
      close();
      connection.value = "resting";
    }, REST_AFTER_HIDDEN_MS);
  } else if (source === null) {
    reconnect();
  } else {
    clearTimeout(timer);
  }
});
