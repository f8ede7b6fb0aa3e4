/** All invocations, newest first, live. Its filters are in the address. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import type { Service, Summary } from "../api/types";
import {
  Ago,
  CopyButton,
  Empty,
  Lasting,
  Notice,
  STATUSES,
  StatusMark,
  statusWord,
} from "../components/basics";
import { Icon } from "../components/icon";
import { type Filters, filterParameters } from "../lib/filters";
import { count, plural, shortCount, shortId } from "../lib/format";
import { useKeys } from "../lib/keys";
import { memo } from "../lib/memo";
import { phone } from "../lib/phone";
import { reveal, useVisible } from "../lib/virtual";
import { go, links, search } from "../router";
import { InvocationList, ROWS_MAX } from "../state/list";

/** As in the styles. */
const ROW_PX = 36;
const PHONE_ROW_PX = 64;
const TYPING_PAUSE_MS = 250;

function filtersOf(parameters: URLSearchParams): Filters {
  const status = (parameters.get("status") ?? "").split(",").filter((word) => word !== "");
  const text = (name: string): string => parameters.get(name) ?? "";
  return { status, service: text("service"), handler: text("handler"), key: text("key"), id: text("id") };
}

export function InvocationsPage() {
  const query = search.value.toString();
  const filters = useMemo(() => filtersOf(new URLSearchParams(query)), [query]);
  const before = useRef<InvocationList | null>(null);
  const list = useMemo(() => new InvocationList(filters, before.current?.rows.peek() ?? []), [filters]);
  before.current = list;
  useEffect(() => list.start(), [list]);
  useEffect(() => {
    document.title = "Invocations · Holdfast";
  }, []);
  const filtered = filterParameters(filters).size > 0;
  return (
    <div class="page list-page">
      <h1 class="sr-only">Invocations</h1>
      <FilterBar filters={filters} />
      {list.error.value !== "" && list.state.value === "failed" && (
        <Notice kind="error">{list.error.value}</Notice>
      )}
      <Rows list={list} filtered={filtered} />
    </div>
  );
}

function setFilters(filters: Filters): void {
  go(links.invocations(filterParameters(filters).toString()), "replace");
}

function FilterBar({ filters }: { filters: Filters }) {
  const [services, setServices] = useState<Service[]>([]);
  const first = useRef<HTMLInputElement>(null);
  // On a phone the fields are out of sight until they are asked for.
  const [open, setOpen] = useState(false);
  const fields = filterParameters({ ...filters, status: [] }).size;
  useEffect(() => {
    api.services().then(setServices, () => undefined);
  }, []);
  useKeys((key) => {
    if (key !== "/") return false;
    first.current?.focus();
    first.current?.select();
    return true;
  });
  const toggle = (status: string): void => {
    const chosen = filters.status.includes(status)
      ? filters.status.filter((other) => other !== status)
      : [...filters.status, status];
    setFilters({ ...filters, status: chosen });
  };
  const handlers = services
    .filter((service) => filters.service === "" || service.name === filters.service)
    .flatMap((service) => service.handlers.map((handler) => handler.name));
  return (
    <search class={open ? "filters filters-open" : "filters"}>
      <div class="filter-fields">
        <FilterField
          name="service"
          value={filters.service}
          options={services.map((service) => service.name)}
          input={first}
          hint="/"
          onChange={(service) => setFilters({ ...filters, service })}
        />
        <FilterField
          name="handler"
          value={filters.handler}
          options={[...new Set(handlers)]}
          onChange={(handler) => setFilters({ ...filters, handler })}
        />
        <FilterField name="key" value={filters.key} onChange={(key) => setFilters({ ...filters, key })} />
        <FilterField name="id" wide value={filters.id} onChange={(id) => setFilters({ ...filters, id })} />
        {filterParameters(filters).size > 0 && (
          <button
            type="button"
            class="button button-quiet"
            onClick={() => go(links.invocations(), "replace")}
          >
            <Icon name="close" size={13} /> Clear
          </button>
        )}
      </div>
      <fieldset class="chips">
        <legend class="sr-only">Status</legend>
        <button
          type="button"
          class="chip chip-filter"
          aria-expanded={open}
          aria-pressed={fields > 0}
          onClick={() => setOpen(!open)}
        >
          <Icon name="filter" size={14} />
          Filter{fields > 0 && ` · ${fields}`}
        </button>
        {STATUSES.map((status) => (
          <button
            key={status}
            type="button"
            class={`chip status-${status}`}
            aria-pressed={filters.status.includes(status)}
            onClick={() => toggle(status)}
          >
            <span class="status-dot" aria-hidden="true" />
            {statusWord(status)}
          </button>
        ))}
      </fieldset>
    </search>
  );
}

function FilterField(props: {
  name: string;
  value: string;
  options?: string[];
  wide?: boolean;
  hint?: string;
  input?: preact.RefObject<HTMLInputElement | null>;
  onChange: (value: string) => void;
}) {
  const [text, setText] = useState(props.value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setText(props.value), [props.value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const change = (value: string, pause: number): void => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      if (value.trim() !== props.value) props.onChange(value.trim());
    }, pause);
  };
  const listId = props.options === undefined ? undefined : `options-${props.name}`;
  return (
    <label class={`field${props.wide === true ? " field-wide" : ""}`}>
      <span class="field-name">{props.name}</span>
      <input
        ref={props.input ?? null}
        class="field-input"
        name={props.name}
        value={text}
        list={listId}
        placeholder="any"
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => {
          setText(event.currentTarget.value);
          change(event.currentTarget.value, TYPING_PAUSE_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") change(event.currentTarget.value, 0);
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      {props.hint !== undefined && <kbd class="field-hint">{props.hint}</kbd>}
      {props.options !== undefined && (
        <datalist id={listId}>
          {props.options.map((option) => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
    </label>
  );
}

function Rows({ list, filtered }: { list: InvocationList; filtered: boolean }) {
  const container = useRef<HTMLDivElement>(null);
  const rows = list.rows.value;
  const [chosen, setChosen] = useState<string | null>(null);
  const rowPx = phone.value ? PHONE_ROW_PX : ROW_PX;
  const visible = useVisible(container, rows.length, rowPx);
  const { scrolled } = visible;
  useEffect(() => list.hold(scrolled), [list, scrolled]);
  const index = rows.findIndex((row) => row.id === chosen);

  const near = rows.length - visible.end < 20;
  useEffect(() => {
    if (near && scrolled && list.more.value) void list.loadMore();
  }, [near, scrolled, list, list.more.value]);

  useKeys((key) => {
    const step = key === "j" || key === "ArrowDown" ? 1 : key === "k" || key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && rows.length > 0) {
      const next = index < 0 ? 0 : Math.min(Math.max(index + step, 0), rows.length - 1);
      setChosen(rows[next]?.id ?? null);
      if (container.current !== null) reveal(container.current, next, rowPx, 0);
      return true;
    }
    if (key === "Enter" && index >= 0) {
      go(links.invocation(rows[index]?.id ?? ""));
      return true;
    }
    if (key === "Escape" && chosen !== null) {
      setChosen(null);
      return true;
    }
    return false;
  });

  if (list.state.value === "ready" && rows.length === 0) return <NothingHere filtered={filtered} />;
  return (
    <div class="grid" role="grid" aria-label="Invocations" aria-rowcount={rows.length} tabIndex={-1}>
      <div class="grid-head list-columns" role="row">
        {["Status", "Target", "Id", "Created", "Duration", "Retries", "Tokens"].map((name) => (
          <span key={name} role="columnheader" class={`col-${name.toLowerCase()}`}>
            {name}
          </span>
        ))}
      </div>
      {list.heldBack.value > 0 && (
        <button
          type="button"
          class="new-rows"
          onClick={() => {
            list.showHeld();
            container.current?.scrollTo({ top: 0 });
          }}
        >
          {plural(list.heldBack.value, "new invocation")}
        </button>
      )}
      <div class="grid-body" ref={container} role="rowgroup">
        {list.state.value === "loading" && rows.length === 0 && <Skeleton />}
        <div class="grid-rows" style={{ height: `${rows.length * rowPx}px` }}>
          {rows.slice(visible.first, visible.end).map((row, offset) => (
            <ListRow
              key={row.id}
              row={row}
              index={visible.first + offset}
              top={(visible.first + offset) * rowPx}
              chosen={row.id === chosen}
            />
          ))}
        </div>
        {rows.length > 0 && (
          <p class="grid-foot">
            {list.loadingMore.value
              ? "Loading older ones…"
              : list.more.value
                ? ""
                : rows.length >= ROWS_MAX
                  ? `The newest ${count(ROWS_MAX)} are shown; filter to see others.`
                  : plural(rows.length, "invocation")}
          </p>
        )}
      </div>
    </div>
  );
}

const ListRow = memo((props: { row: Summary; index: number; top: number; chosen: boolean }) => {
  const { row, index, chosen } = props;
  const failure = row.failure ?? (row.completed_at === null ? row.last_failure : null);
  const to = links.invocation(row.id);
  return (
    <div
      role="row"
      class={`grid-row list-columns${chosen ? " grid-row-chosen" : ""}`}
      aria-selected={chosen}
      aria-rowindex={index + 1}
      data-id={row.id}
      style={{ transform: `translateY(${props.top}px)` }}
      onClick={(event) => {
        if (event.target instanceof Element && event.target.closest("a, button") !== null) return;
        if (getSelection()?.toString() === "") go(to);
      }}
    >
      <span role="gridcell">
        <StatusMark status={row.status} />
      </span>
      <span role="gridcell" class="list-target">
        <a href={to} class="target" title={row.target}>
          <Target row={row} />
        </a>
        {failure !== null && (
          <span class="list-failure" title={failure.message}>
            {firstLine(failure.message)}
          </span>
        )}
      </span>
      <span role="gridcell" class="mono quiet list-id">
        <span title={row.id}>{shortId(row.id)}</span>
        <CopyButton text={row.id} what="id" />
      </span>
      <span role="gridcell" class="quiet num">
        <Ago time={row.created_at} />
      </span>
      <span role="gridcell" class="end">
        {row.started_at === null ? (
          <span class="faint">–</span>
        ) : (
          <Lasting from={row.started_at} to={row.completed_at} />
        )}
      </span>
      <span role="gridcell" class={`end num ${row.retry_count > 0 ? "warned" : "faint"}`}>
        {row.retry_count > 0 ? row.retry_count : "–"}
      </span>
      <span role="gridcell" class="end num">
        {row.usage === null ? (
          <span class="faint">–</span>
        ) : (
          <span title={`${plural(row.usage.model_calls, "model call")}, tokens in and out`}>
            {shortCount(row.usage.tokens_in)} <span class="faint">→</span> {shortCount(row.usage.tokens_out)}
          </span>
        )}
      </span>
    </div>
  );
});

export function Target({ row }: { row: Pick<Summary, "service" | "handler" | "key"> }) {
  return (
    <>
      <span class="target-service">{row.service}</span>
      <span class="target-slash">/</span>
      {row.key !== null && (
        <>
          <span class="target-key">{row.key}</span>
          <span class="target-slash">/</span>
        </>
      )}
      <span class="target-handler">{row.handler}</span>
    </>
  );
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

function Skeleton() {
  return (
    <div class="skeleton" aria-hidden="true">
      {[72, 58, 66, 49, 61, 70].map((width) => (
        <div key={width} class="skeleton-row">
          <span class="skeleton-bar" style={{ width: `${width}%` }} />
        </div>
      ))}
    </div>
  );
}

function NothingHere({ filtered }: { filtered: boolean }) {
  const [ingress, setIngress] = useState("http://localhost:8080/");
  const [service, setService] = useState<Service | null>(null);
  const [none, setNone] = useState(false);
  useEffect(() => {
    if (filtered) return;
    api.version().then(
      (answer) => setIngress(answer.ingress_endpoint),
      () => undefined,
    );
    api.services().then(
      (services) => {
        setService(services[0] ?? null);
        setNone(services.length === 0);
      },
      () => undefined,
    );
  }, [filtered]);
  if (filtered) {
    return (
      <Empty icon="search" title="Nothing matches these filters">
        <p>New invocations that match will appear here by themselves.</p>
        <button type="button" class="button" onClick={() => go(links.invocations(), "replace")}>
          Clear the filters
        </button>
      </Empty>
    );
  }
  if (none) {
    return (
      <Empty icon="inbox" title="No services yet">
        <p>Start some handlers and register where they listen.</p>
        <a class="button button-primary" href={links.deployments()}>
          Register a deployment
        </a>
      </Empty>
    );
  }
  const handler = service?.handlers[0]?.name ?? "handler";
  const key = service === null || service.ty === "Service" ? "" : "some-key/";
  const line = `curl ${ingress}${service?.name ?? "Service"}/${key}${handler} --json '"hello"'`;
  return (
    <Empty icon="inbox" title="No invocations yet">
      <p>Call a handler, and it will appear here while it runs:</p>
      <div class="code code-line">
        <CopyButton text={line} what="command" />
        <pre>{line}</pre>
      </div>
    </Empty>
  );
}
