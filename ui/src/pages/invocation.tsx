/** One invocation: what it is, what can be done with it, its timeline, and what is selected in it. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { CopyButton, Empty, StatusMark } from "../components/basics";
import { Icon } from "../components/icon";
import { Actions } from "../detail/actions";
import { Facts, FailureCallout, GoneCallout } from "../detail/header";
import { DetailPanel } from "../detail/panel";
import type { Kind } from "../lib/kinds";
import { phone } from "../lib/phone";
import { type Row, rowsOf } from "../lib/rows";
import { go, links, search } from "../router";
import { InvocationTree } from "../state/tree";
import { TimelineView } from "../timeline/view";
import { Target } from "./invocations";

export function InvocationPage({ id }: { id: string }) {
  const tree = useMemo(() => new InvocationTree(id), [id]);
  useEffect(() => tree.start(), [tree]);
  const [hidden, setHidden] = useState<ReadonlySet<Kind>>(new Set());
  const shown = tree.shown.value;
  const unfolded = tree.unfolded.value;
  const rows = useMemo(() => rowsOf(shown, unfolded, hidden), [shown, unfolded, hidden]);
  const root = shown.branches.get(id);
  const summary = root?.summary ?? null;
  const title = summary?.target ?? id;
  useEffect(() => {
    document.title = `${title} · Holdfast`;
  }, [title]);

  const selected = search.value.get("at");
  const select = (key: string | null): void => {
    const address = links.invocation(id);
    go(
      key === null || key === id ? address : `${address}?${new URLSearchParams({ at: shortKey(id, key) })}`,
      // On a phone details are a page of their own, which the way back leads out of.
      phone.value && key !== null && selected === null ? "push" : "replace",
    );
  };
  const chosen = useMemo(
    () => rows.find((row) => row.key === longKey(id, selected)) ?? null,
    [rows, id, selected],
  );

  // On a phone the invocation's own details are not there until its row is touched.
  const [opened, setOpened] = useState(false);
  const open = opened || selected !== null;
  const onSelect = (row: Row | null): void => {
    setOpened(row?.key === id);
    select(row?.key ?? null);
  };

  if (root?.state === "failed") {
    return (
      <div class="page">
        <Empty icon="search" title={root.missing ? "No such invocation" : "The server does not answer"}>
          <p>{root.error}</p>
          <p class="mono">{id}</p>
          <p>Completed invocations are kept as long as their service retains them.</p>
          <a class="button" href={links.invocations()}>
            All invocations
          </a>
        </Empty>
      </div>
    );
  }
  return (
    <div class="page invocation-page">
      <header class="invocation-head">
        <div class="invocation-title">
          <a
            class="icon-button"
            href={links.invocations()}
            aria-label="All invocations"
            title="All invocations"
          >
            <Icon name="back" />
          </a>
          <h1 class="target">{summary === null ? "…" : <Target row={summary} />}</h1>
          {summary !== null && root?.gone !== true && <StatusMark status={summary.status} large />}
          <span class="mono quiet invocation-id" title={id}>
            {id}
          </span>
          <CopyButton text={id} what="id" />
          {summary !== null && root?.gone !== true && (
            <Actions summary={summary} onDone={() => tree.refresh()} />
          )}
        </div>
        {summary !== null && <Facts summary={summary} attempts={root?.attempts ?? []} />}
        {root?.gone === true && <GoneCallout />}
        {summary !== null && (
          <FailureCallout summary={summary} onShow={(index) => select(`${id}:${index}`)} />
        )}
      </header>
      <div class="workspace">
        <TimelineView
          tree={tree}
          rows={rows}
          hidden={hidden}
          onHide={setHidden}
          selected={phone.value && !open ? null : (chosen?.key ?? null)}
          onSelect={onSelect}
        />
        {root !== undefined && (
          <DetailPanel
            row={chosen ?? rows[0] ?? null}
            open={open}
            onClose={selected === null && !(opened && phone.value) ? null : () => onSelect(null)}
          />
        )}
      </div>
    </div>
  );
}

/** In the address, entries of the page's own invocation are their index alone. */
function shortKey(root: string, key: string): string {
  return key.startsWith(`${root}:`) ? key.slice(root.length + 1) : key;
}

function longKey(root: string, key: string | null): string {
  if (key === null) return root;
  return /^\d+$/.test(key) ? `${root}:${key}` : key;
}
