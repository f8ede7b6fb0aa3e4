/** A value somebody else made, shown as text and nothing but text. */

import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Json, Payload } from "../api/types";
import { bytes } from "../lib/format";
import { CopyButton } from "./basics";

const SHOWN_LINES = 40;
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** JSON text with its tokens coloured. */
export function coloured(text: string): ComponentChildren[] {
  const parts: ComponentChildren[] = [];
  let reached = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [whole, quoted, colon] = found;
    if (found.index > reached) parts.push(text.slice(reached, found.index));
    if (quoted !== undefined) {
      parts.push(<span class={colon === undefined ? "json-string" : "json-key"}>{quoted}</span>);
      if (colon !== undefined) parts.push(colon);
    } else {
      parts.push(<span class={/^[-\d]/.test(whole) ? "json-number" : "json-word"}>{whole}</span>);
    }
    reached = found.index + whole.length;
  }
  if (reached < text.length) parts.push(text.slice(reached));
  return parts;
}

/** A block of code that begins folded when it is long. */
export function Code(props: { text: string; json?: boolean; label: string; asWritten?: boolean }) {
  const { text, json = false, label, asWritten = false } = props;
  const [whole, setWhole] = useState(false);
  const lines = useMemo(() => text.split("\n"), [text]);
  const long = lines.length > SHOWN_LINES + 5;
  const shown = useMemo(() => {
    const beginning = long && !whole ? lines.slice(0, SHOWN_LINES).join("\n") : text;
    return json ? coloured(beginning) : beginning;
  }, [lines, text, long, whole, json]);
  return (
    <div class="code">
      <CopyButton text={text} what={label} />
      <pre role="group" class={asWritten ? "as-written" : undefined} tabIndex={0} aria-label={label}>
        {shown}
      </pre>
      {long && (
        <button type="button" class="code-more" onClick={() => setWhole(!whole)}>
          {whole ? "Show less" : `Show all ${lines.length} lines`}
        </button>
      )}
    </div>
  );
}

export function JsonCode({ value, label }: { value: Json; label: string }) {
  const text = useMemo(() => JSON.stringify(value, null, 2), [value]);
  return <Code text={text} json label={label} />;
}

/** Text that is JSON inside is shown as such. */
export function MaybeJson({ text, label }: { text: string; label: string }) {
  const parsed = useMemo(() => parsedObject(text), [text]);
  if (parsed === undefined) return <Code text={text} label={label} />;
  return <JsonCode value={parsed} label={label} />;
}

function parsedObject(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** `whole` is where all of it can be had, if anywhere. */
export function PayloadView({
  payload,
  label,
  whole,
}: {
  payload: Payload;
  label: string;
  whole: string | null;
}) {
  const note =
    payload.encoding === "json" ? "JSON" : payload.encoding === "text" ? "text" : "binary, shown as base64";
  return (
    <section class="detail-section">
      <h3>
        {label}
        <span class="detail-note">
          {bytes(payload.bytes)} · {note}
          {payload.cut && " · beginning only"}
          {payload.cut && whole !== null && (
            <>
              {" · "}
              <a href={whole} download>
                download all
              </a>
            </>
          )}
        </span>
      </h3>
      {payload.bytes === 0 ? (
        <p class="quiet">empty</p>
      ) : payload.encoding === "json" ? (
        <JsonCode value={payload.data} label={label} />
      ) : (
        <Code
          text={typeof payload.data === "string" ? payload.data : JSON.stringify(payload.data)}
          label={label}
        />
      )}
    </section>
  );
}
