/** What can be done with an invocation, each only where its status allows it. */

import { useState } from "preact/hooks";
import { api, messageOf } from "../api/client";
import type { Status, Summary } from "../api/types";
import { Confirm, Notice } from "../components/basics";
import { Icon, type IconName } from "../components/icon";
import { go, links } from "../router";

type Operation = "cancel" | "kill" | "pause" | "resume" | "restart";

const WORDS: Record<Operation, { text: string; icon: IconName; about: string; done: string }> = {
  cancel: {
    text: "Cancel",
    icon: "stop",
    about: "Ask it to end: its handler can compensate, and what it called is cancelled too",
    done: "Cancellation requested",
  },
  kill: { text: "Kill", icon: "kill", about: "End it at once, without compensation", done: "Killed" },
  pause: {
    text: "Pause",
    icon: "pause",
    about: "Stop after this attempt, until it is resumed",
    done: "Pausing",
  },
  resume: { text: "Resume", icon: "play", about: "Start the next attempt now", done: "Resumed" },
  restart: {
    text: "Restart as new",
    icon: "restart",
    about: "Run it again with the same input, as a new invocation",
    done: "Restarted",
  },
};

export function allowed(status: Status): Operation[] {
  switch (status) {
    case "succeeded":
    case "failed":
      return ["restart"];
    case "running":
      return ["pause", "cancel", "kill"];
    case "backing-off":
      return ["resume", "pause", "cancel", "kill"];
    case "suspended":
      return ["pause", "cancel", "kill"];
    case "paused":
      return ["resume", "cancel", "kill"];
    case "pending":
    case "scheduled":
    case "ready":
      return ["cancel", "kill"];
  }
}

export function Actions({ summary, onDone }: { summary: Summary; onDone: () => void }) {
  const [busy, setBusy] = useState<Operation | null>(null);
  const [asking, setAsking] = useState(false);
  const [answer, setAnswer] = useState<{ good: boolean; text: string } | null>(null);
  const perform = async (operation: Operation): Promise<void> => {
    setBusy(operation);
    setAnswer(null);
    try {
      if (operation === "restart") {
        const { new_invocation_id } = await api.restart(summary.id);
        go(links.invocation(new_invocation_id));
        return;
      }
      await api.operate(summary.id, operation);
      setAnswer({ good: true, text: WORDS[operation].done });
      onDone();
    } catch (error) {
      setAnswer({ good: false, text: messageOf(error) });
    } finally {
      setBusy(null);
    }
  };
  const stale = answer?.good === true && summary.completed_at !== null;
  return (
    <div class="actions">
      {allowed(summary.status).map((operation) => (
        <button
          key={operation}
          type="button"
          class={`button ${operation === "kill" ? "button-danger-quiet" : ""}`}
          disabled={busy !== null}
          title={WORDS[operation].about}
          onClick={() => (operation === "kill" ? setAsking(true) : void perform(operation))}
        >
          <Icon name={WORDS[operation].icon} size={14} />
          {operation === "resume" && summary.status === "backing-off" ? "Retry now" : WORDS[operation].text}
        </button>
      ))}
      {answer !== null && !stale && (
        <div class="actions-answer">
          <Notice kind={answer.good ? "good" : "error"}>{answer.text}</Notice>
        </div>
      )}
      {asking && (
        <Confirm
          title="Kill this invocation?"
          yes="Kill it"
          onNo={() => setAsking(false)}
          onYes={() => {
            setAsking(false);
            void perform("kill");
          }}
        >
          <p>
            <strong>{summary.target}</strong> ends at once and fails. Its handler gets no chance to compensate
            what it has done; cancel gives it one.
          </p>
        </Confirm>
      )}
    </div>
  );
}
