/** What is selected in the timeline, whole: an entry, or the invocation itself. */

import type { ComponentChildren } from "preact";
import { api } from "../api/client";
import type { Failure } from "../api/types";
import { CopyButton } from "../components/basics";
import { Icon } from "../components/icon";
import { Code, JsonCode, MaybeJson, PayloadView } from "../components/payload";
import { now } from "../lib/clock";
import { at, clockTime, count, dateTime, duration } from "../lib/format";
import { isWaitingForAnswer, KINDS, wordsOf } from "../lib/kinds";
import {
  type EntryRow,
  entryStretch,
  journalIndex,
  type LaneRow,
  outcomeOf,
  type Row,
  stateOf,
} from "../lib/rows";
import { links } from "../router";
import { Conversation } from "./conversation";
import { approvalOf, ResolveForm } from "./resolve";

const FAILURES_SHOWN = 50;
const ATTEMPTS_SHOWN = 50;

/** Beside the timeline; on a phone over it, while it is `open`. */
export function DetailPanel(props: { row: Row | null; open: boolean; onClose: (() => void) | null }) {
  const { row, open, onClose } = props;
  return (
    <aside class={open ? "detail detail-open" : "detail"} aria-label="Details">
      {row?.type === "entry" && <EntryDetail key={row.key} row={row} onClose={onClose} />}
      {row?.type === "lane" && <InvocationDetail key={row.key} row={row} onClose={onClose} />}
    </aside>
  );
}

function Head(props: { kind: string; children: ComponentChildren; onClose: (() => void) | null }) {
  return (
    <header class={`detail-head kind-${props.kind}`}>
      {props.children}
      {props.onClose !== null && (
        <button
          type="button"
          class="icon-button"
          onClick={props.onClose}
          aria-label="Close details"
          title="Close (Escape)"
        >
          <Icon name="close" size={14} />
        </button>
      )}
    </header>
  );
}

function EntryDetail({ row, onClose }: { row: EntryRow; onClose: (() => void) | null }) {
  const { entry, branch, kind } = row;
  const { verb, name } = wordsOf(entry);
  const metadata = entry.metadata;
  const isModel = metadata?.kind === "model";
  const isTool = metadata?.kind === "tool";
  return (
    <>
      <Head kind={kind} onClose={onClose}>
        <span class="kind-icon">
          <Icon name={kind} size={15} />
        </span>
        <div class="detail-title">
          <h2 title={name}>{approvalOf(entry, branch.entries)?.title ?? (name === "" ? verb : name)}</h2>
          <span class="quiet">
            {KINDS.find((candidate) => candidate.kind === kind)?.label} ·{" "}
            {journalIndex(entry) !== null && (
              <>
                entry <span class="num">{entry.index}</span> ·{" "}
              </>
            )}
            <span class={`state state-${stateOf(row)}`}>{stateOf(row)}</span>
          </span>
        </div>
      </Head>
      <div class="detail-body">
        {isWaitingForAnswer(entry) && branch.summary?.completed_at === null && (
          <ResolveForm invocation={branch.id} entry={entry} approval={approvalOf(entry, branch.entries)} />
        )}
        {entry.failure !== null && <FailureView failure={entry.failure} />}
        <Facts row={row} />
        {isTool && metadata.arguments !== undefined && metadata.arguments !== null && (
          <section class="detail-section">
            <h3>Arguments</h3>
            {typeof metadata.arguments === "string" ? (
              <MaybeJson text={metadata.arguments} label="arguments" />
            ) : (
              <JsonCode value={metadata.arguments} label="arguments" />
            )}
          </section>
        )}
        {isModel && <Conversation metadata={metadata} />}
        {entry.retries.length > 0 && <Failures failures={entry.retries} />}
        {entry.input !== null && (
          <PayloadView
            payload={entry.input}
            label="Input"
            whole={api.wholePayload(branch.id, entry.index, "input")}
          />
        )}
        {entry.value !== null && (
          <PayloadView
            payload={entry.value}
            label={entry.type === "input" ? "Input" : entry.type === "state_get" ? "Value" : "Output"}
            whole={api.wholePayload(branch.id, entry.index, "value")}
          />
        )}
        {metadata !== null && Object.keys(metadata).length > 0 && (
          <details class="detail-section" open={!isModel && !isTool}>
            <summary>
              <h3>Metadata</h3>
            </summary>
            <JsonCode value={metadata} label="metadata" />
          </details>
        )}
      </div>
    </>
  );
}

function Line({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Facts({ row }: { row: EntryRow }) {
  const { entry, branch } = row;
  const waits = entry.state === "pending" && branch.summary?.completed_at === null;
  const stretch = entryStretch(branch, entry, waits ? now.value : at(entry.started_at));
  const metadata = entry.metadata ?? {};
  return (
    <dl class="lines">
      <Line name="Started">
        <span class="num" title={dateTime(at(entry.started_at))}>
          {clockTime(at(entry.started_at))}
        </span>
      </Line>
      {stretch.to > stretch.from && (
        <Line name={waits ? "So far" : "Duration"}>
          <span class="num">{duration(stretch.to - stretch.from)}</span>
        </Line>
      )}
      {entry.wake_at !== null && (
        <Line name="Wakes">
          <span class="num">{dateTime(at(entry.wake_at))}</span>
        </Line>
      )}
      {typeof metadata.provider === "string" && (
        <Line name="Provider">
          {metadata.provider}
          {typeof metadata.framework === "string" && <span class="quiet"> through {metadata.framework}</span>}
        </Line>
      )}
      {(typeof metadata.tokens_in === "number" || typeof metadata.tokens_out === "number") && (
        <Line name="Tokens">
          <span class="num">
            {count(Number(metadata.tokens_in ?? 0))} <span class="quiet">in ·</span>{" "}
            {count(Number(metadata.tokens_out ?? 0))} <span class="quiet">out</span>
          </span>
        </Line>
      )}
      {typeof metadata.call_id === "string" && (
        <Line name="Call id">
          <Copied text={metadata.call_id} />
        </Line>
      )}
      {entry.callee !== null && entry.callee.id !== null && (
        <Line name="Invocation">
          <a href={links.invocation(entry.callee.id)} title={entry.callee.id}>
            {entry.callee.target ?? entry.callee.id} <Icon name="chevron" size={12} />
          </a>
        </Line>
      )}
      {entry.awakeable_id !== null && (
        <Line name="Awakeable">
          <Copied text={entry.awakeable_id} />
        </Line>
      )}
      {entry.promise !== null && (
        <Line name="Promise">
          <Copied text={entry.promise} />
        </Line>
      )}
      {entry.signal !== null && (
        <Line name="Signal">
          <Copied text={entry.signal} />
        </Line>
      )}
      {entry.retries.length > 0 && (
        <Line name="Failed">
          <span class="num warned">
            {entry.retries.length} {entry.retries.length === 1 ? "time" : "times"}
          </span>
        </Line>
      )}
    </dl>
  );
}

function Copied({ text }: { text: string }) {
  return (
    <span class="copied">
      <span class="mono clip" title={text}>
        {text}
      </span>
      <CopyButton text={text} what="it" />
    </span>
  );
}

function FailureView({ failure }: { failure: Failure }) {
  const metadata = failure.metadata ?? null;
  return (
    <section class="detail-section">
      <h3 class="failed">
        Failure <span class="tag num">{String(failure.code)}</span>
      </h3>
      <Code text={failure.message} label="failure" />
      {metadata !== null && Object.keys(metadata).length > 0 && (
        <JsonCode value={metadata} label="failure metadata" />
      )}
    </section>
  );
}

interface Failed {
  at: string;
  code: number;
  message: string;
  stacktrace: string | null;
}

/** Failures in a row that say the same, as one. */
function grouped(failures: readonly Failed[]): { first: Failed; last: Failed; times: number }[] {
  const groups: { first: Failed; last: Failed; times: number }[] = [];
  for (const failed of failures) {
    const group = groups.at(-1);
    if (group !== undefined && group.last.message === failed.message && group.last.code === failed.code) {
      group.last = failed;
      group.times += 1;
    } else {
      groups.push({ first: failed, last: failed, times: 1 });
    }
  }
  return groups;
}

function Failures({ failures }: { failures: readonly Failed[] }) {
  const groups = grouped(failures);
  return (
    <section class="detail-section">
      <h3>
        Failed attempts <span class="detail-note num">{count(failures.length)}</span>
      </h3>
      <ol class="failures">
        {groups.slice(-FAILURES_SHOWN).map(({ first, last, times }, index, shown) => (
          <li class="failure" key={first.at}>
            <div class="failure-head">
              <span class="num quiet">
                {clockTime(at(first.at))}
                {times > 1 && ` – ${clockTime(at(last.at))}`}
              </span>
              <span class="tag num">{last.code}</span>
              {times > 1 && <span class="tag tag-warned num">{count(times)} times</span>}
            </div>
            <FailureText failed={last} open={index === shown.length - 1} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function FailureText({ failed, open }: { failed: Failed; open: boolean }) {
  const [first, ...rest] = failed.message.split("\n");
  const more = failed.stacktrace ?? (rest.length > 0 ? failed.message : null);
  return (
    <>
      <div class="failure-message">{first}</div>
      {more !== null && (
        <details open={open}>
          <summary>Stack</summary>
          <Code text={more} label="stack" asWritten />
        </details>
      )}
    </>
  );
}

function InvocationDetail({ row, onClose }: { row: LaneRow; onClose: (() => void) | null }) {
  const { branch } = row;
  const summary = branch.summary;
  if (summary === null) return null;
  const output = branch.entries.findLast((entry) => entry.type === "output");
  const failed = branch.attempts.flatMap((attempt) =>
    attempt.error === null ? [] : [{ ...attempt.error, at: attempt.ended_at ?? attempt.started_at }],
  );
  return (
    <>
      <Head kind="invocation" onClose={onClose}>
        <span class="kind-icon">
          <Icon name="invocation" size={15} />
        </span>
        <div class="detail-title">
          <h2 title={summary.target}>{summary.target}</h2>
          <span class="quiet">
            Invocation · <span class="num">{count(summary.journal_length)}</span> journal entries
          </span>
        </div>
      </Head>
      <div class="detail-body">
        {row.depth > 0 && (
          <a class="button button-small" href={links.invocation(branch.id)}>
            Open <Icon name="chevron" size={13} />
          </a>
        )}
        {summary.failure !== null && <FailureView failure={summary.failure} />}
        {branch.input !== null && (
          <PayloadView payload={branch.input} label="Input" whole={api.wholePayload(branch.id, 0, "input")} />
        )}
        {branch.output !== null && (
          <PayloadView
            payload={branch.output}
            label="Output"
            whole={output === undefined ? null : api.wholePayload(branch.id, output.index, "value")}
          />
        )}
        {failed.length > 0 && <Failures failures={failed} />}
        <section class="detail-section">
          <h3>
            Attempts <span class="detail-note num">{branch.attempts.length}</span>
          </h3>
          <ol class="attempts">
            {branch.attempts.slice(-ATTEMPTS_SHOWN).map((attempt) => (
              <li key={attempt.number}>
                <span class="num faint">{attempt.number}</span>
                <span class={`outcome outcome-${outcomeOf(attempt, branch)}`}>
                  {outcomeOf(attempt, branch)}
                </span>
                <span class="num quiet">{clockTime(at(attempt.started_at))}</span>
                <span class="num end">
                  {attempt.ended_at === null ? "" : duration(at(attempt.ended_at) - at(attempt.started_at))}
                </span>
              </li>
            ))}
          </ol>
        </section>
      </div>
    </>
  );
}
