/** Small parts that every page uses. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Status } from "../api/types";
import { now, nowInSeconds } from "../lib/clock";
import { ago, at, dateTime, duration } from "../lib/format";
import { Icon, type IconName } from "./icon";

const STATUS_WORDS: Record<Status, string> = {
  pending: "Pending",
  scheduled: "Scheduled",
  ready: "Ready",
  running: "Running",
  suspended: "Suspended",
  "backing-off": "Backing off",
  paused: "Paused",
  succeeded: "Succeeded",
  failed: "Failed",
};

export const STATUSES = Object.keys(STATUS_WORDS) as Status[];

export function statusWord(status: string): string {
  return (STATUS_WORDS as Partial<Record<string, string>>)[status] ?? status;
}

export function StatusMark({ status, large = false }: { status: Status; large?: boolean }) {
  return (
    <span class={`status status-${status}${large ? " status-large" : ""}`}>
      <span class="status-dot" aria-hidden="true" />
      {statusWord(status)}
    </span>
  );
}

/** `3 m ago`, with the instant as its title. */
export function Ago({ time }: { time: string }) {
  const instant = at(time);
  return (
    <time dateTime={time} title={dateTime(instant)}>
      {ago(nowInSeconds.value - instant)}
    </time>
  );
}

/** A duration that goes on until `to` is known. */
export function Lasting({ from, to }: { from: string; to: string | null }) {
  const end = to === null ? now.value : at(to);
  return <span class={to === null ? "num ticking" : "num"}>{duration(end - at(from))}</span>;
}

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = (event: Event): void => {
    event.preventDefault();
    event.stopPropagation();
    // Pages that came over plain HTTP from another machine have none.
    const clipboard = navigator.clipboard as Clipboard | undefined;
    void clipboard?.writeText(text).then(() => {
      setCopied(true);
      timer.current = setTimeout(() => setCopied(false), 1200);
    });
  };
  return (
    <button
      type="button"
      class="icon-button copy"
      onClick={copy}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
    >
      <Icon name={copied ? "check" : "copy"} size={13} />
    </button>
  );
}

export function Empty({
  icon,
  title,
  children,
}: {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} size={22} />
      </span>
      <h2>{title}</h2>
      <div class="empty-text">{children}</div>
    </div>
  );
}

export function Notice({ kind, children }: { kind: "error" | "info" | "good"; children: ComponentChildren }) {
  return (
    <div class={`notice notice-${kind}`} role={kind === "error" ? "alert" : "status"}>
      <Icon name={kind === "good" ? "check" : "alert"} size={15} />
      <div>{children}</div>
    </div>
  );
}

/** A question in front of everything else; Escape and a click beside it mean no. */
export function Confirm(props: {
  title: string;
  yes: string;
  children: ComponentChildren;
  onYes: () => void;
  onNo: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby="dialog-title"
      onCancel={props.onNo}
      onClick={(event) => {
        if (event.target === dialog.current) props.onNo();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <div class="dialog-body">
        <h2 id="dialog-title">{props.title}</h2>
        <div class="dialog-text">{props.children}</div>
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={props.onNo}>
            Keep it
          </button>
          <button type="button" class="button button-danger" onClick={props.onYes}>
            {props.yes}
          </button>
        </div>
      </div>
    </dialog>
  );
}
