/** One row of the timeline: a name in the tree and what happened on the axis. */

import type { ComponentChildren } from "preact";
import { StatusMark } from "../components/basics";
import { Icon } from "../components/icon";
import { approvalOf } from "../detail/resolve";
import { at, clockTime, coarse, duration, shortCount } from "../lib/format";
import { isPoint, isWaitingForAnswer, wordsOf } from "../lib/kinds";
import { memo } from "../lib/memo";
import {
  type EntryRow,
  entryStretch,
  gapsOf,
  type LaneRow,
  outcomeOf,
  pausesOf,
  type Row,
  stateOf,
} from "../lib/rows";
import type { Scale } from "../lib/scale";

const INDENT_PX = 16;
const PHONE_INDENT_PX = 12;
const BAR_MIN_PX = 3;
const WAKE_WORDS_PX = 64;
const OUTSIDE_PX = 200;

interface Drawing {
  scale: Scale;
  margin: number;
  axisWidth: number;
  now: number;
}

interface RowProps extends Drawing {
  row: Row;
  id: string;
  index: number;
  top: number;
  /** 0: the name stands above what it names. */
  nameWidth: number;
  selected: boolean;
  onSelect: (row: Row) => void;
  onToggle: (row: Row) => void;
}

export const RowView = memo((props: RowProps) => {
  const { row, scale, margin, axisWidth, now } = props;
  const drawing: Drawing = { scale, margin, axisWidth, now };
  const expandable = row.type === "entry" && row.callee !== null;
  return (
    <div
      role="row"
      id={props.id}
      class={`row row-${row.type}${props.selected ? " row-selected" : ""}`}
      aria-level={row.depth + 1}
      aria-selected={props.selected}
      aria-rowindex={props.index + 1}
      aria-expanded={expandable ? row.unfolded : undefined}
      data-key={row.key}
      data-state={
        row.type === "entry" ? stateOf(row) : row.type === "lane" ? row.branch.summary?.status : undefined
      }
      style={{ transform: `translateY(${props.top}px)` }}
      onClick={() => props.onSelect(row)}
      onDblClick={() => props.onToggle(row)}
    >
      <span
        role="rowheader"
        class="row-name"
        style={
          props.nameWidth > 0
            ? { width: `${props.nameWidth}px`, paddingLeft: `${10 + row.depth * INDENT_PX}px` }
            : { paddingLeft: `${12 + Math.max(row.depth - 1, 0) * PHONE_INDENT_PX}px` }
        }
      >
        <Name row={row} onToggle={() => props.onToggle(row)} />
      </span>
      <span role="gridcell" class="row-chart">
        {row.type === "entry" && <EntryBar {...drawing} row={row} />}
        {row.type === "lane" && <Lane {...drawing} row={row} />}
      </span>
    </div>
  );
});

function Name({ row, onToggle }: { row: Row; onToggle: () => void }) {
  if (row.type === "note") return <span class="quiet">{row.text}</span>;
  if (row.type === "lane") {
    return (
      <>
        <span class="fold-space" />
        <span class="kind-icon">
          <Icon name="invocation" size={14} />
        </span>
        <span class="row-label strong">{row.branch.summary?.target ?? "…"}</span>
        {row.depth > 0 && row.branch.summary !== null && <StatusMark status={row.branch.summary.status} />}
      </>
    );
  }
  const { entry, kind } = row;
  const approval = entry.type === "awakeable" ? approvalOf(entry, row.branch.entries) : null;
  const { verb, name } = approval === null ? wordsOf(entry) : { verb: "", name: approval.title };
  const metadata = entry.metadata;
  return (
    <>
      {row.callee === null ? (
        <span class="fold-space" />
      ) : (
        <button
          type="button"
          class={`fold${row.unfolded ? " fold-open" : ""}`}
          tabIndex={-1}
          aria-label={row.unfolded ? "Fold away" : "Unfold"}
          onClick={(event) => {
            event.stopPropagation();
            onToggle();
          }}
        >
          <Icon name="chevron" size={13} />
        </button>
      )}
      <span class={`kind-icon kind-${kind}`}>
        <Icon name={kind} size={14} />
      </span>
      <span
        class={`row-label${entry.state === "failed" ? " failed" : ""}`}
        title={name === "" ? verb : `${verb} ${name}`}
      >
        {name === "" ? (
          <span>{verb}</span>
        ) : (
          (kind === "wait" || kind === "state" || kind === "send") && <span class="quiet">{verb} </span>
        )}
        {name}
      </span>
      {isWaitingForAnswer(entry) && row.branch.summary?.completed_at === null && (
        <span class="answer-tag">answer</span>
      )}
      {entry.retries.length > 0 && (
        <span class="retry-tag num" title={`failed ${entry.retries.length} times`}>
          {entry.retries.length}×
        </span>
      )}
      {metadata?.kind === "model" && typeof metadata.tokens_in === "number" && (
        <span class="row-tokens num" title="tokens in and out">
          {shortCount(metadata.tokens_in)}→{shortCount(Number(metadata.tokens_out ?? 0))}
        </span>
      )}
    </>
  );
}

function EntryBar({ row, scale, margin, axisWidth, now }: Drawing & { row: EntryRow }) {
  const { entry, branch, kind } = row;
  const stretch = entryStretch(branch, entry, now);
  const from = scale.x(stretch.from);
  const to = scale.x(stretch.to);
  if (to < -OUTSIDE_PX || from > axisWidth + OUTSIDE_PX) return null;
  const title = `${clockTime(stretch.from)}, ${duration(stretch.to - stretch.from)}`;
  const marks: ComponentChildren = entry.retries.map((retry, index) => (
    <span
      key={index}
      class="retry-mark"
      title={`${clockTime(at(retry.at))}: ${retry.message}`}
      style={{ left: `${margin + scale.x(at(retry.at))}px` }}
    />
  ));
  if (isPoint(entry)) {
    const point = (
      <span
        class={`point kind-${kind}${entry.state === "failed" ? " point-failed" : ""}`}
        title={title}
        style={{ left: `${margin + from}px` }}
      />
    );
    return (
      <>
        {point}
        {marks}
      </>
    );
  }
  const left = Math.max(from, -margin);
  const width = Math.max(Math.min(to, axisWidth + OUTSIDE_PX) - left, BAR_MIN_PX);
  const pending = entry.state === "pending" && branch.summary?.completed_at === null;
  return (
    <>
      <span
        class={`bar kind-${kind} bar-${stateOf(row)}${pending ? " bar-growing" : ""}`}
        title={title}
        style={{ left: `${margin + left}px`, width: `${width}px` }}
      >
        {pending && entry.wake_at !== null && at(entry.wake_at) > now && width > WAKE_WORDS_PX && (
          <span class="bar-inside num">{coarse(at(entry.wake_at) - now)} left</span>
        )}
      </span>
      {pausesOf(row, now).map((pause) => {
        const start = Math.max(scale.x(pause.from), left);
        return (
          <span
            key={pause.from}
            class="bar-pause"
            style={{ left: `${margin + start}px`, width: `${Math.max(scale.x(pause.to) - start, 0)}px` }}
          />
        );
      })}
      {marks}
      <span class="bar-words num" style={{ left: `${margin + left + width + 6}px` }}>
        {duration(stretch.to - stretch.from)}
      </span>
    </>
  );
}

function Lane({ row, scale, margin, axisWidth, now }: Drawing & { row: LaneRow }) {
  const { branch } = row;
  let drawnTo = Number.NEGATIVE_INFINITY;
  const seen = (from: number, to: number): boolean => to > -margin && from < axisWidth + OUTSIDE_PX;
  const end = branch.summary?.completed_at;
  const until = end === null || end === undefined ? now : at(end);
  return (
    <>
      {gapsOf(branch, until).map((gap) => {
        const from = scale.x(gap.from);
        const to = scale.x(gap.to);
        if (!seen(from, to) || to - from < 1) return null;
        return (
          <span
            key={gap.from}
            class={`lane-gap lane-gap-${gap.why}`}
            title={`${GAP_WORDS[gap.why]} ${duration(gap.to - gap.from)}`}
            style={{ left: `${margin + from}px`, width: `${to - from}px` }}
          />
        );
      })}
      {branch.attempts.map((attempt) => {
        const from = scale.x(at(attempt.started_at));
        const to = scale.x(attempt.ended_at === null ? until : at(attempt.ended_at));
        const width = Math.max(to - from, BAR_MIN_PX);
        // Thousands of attempts are no more pixels than fit.
        if (!seen(from, to) || (from + width <= drawnTo && attempt.error === null)) return null;
        drawnTo = Math.max(drawnTo, from + width);
        const error = attempt.error === null ? "" : `: ${attempt.error.message}`;
        const outcome = outcomeOf(attempt, branch);
        return (
          <span
            key={attempt.number}
            class={`lane-bar lane-${outcome}`}
            title={`attempt ${attempt.number}, ${outcome}${error}`}
            style={{ left: `${margin + from}px`, width: `${width}px` }}
          />
        );
      })}
      <span class="bar-words num" style={{ left: `${margin + Math.max(scale.x(until), 0) + 6}px` }}>
        {branch.summary !== null && duration(until - at(branch.summary.created_at))}
      </span>
    </>
  );
}

const GAP_WORDS = {
  queued: "waited to start for",
  suspended: "suspended for",
  failed: "backing off for",
  paused: "paused for",
};
