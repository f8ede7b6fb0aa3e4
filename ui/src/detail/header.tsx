/** The facts of an invocation in a line, and what went wrong last. */

import type { ComponentChildren } from "preact";
import type { Attempt, Summary } from "../api/types";
import { Ago, CopyButton, Lasting } from "../components/basics";
import { Icon } from "../components/icon";
import { nowInSeconds } from "../lib/clock";
import { at, coarse, count, dateTime } from "../lib/format";
import { links } from "../router";

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Until({ time }: { time: string }) {
  const left = at(time) - nowInSeconds.value;
  return <span title={dateTime(at(time))}>{left <= 0 ? "now" : `in ${coarse(left)}`}</span>;
}

export function Facts({ summary, attempts }: { summary: Summary; attempts: readonly Attempt[] }) {
  return (
    <dl class="facts">
      <Fact name="Created">
        <Ago time={summary.created_at} />
      </Fact>
      <Fact name="Duration">
        <Lasting from={summary.started_at ?? summary.created_at} to={summary.completed_at} />
      </Fact>
      {summary.scheduled_at !== null && summary.started_at === null && (
        <Fact name="Starts">
          <Until time={summary.scheduled_at} />
        </Fact>
      )}
      <Fact name="Attempts">
        <span class="num">{count(Math.max(attempts.length, summary.started_at === null ? 0 : 1))}</span>
        {summary.retry_count > 0 && (
          <span class="warned num">
            {" "}
            · {summary.retry_count} {summary.retry_count === 1 ? "retry" : "retries"}
          </span>
        )}
      </Fact>
      {summary.next_retry_at !== null && summary.completed_at === null && (
        <Fact name="Next attempt">
          <Until time={summary.next_retry_at} />
        </Fact>
      )}
      {summary.deployment_id !== null && (
        <Fact name="Deployment">
          <a
            class="mono"
            href={`${links.deployments()}#${summary.deployment_id}`}
            title={summary.deployment_id}
          >
            {summary.deployment_id}
          </a>
          {summary.revision !== null && <span class="quiet num"> · revision {summary.revision}</span>}
        </Fact>
      )}
      {summary.usage !== null && (
        <Fact name="Usage">
          <span class="num">
            {count(summary.usage.model_calls)} <span class="quiet">model calls ·</span>{" "}
            {count(summary.usage.tokens_in)} <span class="quiet">in ·</span> {count(summary.usage.tokens_out)}{" "}
            <span class="quiet">out</span>
          </span>
        </Fact>
      )}
      {summary.idempotency_key !== null && (
        <Fact name="Idempotency key">
          <span class="mono clip" title={summary.idempotency_key}>
            {summary.idempotency_key}
          </span>
          <CopyButton text={summary.idempotency_key} what="idempotency key" />
        </Fact>
      )}
      {summary.parent !== null && (
        <Fact name="Called by">
          <a
            href={`${links.invocation(summary.parent.id)}${
              summary.parent.entry_index === null ? "" : `?at=${summary.parent.entry_index}`
            }`}
          >
            {summary.parent.target}
          </a>
        </Fact>
      )}
    </dl>
  );
}

export function GoneCallout() {
  return (
    <div class="callout callout-warned" role="status">
      <Icon name="alert" size={15} />
      <div class="callout-text">
        <strong>Gone from the server</strong>
        <span class="callout-message">
          It was purged, or its retention has ended. This page is all that is left of it.
        </span>
      </div>
    </div>
  );
}

export function FailureCallout({ summary, onShow }: { summary: Summary; onShow: (index: number) => void }) {
  const ended = summary.failure;
  const last = summary.completed_at === null ? summary.last_failure : null;
  const failure = ended ?? last;
  if (failure === null) return null;
  const index = last?.entry_index;
  const [first, ...rest] = failure.message.split("\n");
  return (
    <div class={`callout ${ended === null ? "callout-warned" : "callout-failed"}`}>
      <Icon name="alert" size={15} />
      <div class="callout-text">
        <strong>{ended === null ? "Last attempt failed" : "Failed"}</strong>
        {failure.code !== 0 && <span class="tag num">{String(failure.code)}</span>}
        <span class="callout-message" title={failure.message}>
          {first}
          {rest.length > 0 && " …"}
        </span>
      </div>
      {index !== undefined && index !== null && (
        <button type="button" class="button button-small" onClick={() => onShow(index)}>
          Show where
        </button>
      )}
    </div>
  );
}
