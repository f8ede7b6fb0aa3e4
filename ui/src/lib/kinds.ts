/** What an entry is to a person looking at it: a kind with a colour, and words. */

import type { Entry } from "../api/types";

export type Kind = "model" | "tool" | "step" | "call" | "sleep" | "wait" | "state" | "send" | "io";

export const KINDS: { kind: Kind; label: string; about: string }[] = [
  { kind: "model", label: "Model", about: "calls of a language model" },
  { kind: "tool", label: "Tool", about: "tools an agent used" },
  { kind: "step", label: "Step", about: "journaled steps" },
  { kind: "call", label: "Call", about: "invocations called and awaited" },
  { kind: "wait", label: "Wait", about: "awakeables, promises and signals" },
  { kind: "sleep", label: "Sleep", about: "durable timers" },
  { kind: "send", label: "Send", about: "messages sent, completions of others" },
  { kind: "state", label: "State", about: "state read and written" },
  { kind: "io", label: "In, out", about: "what the handler got and gave" },
];

export function kindOf(entry: Entry): Kind {
  switch (entry.type) {
    case "run":
      if (entry.metadata?.kind === "model") return "model";
      if (entry.metadata?.kind === "tool") return "tool";
      return "step";
    case "call":
    case "attach":
    case "output_get":
      return "call";
    case "sleep":
      return "sleep";
    case "awakeable":
    case "promise_get":
    case "promise_peek":
    case "signal_wait":
      return "wait";
    case "send":
    case "signal_send":
    case "awakeable_complete":
    case "promise_complete":
      return "send";
    case "state_get":
    case "state_set":
    case "state_clear":
    case "state_clear_all":
    case "state_keys":
      return "state";
    case "input":
    case "output":
    case "unknown":
      return "io";
  }
}

const TYPE_WORDS: Record<Entry["type"], string> = {
  run: "step",
  sleep: "sleep",
  call: "call",
  send: "send",
  awakeable: "awakeable",
  promise_get: "promise",
  promise_peek: "peek promise",
  promise_complete: "complete promise",
  state_get: "get",
  state_set: "set",
  state_clear: "clear",
  state_clear_all: "clear all state",
  state_keys: "list state keys",
  attach: "attach",
  output_get: "get output",
  awakeable_complete: "complete awakeable",
  signal_wait: "signal",
  signal_send: "send signal",
  input: "input",
  output: "output",
  unknown: "unknown command",
};

/** (what stands in front in small letters, the name). */
export function wordsOf(entry: Entry): { verb: string; name: string } {
  if (isCancellation(entry)) return { verb: "cancellation asked for", name: "" };
  const verb = TYPE_WORDS[entry.type];
  const name = entry.name ?? entry.callee?.target ?? entry.promise ?? entry.signal ?? "";
  if (entry.type === "run") {
    const tool = entry.metadata?.kind === "tool" ? entry.metadata.tool : null;
    const model = entry.metadata?.kind === "model" ? entry.metadata.model : null;
    if (typeof tool === "string" && tool !== "") return { verb: "tool", name: tool };
    if (typeof model === "string" && model !== "") return { verb: "model", name: model };
  }
  if ((entry.type === "call" || entry.type === "send") && entry.callee !== null) {
    return { verb, name: entry.callee.target ?? name };
  }
  return { verb, name };
}

/** Somebody asked the invocation to end. Nobody waited for that: it is told like a signal, and is none. */
export function isCancellation(entry: Entry): boolean {
  return entry.type === "signal_wait" && entry.signal === "cancel" && entry.completed_at !== null;
}

/** Commands that are over the moment they are made; they are points in time, not stretches. */
export function isPoint(entry: Entry): boolean {
  if (isCancellation(entry)) return true;
  const kind = kindOf(entry);
  return kind === "state" || kind === "send" || kind === "io" || entry.type === "promise_peek";
}

/** What somebody looking at it can answer. */
export function isWaitingForAnswer(entry: Entry): boolean {
  return (
    entry.state === "pending" &&
    (entry.type === "awakeable" || entry.type === "promise_get" || entry.type === "signal_wait")
  );
}
