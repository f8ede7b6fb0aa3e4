/**
 * The list of invocations: a page of them fetched, then kept up to date by events.
 *
 * The stream is not asked to filter by status: an invocation that leaves the status looked at must leave the list,
 * and would otherwise never be heard of again.
 */

import { batch, signal } from "@preact/signals";
import { ApiError, api, messageOf } from "../api/client";
import { follow } from "../api/stream";
import type { InvocationPage, Summary } from "../api/types";
import { type Filters, filterParameters, matches } from "../lib/filters";

const PAGE_ROWS = 100;
export const ROWS_MAX = 2_000;
const REFETCH_PAUSE_MS = 1_000;
/** A filter that matches little gives short pages: so many are asked for at once before somebody asks for more. */
const SHORT_PAGES_MAX = 8;
const ENOUGH_ROWS = 40;

export class InvocationList {
  readonly rows = signal<Summary[]>([]);
  readonly state = signal<"loading" | "ready" | "failed">("loading");
  readonly error = signal("");
  /** There are older ones to be fetched. */
  readonly more = signal(false);
  readonly loadingMore = signal(false);
  /** New ones that are not shown yet because somebody reads further down. */
  readonly heldBack = signal(0);

  private next: string | null = null;
  /** By event, since the rows were last put together; null: it is gone. */
  private readonly arrived = new Map<string, Summary | null>();
  private held = new Map<string, Summary>();
  private frame = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private started = false;
  private generation = 0;
  /** What came by event while a page is under way, which may be older. */
  private meanwhile: Map<string, Summary | null> | null = null;
  private holding = false;
  /** What is gone since older ones were asked for: the answer may still have it. */
  private readonly unwanted = new Set<string>();

  /** `before` is what was shown until now: what of it still matches is shown while the answer is awaited. */
  constructor(
    private readonly filters: Filters,
    before: readonly Summary[],
  ) {
    this.rows.value = before.filter((row) => matches(row, filters));
  }

  /** Fetch and listen, until the returned function is called. */
  start(): () => void {
    this.started = true;
    const query = filterParameters({ ...this.filters, status: [], id: "" }).toString();
    const stop = follow({
      query,
      onFresh: () => void this.refresh(),
      onInvocation: (summary) => this.take(summary.id, summary),
      onGone: (id) => this.take(id, null),
      onEntries: () => undefined,
    });
    // The list is there even when no stream can be had.
    void this.refresh();
    return () => {
      stop();
      this.started = false;
      this.generation += 1;
      cancelAnimationFrame(this.frame);
      clearTimeout(this.retry);
    };
  }

  async refresh(): Promise<void> {
    clearTimeout(this.retry);
    this.generation += 1;
    const generation = this.generation;
    const meanwhile = new Map<string, Summary | null>();
    this.meanwhile = meanwhile;
    try {
      const page = await this.page(null);
      if (generation !== this.generation) {
        // Events that the answer does not know of may have come: the next one, already asked for, has them. Until
        // then this is more than nothing.
        if (this.started && this.state.peek() === "loading") this.rows.value = page.invocations;
        return;
      }
      this.meanwhile = null;
      batch(() => {
        this.next = page.next;
        this.rows.value = page.invocations;
        this.more.value = page.next !== null;
        this.state.value = "ready";
        this.error.value = "";
        this.held.clear();
        this.heldBack.value = 0;
      });
      for (const [id, summary] of meanwhile) {
        const fetched = page.invocations.find((row) => row.id === id);
        const newer = summary === null || fetched === undefined || summary.modified_at >= fetched.modified_at;
        if (newer) this.take(id, summary);
      }
    } catch (error) {
      if (generation !== this.generation) return;
      this.error.value = messageOf(error);
      this.state.value = "failed";
      if (error instanceof ApiError && (error.status === 0 || error.status >= 500)) {
        this.retry = setTimeout(() => void this.refresh(), REFETCH_PAUSE_MS);
      }
    }
  }

  private async page(before: string | null): Promise<InvocationPage> {
    const whole: InvocationPage = { invocations: [], next: before };
    for (let pages = 0; pages < SHORT_PAGES_MAX; pages += 1) {
      const page = await api.invocations(this.filters, PAGE_ROWS, whole.next);
      whole.invocations.push(...page.invocations);
      whole.next = page.next;
      if (page.next === null || whole.invocations.length >= ENOUGH_ROWS) break;
    }
    return whole;
  }

  async loadMore(): Promise<void> {
    if (this.next === null || this.loadingMore.value) return;
    this.loadingMore.value = true;
    const generation = this.generation;
    try {
      const page = await this.page(this.next);
      if (generation !== this.generation) return;
      this.next = page.next;
      const known = new Set([...this.unwanted, ...this.rows.value.map((row) => row.id)]);
      this.put([...this.rows.value, ...page.invocations.filter((row) => !known.has(row.id))]);
    } catch (error) {
      this.error.value = messageOf(error);
    } finally {
      this.loadingMore.value = false;
      this.unwanted.clear();
    }
  }

  /** While somebody reads further down, new rows wait, so that nothing moves under the pointer. */
  hold(holding: boolean): void {
    this.holding = holding;
    if (!holding) this.showHeld();
  }

  showHeld(): void {
    if (this.held.size === 0) return;
    const added = [...this.held.values()];
    this.held = new Map();
    this.heldBack.value = 0;
    this.put([...added, ...this.rows.value]);
  }

  private take(id: string, summary: Summary | null): void {
    this.meanwhile?.set(id, summary);
    if (summary === null && this.loadingMore.peek()) this.unwanted.add(id);
    this.arrived.set(id, summary);
    if (this.frame === 0) this.frame = requestAnimationFrame(() => this.merge());
  }

  private merge(): void {
    this.frame = 0;
    if (this.state.value !== "ready") {
      this.arrived.clear();
      return;
    }
    const rows: Summary[] = [];
    for (const row of this.rows.value) {
      const changed = this.arrived.get(row.id);
      if (changed === undefined) rows.push(row);
      else if (changed !== null && matches(changed, this.filters)) rows.push(changed);
      this.arrived.delete(row.id);
    }
    const oldest = rows.at(-1);
    for (const [id, summary] of this.arrived) {
      if (summary === null || !matches(summary, this.filters)) {
        this.held.delete(id);
        continue;
      }
      // Older than all that is shown while there is more to fetch: its place is on a page not fetched yet.
      const beyond = this.next !== null && oldest !== undefined && newestFirst(summary, oldest) > 0;
      if (this.holding && !beyond) this.held.set(id, summary);
      else if (!beyond) rows.push(summary);
    }
    this.arrived.clear();
    this.put(rows);
  }

  private put(rows: Summary[]): void {
    rows.sort(newestFirst);
    batch(() => {
      if (rows.length > ROWS_MAX) {
        rows.length = ROWS_MAX;
        this.next = null;
      }
      this.rows.value = rows;
      this.more.value = this.next !== null;
      this.heldBack.value = this.held.size;
    });
  }
}

/** By text: the server writes instants in one form, and a busy list is sorted often. */
function newestFirst(a: Summary, b: Summary): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : -1;
}
