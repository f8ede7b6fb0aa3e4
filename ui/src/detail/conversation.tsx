/** The messages of a model call and what it answered, read from the step's metadata as far as they are there. */

import type { Json } from "../api/types";
import { Icon } from "../components/icon";
import { MaybeJson } from "../components/payload";
import { plural } from "../lib/format";

interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

interface Message {
  role: string;
  content: string;
  tool_calls: ToolCall[];
  tool_call_id: string | null;
}

const object = (value: Json | undefined): { [key: string]: Json } | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
const text = (value: Json | undefined): string =>
  typeof value === "string"
    ? value
    : value === undefined || value === null
      ? ""
      : JSON.stringify(value, null, 2);

function toolCalls(value: Json | undefined): ToolCall[] {
  if (!Array.isArray(value)) return [];
  return value.map((item) => {
    const call = object(item) ?? {};
    return { id: text(call.id), name: text(call.name), arguments: text(call.arguments) };
  });
}

function messagesOf(value: Json | undefined): Message[] {
  if (!Array.isArray(value)) return [];
  return value.map((item) => {
    const message = object(item) ?? {};
    return {
      role: text(message.role) || "message",
      content: text(message.content),
      tool_calls: toolCalls(message.tool_calls),
      tool_call_id: typeof message.tool_call_id === "string" ? message.tool_call_id : null,
    };
  });
}

export function Conversation({ metadata }: { metadata: { [key: string]: Json } }) {
  const messages = messagesOf(metadata.messages);
  const leftOut = typeof metadata.messages_left_out === "number" ? metadata.messages_left_out : 0;
  const response = object(metadata.response);
  return (
    <>
      {(messages.length > 0 || leftOut > 0) && (
        <section class="detail-section">
          <h3>
            Messages
            <span class="detail-note">{plural(messages.length + leftOut, "message")}</span>
          </h3>
          {leftOut > 0 && <p class="quiet">{plural(leftOut, "older message")} left out</p>}
          <ol class="messages">
            {messages.map((message, index) => (
              <MessageView key={index} message={message} />
            ))}
          </ol>
        </section>
      )}
      {response !== null && (
        <section class="detail-section">
          <h3>
            Answer
            {typeof metadata.finish_reason === "string" && (
              <span class="detail-note">finished: {metadata.finish_reason}</span>
            )}
          </h3>
          <ol class="messages">
            <MessageView
              message={{
                role: "assistant",
                content: text(response.content),
                tool_calls: toolCalls(response.tool_calls),
                tool_call_id: null,
              }}
            />
          </ol>
        </section>
      )}
    </>
  );
}

const ROLES = new Set(["system", "user", "assistant", "tool"]);

function MessageView({ message }: { message: Message }) {
  const role = ROLES.has(message.role) ? message.role : "other";
  return (
    <li class={`message message-${role}`}>
      <div class="message-role">
        {message.role}
        {message.tool_call_id !== null && <span class="mono quiet"> {message.tool_call_id}</span>}
      </div>
      {message.content !== "" &&
        (message.role === "tool" ? (
          <MaybeJson text={message.content} label="tool result" />
        ) : (
          <div class="message-text">{message.content}</div>
        ))}
      {message.tool_calls.map((call) => (
        <div class="message-call" key={call.id}>
          <div class="message-call-name">
            <Icon name="tool" size={13} /> {call.name} <span class="mono quiet">{call.id}</span>
          </div>
          {call.arguments !== "" && <MaybeJson text={call.arguments} label={`arguments of ${call.name}`} />}
        </div>
      ))}
    </li>
  );
}
