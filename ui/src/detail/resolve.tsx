/** Answering what an invocation waits for: a person's yes or no, or any JSON, or a refusal with a reason. */

import { useMemo, useState } from "preact/hooks";
import { api, messageOf } from "../api/client";
import type { Entry, Json } from "../api/types";
import { Notice } from "../components/basics";
import { Icon } from "../components/icon";
import { JsonCode } from "../components/payload";

const SUGGESTIONS = ["true", "false", "null", "{}"];

/** What an agent asks a person, as the step says that asked. */
export interface Approval {
  title: string;
  details: Json | undefined;
}

/** The approval that waits on an awakeable, if it is one. */
export function approvalOf(entry: Entry, entries: readonly Entry[]): Approval | null {
  if (entry.awakeable_id === null) return null;
  for (const { metadata } of entries) {
    if (metadata?.kind === "approval" && metadata.awakeable_id === entry.awakeable_id) {
      const title = typeof metadata.approval === "string" ? metadata.approval : "Approve?";
      return { title, details: metadata.details };
    }
  }
  return null;
}

function parsed(text: string): { value: Json } | { problem: string } {
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    const bare = text.trim();
    const hint = bare !== "" && !/^["[{\d-]/.test(bare) ? ` Text needs quotes: ${JSON.stringify(bare)}` : "";
    return { problem: `${error instanceof Error ? error.message : "Not JSON"}.${hint}` };
  }
}

type Mode = "decide" | "resolve" | "reject";
const MODE_WORDS: Record<Mode, string> = { decide: "Decide", resolve: "Resolve", reject: "Reject" };

export function ResolveForm(props: { invocation: string; entry: Entry; approval: Approval | null }) {
  const { invocation, entry, approval } = props;
  const [mode, setMode] = useState<Mode>(approval === null ? "resolve" : "decide");
  const [text, setText] = useState("true");
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [sent, setSent] = useState(false);
  const answer = useMemo(() => parsed(text), [text]);
  const problem = mode === "resolve" && "problem" in answer ? answer.problem : "";

  const send = async (request: () => Promise<Json>): Promise<void> => {
    setBusy(true);
    setError("");
    try {
      await request();
      setSent(true);
    } catch (failure) {
      setError(messageOf(failure));
    } finally {
      setBusy(false);
    }
  };
  const decide = (approved: boolean): void => {
    const said = reason.trim();
    const value: Json = said === "" ? { approved } : { approved, reason: said };
    void send(() => api.resolve(invocation, entry.index, value));
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (mode === "decide") decide(true);
    else if (mode === "reject")
      void send(() => api.reject(invocation, entry.index, reason.trim() || "rejected"));
    else if ("value" in answer) void send(() => api.resolve(invocation, entry.index, answer.value));
  };
  if (sent) return <Notice kind="good">Answered. The invocation goes on.</Notice>;
  const modes: Mode[] = approval === null ? ["resolve", "reject"] : ["decide", "resolve", "reject"];
  return (
    <form class="resolve" onSubmit={submit}>
      <div class="resolve-head">
        <span class="resolve-title">
          <Icon name="wait" size={14} />{" "}
          {approval === null ? "Waiting for an answer" : "Waiting for approval"}
        </span>
        <fieldset class="switch switch-text">
          <legend class="sr-only">How to answer</legend>
          {modes.map((choice) => (
            <button
              key={choice}
              type="button"
              class="switch-part"
              aria-pressed={mode === choice}
              onClick={() => setMode(choice)}
            >
              {MODE_WORDS[choice]}
            </button>
          ))}
        </fieldset>
      </div>
      {approval !== null && (
        <>
          <p class="resolve-question">{approval.title}</p>
          {approval.details !== undefined && approval.details !== null && (
            <JsonCode value={approval.details} label="details" />
          )}
        </>
      )}
      {mode === "resolve" ? (
        <>
          <label class="sr-only" for="resolve-value">
            Value, as JSON
          </label>
          <textarea
            id="resolve-value"
            class="area mono"
            rows={3}
            spellcheck={false}
            value={text}
            aria-invalid={problem !== ""}
            aria-describedby="resolve-problem"
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <div class="resolve-suggestions">
            {SUGGESTIONS.map((suggestion) => (
              <button key={suggestion} type="button" class="chip mono" onClick={() => setText(suggestion)}>
                {suggestion}
              </button>
            ))}
          </div>
          <p id="resolve-problem" class={problem === "" ? "sr-only" : "resolve-problem"}>
            {problem}
          </p>
        </>
      ) : (
        <label>
          <span class="sr-only">Reason</span>
          <input
            class="area"
            name="reason"
            placeholder={mode === "decide" ? "Reason, if any" : "Reason, which the handler sees"}
            autocomplete="off"
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
      )}
      {error !== "" && <Notice kind="error">{error}</Notice>}
      {mode === "decide" ? (
        <div class="resolve-buttons">
          <button type="submit" class="button button-primary" disabled={busy}>
            <Icon name="check" size={14} /> Approve
          </button>
          <button
            type="button"
            class="button button-danger-quiet"
            disabled={busy}
            onClick={() => decide(false)}
          >
            <Icon name="close" size={14} /> Deny
          </button>
        </div>
      ) : (
        <button
          type="submit"
          class={`button ${mode === "resolve" ? "button-primary" : "button-danger"}`}
          disabled={busy || problem !== ""}
        >
          {busy ? "Sending…" : MODE_WORDS[mode]}
        </button>
      )}
    </form>
  );
}
