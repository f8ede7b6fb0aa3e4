/**
 * An invocation and the invocations it called, as far as they are unfolded: fetched, then kept up to date.
 *
 * Entries that arrive by event replace those with the same index. A fetch that was under way meanwhile may be older
 * than they are, so what arrives during a fetch is put on top of its answer.
 */

import { batch, type Signal, signal } from "@preact/signals";
import { ApiError, api, messageOf } from "../api/client";
import { follow } from "../api/stream";
import type { Attempt, EntriesEvent, Entry, Payload, Summary } from "../api/types";
import { beat, serverNow } from "../lib/clock";
import { merged } from "../lib/merge";

/** What one event stream may watch. */
export const WATCHED_MAX = 64;
const REFETCH_PAUSE_MS = 1_000;
/** Of a journal, two thousand entries each. */
const PAGES_MAX = 25;

export interface Branch {
  id: string;
  state: "loading" | "ready" | "failed";
  error: string;
  /** Nobody has it: neither a retry nor an event will change that. */
  missing: boolean;
  /** The server had it when it was fetched, and has it no longer. */
  gone: boolean;
  summary: Summary | null;
  input: Payload | null;
  output: Payload | null;
  attempts: Attempt[];
  entries: Entry[];
}

/** What happened while an invocation was being fetched. */
interface Meanwhile {
  events: EntriesEvent[];
  summary: Summary | null;
  gone: boolean;
  /** Somebody wants it as it is after this fetch began. */
  again: boolean;
}

/** The tree as it is at a moment; it and its branches never change. */
export interface Shown {
  root: string;
  branches: ReadonlyMap<string, Readonly<Branch>>;
}

export class InvocationTree {
  /** Follows whatever happens, at most once a frame. */
  readonly shown: Signal<Shown>;
  readonly unfolded = signal<ReadonlySet<string>>(new Set());

  private readonly branches = new Map<string, Branch>();
  private stopFollowing: (() => void) | null = null;
  private readonly fetching = new Map<string, Meanwhile>();
  private readonly retries = new Set<ReturnType<typeof setTimeout>>();
  private frame = 0;
  private stopped = false;

  constructor(readonly root: string) {
    this.branches.set(root, empty(root));
    this.shown = signal(this.snapshot());
  }

  start(): () => void {
    void this.fetch(this.root);
    this.watch();
    return () => {
      this.stopped = true;
      this.stopFollowing?.();
      cancelAnimationFrame(this.frame);
      for (const timer of this.retries) clearTimeout(timer);
    };
  }

  /** Show what `key` called, or fold it away; false: no more can be watched at once. */
  toggle(key: string, callee: string): boolean {
    const next = new Set(this.unfolded.value);
    if (next.delete(key)) {
      this.unfolded.value = next;
      return true;
    }
    if (!this.branches.has(callee)) {
      if (this.branches.size >= WATCHED_MAX) return false;
      this.branches.set(callee, empty(callee));
      void this.fetch(callee);
      this.watch();
    }
    next.add(key);
    batch(() => {
      this.shown.value = this.snapshot();
      this.unfolded.value = next;
    });
    return true;
  }

  refresh(id: string = this.root): void {
    void this.fetch(id);
  }

  private hasStopped(): boolean {
    return this.stopped;
  }

  private watch(): void {
    const query = new URLSearchParams([...this.branches.keys()].map((id) => ["invocation", id])).toString();
    // The next one takes over, so that there is no moment without a watcher.
    const stop = follow({
      query,
      onFresh: () => {
        for (const id of this.branches.keys()) void this.fetch(id);
      },
      onInvocation: (summary) => this.takeSummary(summary),
      onEntries: (event) => this.takeEntries(event),
      onGone: (id) => this.takeGone(id),
    });
    this.stopFollowing = stop;
  }

  private async fetch(id: string): Promise<void> {
    const branch = this.branches.get(id);
    if (branch === undefined || this.hasStopped()) return;
    const under = this.fetching.get(id);
    if (under !== undefined) {
      under.again = true;
      return;
    }
    const meanwhile: Meanwhile = { events: [], summary: null, gone: false, again: false };
    this.fetching.set(id, meanwhile);
    try {
      const timeline = await api.timeline(id, -1);
      for (let pages = 1; timeline.next !== null && pages < PAGES_MAX; pages += 1) {
        const page = await api.timeline(id, timeline.next);
        timeline.entries = merged(timeline.entries, page.entries, (entry) => entry.index);
        timeline.next = page.next;
      }
      branch.summary = newer(meanwhile.summary, timeline.invocation);
      branch.input = timeline.input;
      branch.output = timeline.output;
      branch.attempts = timeline.attempts;
      branch.entries = timeline.entries;
      branch.state = "ready";
      branch.gone = false;
      for (const event of meanwhile.events) put(branch, event);
      if (meanwhile.gone) leave(branch);
    } catch (error) {
      branch.error = messageOf(error);
      branch.missing = error instanceof ApiError && (error.status === 404 || error.status === 400);
      if (branch.missing && branch.summary !== null) leave(branch);
      else if (branch.summary === null) branch.state = "failed";
      if (!branch.missing && !this.hasStopped()) {
        const timer = setTimeout(() => {
          this.retries.delete(timer);
          void this.fetch(id);
        }, REFETCH_PAUSE_MS);
        this.retries.add(timer);
      }
    } finally {
      this.fetching.delete(id);
      this.changed();
      if (meanwhile.again && branch.state === "ready") void this.fetch(id);
    }
  }

  private takeSummary(summary: Summary): void {
    const branch = this.branches.get(summary.id);
    if (branch === undefined) return;
    const before = branch.summary;
    const under = this.fetching.get(summary.id);
    if (under !== undefined) {
      under.summary = summary;
      under.gone = false;
    }
    branch.summary = summary;
    // One of the same id that began after the other was gone has a journal of its own.
    if (branch.gone) this.refresh(summary.id);
    // Its output is in the timeline only.
    if (before !== null && before.completed_at === null && summary.completed_at !== null)
      this.refresh(summary.id);
    this.changed();
  }

  /** What was fetched stays to be read; only nothing can be done with it any more. */
  private takeGone(id: string): void {
    const branch = this.branches.get(id);
    if (branch === undefined) return;
    const under = this.fetching.get(id);
    if (under !== undefined) under.gone = true;
    leave(branch);
    this.changed();
  }

  private takeEntries(event: EntriesEvent): void {
    this.fetching.get(event.id)?.events.push(event);
    const branch = this.branches.get(event.id);
    if (branch === undefined || branch.state !== "ready") return;
    put(branch, event);
    this.changed();
  }

  private changed(): void {
    if (this.frame !== 0 || this.stopped) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      batch(() => {
        this.shown.value = this.snapshot();
        beat();
      });
    });
  }

  private snapshot(): Shown {
    const branches = new Map<string, Branch>();
    for (const [id, branch] of this.branches) branches.set(id, { ...branch });
    return { root: this.root, branches };
  }
}

function empty(id: string): Branch {
  return {
    id,
    state: "loading",
    error: "",
    missing: false,
    gone: false,
    summary: null,
    input: null,
    output: null,
    attempts: [],
    entries: [],
  };
}

/** Only what has ended is forgotten: if nobody said when, it was by now. */
function leave(branch: Branch): void {
  if (branch.summary === null) return;
  branch.gone = true;
  if (branch.summary.completed_at === null) {
    branch.summary = { ...branch.summary, completed_at: new Date(serverNow()).toISOString() };
  }
}

/** What came by event while `fetched` was under way, unless that is newer still. */
function newer(event: Summary | null, fetched: Summary): Summary {
  return event !== null && event.modified_at >= fetched.modified_at ? event : fetched;
}

function put(branch: Branch, event: EntriesEvent): void {
  branch.attempts = merged(branch.attempts, event.attempts, (attempt) => attempt.number);
  branch.entries = merged(branch.entries, event.entries, (entry) => entry.index);
}
