/** The tree of an invocation as the rows of the timeline, from top to bottom. */

import type { Attempt, Entry } from "../api/types";
import type { Branch, Shown } from "../state/tree";
import { at } from "./format";
import { isCancellation, isPoint, type Kind, kindOf } from "./kinds";
import type { Stretch } from "./scale";

const DEPTH_MAX = 16;
/** What unfolds; other entries that are about an invocation only name it. */
const CALLS: ReadonlySet<Entry["type"]> = new Set(["call", "send", "attach", "output_get"]);

export interface LaneRow {
  type: "lane";
  key: string;
  depth: number;
  branch: Branch;
}

export interface EntryRow {
  type: "entry";
  key: string;
  depth: number;
  branch: Branch;
  entry: Entry;
  kind: Kind;
  /** The invocation below it that can be shown; null: there is none. */
  callee: string | null;
  unfolded: boolean;
}

export interface NoteRow {
  type: "note";
  key: string;
  depth: number;
  text: string;
}

export type Row = LaneRow | EntryRow | NoteRow;

/** Where a row is: the invocation's id and the entry's index in its journal. */
export const entryKey = (invocation: string, index: number): string => `${invocation}:${index}`;

export function rowsOf(shown: Shown, opened: ReadonlySet<string>, hidden: ReadonlySet<Kind>): Row[] {
  const rows: Row[] = [];
  const walk = (id: string, depth: number, above: readonly string[]): void => {
    const branch = shown.branches.get(id);
    if (branch === undefined) return;
    rows.push({ type: "lane", key: id, depth, branch });
    if (branch.state !== "ready") {
      const text = branch.state === "failed" ? branch.error : "Loading…";
      rows.push({ type: "note", key: `${id}:note`, depth: depth + 1, text });
      return;
    }
    for (const entry of [...branch.entries, ...unseenApprovals(branch)].sort(earlierFirst)) {
      const kind = kindOf(entry);
      if (hidden.has(kind)) continue;
      const key = entryKey(id, entry.index);
      const callee = CALLS.has(entry.type) ? (entry.callee?.id ?? null) : null;
      const deeper = callee !== null && !above.includes(callee) && depth < DEPTH_MAX ? callee : null;
      const unfolded = deeper !== null && opened.has(key);
      rows.push({ type: "entry", key, depth: depth + 1, branch, entry, kind, callee: deeper, unfolded });
      if (unfolded) walk(deeper, depth + 2, [...above, deeper]);
    }
  };
  walk(shown.root, 0, [shown.root]);
  return rows;
}

/** What a handler waits for has no place in the journal, only an index behind all others. */
function earlierFirst(a: Entry, b: Entry): number {
  const from = beginning(a);
  const other = beginning(b);
  return from < other ? -1 : from > other ? 1 : a.index - b.index;
}

function beginning(entry: Entry): string {
  return isCancellation(entry) && entry.completed_at !== null ? entry.completed_at : entry.started_at;
}

/** Where the entries of awakeables and signals begin, which have no place in the journal. */
const SIGNALS_FROM = 1 << 20;

/** The journal index of an entry; null for those that have none. */
export function journalIndex(entry: Entry): number | null {
  return entry.index < SIGNALS_FROM ? entry.index : null;
}

/**
 * Approvals asked for in an attempt that is still connected: the server may not hear what a handler waits for before
 * it suspends, but the step that asked has said it already.
 */
function unseenApprovals(branch: Branch): Entry[] {
  if (branch.summary === null || branch.summary.completed_at !== null) return [];
  const unseen: Entry[] = [];
  for (const step of branch.entries) {
    const id = step.metadata?.kind === "approval" ? step.metadata.awakeable_id : null;
    if (typeof id !== "string" || step.state !== "done") continue;
    if (branch.entries.some((entry) => entry.awakeable_id === id)) continue;
    const signal = signalOf(id);
    if (signal === null) continue;
    unseen.push({
      ...step,
      index: SIGNALS_FROM + signal,
      type: "awakeable",
      name: null,
      completed_at: null,
      state: "pending",
      value: null,
      metadata: null,
      awakeable_id: id,
      retries: [],
    });
  }
  return unseen;
}

/** The number at the end of an awakeable's id. */
function signalOf(awakeable: string): number | null {
  const found = /^sign_1([\w-]+)$/.exec(awakeable);
  if (found === null) return null;
  try {
    const bytes = atob((found[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    let signal = 0;
    for (const byte of bytes.slice(-4)) signal = signal * 256 + byte.charCodeAt(0);
    return bytes.length > 4 ? signal : null;
  } catch {
    return null;
  }
}

export function kindCounts(shown: Shown): Map<Kind, number> {
  const counts = new Map<Kind, number>();
  for (const branch of shown.branches.values()) {
    for (const entry of branch.entries) {
      const kind = kindOf(entry);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  }
  return counts;
}

/** When anything of the tree was running, `now` for what still is. */
export function busyStretches(shown: Shown, now: number): Stretch[] {
  const busy: Stretch[] = [];
  for (const branch of shown.branches.values()) {
    for (const attempt of branch.attempts) {
      busy.push({ from: at(attempt.started_at), to: attempt.ended_at === null ? now : at(attempt.ended_at) });
    }
  }
  return busy;
}

/** From the root's creation to the last thing that is known to have happened; null: nothing is known yet. */
export function knownStretch(shown: Shown): Stretch | null {
  const root = shown.branches.get(shown.root);
  if (root?.summary === undefined || root.summary === null) return null;
  const from = Math.min(
    at(root.summary.created_at),
    ...root.attempts.slice(0, 1).map((attempt) => at(attempt.started_at)),
    ...root.entries.slice(0, 1).map((entry) => instantsOf(entry).from),
  );
  let to = root.summary.completed_at === null ? from : at(root.summary.completed_at);
  for (const branch of shown.branches.values()) {
    for (const attempt of branch.attempts) to = Math.max(to, at(attempt.ended_at ?? attempt.started_at));
    for (const entry of branch.entries) {
      const instants = instantsOf(entry);
      to = Math.max(to, instants.to ?? instants.from);
    }
  }
  return { from, to: Math.max(to, from + 1) };
}

interface Instants {
  from: number;
  /** Null: it is not complete. */
  to: number | null;
}

/** Read from text once: a growing timeline asks for those of thousands of entries ten times a second. */
const instantsKnown = new WeakMap<Entry, Instants>();

function instantsOf(entry: Entry): Instants {
  const known = instantsKnown.get(entry);
  if (known !== undefined) return known;
  const to = entry.completed_at === null ? null : at(entry.completed_at);
  const read = { from: at(beginning(entry)), to };
  instantsKnown.set(entry, read);
  return read;
}

/** From its creation to its completion; what still waits goes on until its invocation's end or now. */
export function entryStretch(branch: Branch, entry: Entry, now: number): Stretch {
  const { from, to } = instantsOf(entry);
  if (isPoint(entry)) return { from, to: from };
  if (to !== null) return { from, to: Math.max(from, to) };
  const end = branch.summary?.completed_at;
  return { from, to: Math.max(from, end === null || end === undefined ? now : at(end)) };
}

/** What is not answered when its invocation ends never will be. */
export function stateOf(row: EntryRow): "pending" | "done" | "failed" | "unanswered" {
  const ended = row.branch.summary !== null && row.branch.summary.completed_at !== null;
  return row.entry.state === "pending" && ended ? "unanswered" : row.entry.state;
}

/** Of an attempt, as it is to be read: one whose handler failed for good has completed, too. */
export function outcomeOf(attempt: Attempt, branch: Branch): Attempt["outcome"] {
  const last = attempt === branch.attempts.at(-1);
  return last && attempt.outcome === "completed" && branch.summary?.status === "failed"
    ? "failed"
    : attempt.outcome;
}

/** From each failure of a step to the attempt that tries it again: nothing runs meanwhile. */
export function pausesOf(row: EntryRow, now: number): Stretch[] {
  return row.entry.retries.map((retry) => {
    const from = at(retry.at);
    const next = row.branch.attempts.find((attempt) => at(attempt.started_at) > from);
    return { from, to: next === undefined ? now : at(next.started_at) };
  });
}

/** What lies between two attempts, and why. */
export interface Gap extends Stretch {
  why: "queued" | "suspended" | "failed" | "paused";
}

export function gapsOf(branch: Branch, now: number): Gap[] {
  const { summary, attempts } = branch;
  if (summary === null) return [];
  const end = summary.completed_at === null ? now : at(summary.completed_at);
  const gaps: Gap[] = [];
  let reached = at(summary.created_at);
  let why: Gap["why"] = "queued";
  for (const attempt of attempts) {
    const from = at(attempt.started_at);
    if (from > reached) gaps.push({ from: reached, to: from, why });
    reached = Math.max(reached, attempt.ended_at === null ? end : at(attempt.ended_at));
    why = attempt.outcome === "paused" ? "paused" : attempt.outcome === "failed" ? "failed" : "suspended";
  }
  if (end > reached) gaps.push({ from: reached, to: end, why: summary.status === "paused" ? "paused" : why });
  return gaps;
}
