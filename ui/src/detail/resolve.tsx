/** Answering what an invocation waits for: a value that must be JSON, or a refusal with a reason. */

import { useMemo, useState } from "preact/hooks";
import { ApiError, api } from "../api/client";
import type { Entry, Json } from "../api/types";
import { Notice } from "../components/basics";
import { Icon } from "../components/icon";

const SUGGESTIONS = ["true", "false", "null", "{}"];

function parsed(text: string): { value: Json } | { problem: string } {
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    const bare = text.trim();
    const hint = bare !== "" && !/^["[{\d-]/.test(bare) ? ` Text needs quotes: ${JSON.stringify(bare)}` : "";
    return { problem: `${error instanceof Error ? error.message : "Not JSON"}.${hint}` };
  }
}

export function ResolveForm({ invocation, entry }: { invocation: string; entry: Entry }) {
  const [mode, setMode] = useState<"resolve" | "reject">("resolve");
  const [text, setText] = useState("true");
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [sent, setSent] = useState(false);
  const answer = useMemo(() => parsed(text), [text]);
  const problem = mode === "resolve" && "problem" in answer ? answer.problem : "";

  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      if (mode === "reject") await api.reject(invocation, entry.index, reason.trim() || "rejected");
      else if ("value" in answer) await api.resolve(invocation, entry.index, answer.value);
      setSent(true);
    } catch (failure) {
      setError(failure instanceof ApiError ? failure.message : String(failure));
    } finally {
      setBusy(false);
    }
  };
  if (sent) return <Notice kind="good">Answered. The invocation goes on.</Notice>;
  return (
    <form class="resolve" onSubmit={send}>
      <div class="resolve-head">
        <span class="resolve-title">
          <Icon name="wait" size={14} /> Waiting for an answer
        </span>
        <fieldset class="switch switch-text">
          <legend class="sr-only">How to answer</legend>
          {(["resolve", "reject"] as const).map((choice) => (
            <button
              key={choice}
              type="button"
              class="switch-part"
              aria-pressed={mode === choice}
              onClick={() => setMode(choice)}
            >
              {choice === "resolve" ? "Resolve" : "Reject"}
            </button>
          ))}
        </fieldset>
      </div>
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
        <label class="resolve-reason">
          <span class="sr-only">Reason</span>
          <input
            class="field-input area"
            name="reason"
            placeholder="Reason, which the handler sees"
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
      )}
      {error !== "" && <Notice kind="error">{error}</Notice>}
      <button
        type="submit"
        class={`button ${mode === "resolve" ? "button-primary" : "button-danger"}`}
        disabled={busy || problem !== ""}
      >
        {busy ? "Sending…" : mode === "resolve" ? "Resolve" : "Reject"}
      </button>
    </form>
  );
}
