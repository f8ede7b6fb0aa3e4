/** The admin interface's JSON, as the server sends it. Times are RFC 3339 in UTC. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type Status =
  | "pending"
  | "scheduled"
  | "ready"
  | "running"
  | "suspended"
  | "backing-off"
  | "paused"
  | "succeeded"
  | "failed";

export interface Failure {
  code: number;
  message: string;
  metadata?: Record<string, string>;
}

export interface Usage {
  model_calls: number;
  tokens_in: number;
  tokens_out: number;
}

export interface Summary {
  id: string;
  target: string;
  service: string;
  handler: string;
  key: string | null;
  kind: "service" | "virtual_object" | "workflow";
  status: Status;
  failure: Failure | null;
  created_at: string;
  started_at: string | null;
  modified_at: string;
  completed_at: string | null;
  scheduled_at: string | null;
  next_retry_at: string | null;
  deployment_id: string | null;
  revision: number | null;
  retry_count: number;
  last_failure: {
    code: number;
    message: string;
    /** An entry of the list of error codes, such as `RT0007`. */
    doc_code: string | null;
    entry_index: number | null;
  } | null;
  parent: { id: string; target: string | null; entry_index: number | null } | null;
  idempotency_key: string | null;
  journal_length: number;
  usage: Usage | null;
}

export interface Payload {
  bytes: number;
  encoding: "json" | "text" | "base64";
  data: Json;
  /** Only the beginning is here. */
  cut: boolean;
}

export type Outcome = "running" | "suspended" | "failed" | "completed" | "paused" | "aborted";

export interface Attempt {
  number: number;
  started_at: string;
  ended_at: string | null;
  outcome: Outcome;
  deployment_id: string | null;
  error: {
    code: number;
    message: string;
    doc_code: string | null;
    stacktrace: string | null;
    entry_index: number | null;
  } | null;
}

export type EntryType =
  | "run"
  | "sleep"
  | "call"
  | "send"
  | "awakeable"
  | "promise_get"
  | "promise_peek"
  | "promise_complete"
  | "state_get"
  | "state_set"
  | "state_clear"
  | "state_clear_all"
  | "state_keys"
  | "attach"
  | "output_get"
  | "awakeable_complete"
  | "signal_wait"
  | "signal_send"
  | "input"
  | "output"
  | "unknown";

export interface Retry {
  at: string;
  message: string;
  code: number;
  stacktrace: string | null;
}

export interface Entry {
  index: number;
  type: EntryType;
  name: string | null;
  started_at: string;
  completed_at: string | null;
  state: "pending" | "done" | "failed";
  input: Payload | null;
  value: Payload | null;
  failure: Failure | null;
  callee: { id: string | null; target: string | null } | null;
  wake_at: string | null;
  awakeable_id: string | null;
  promise: string | null;
  signal: string | null;
  metadata: { [key: string]: Json } | null;
  retries: Retry[];
}

export interface Timeline {
  invocation: Summary;
  input: Payload | null;
  output: Payload | null;
  attempts: Attempt[];
  entries: Entry[];
  /** Given as `after`, it continues; null: that was all. */
  next: number | null;
}

export interface InvocationPage {
  invocations: Summary[];
  next: string | null;
}

export interface EntriesEvent {
  id: string;
  attempts: Attempt[];
  entries: Entry[];
}

/** Purged, or past its retention. */
export interface GoneEvent {
  id: string;
}

/** Options appear where they are set; only what the UI shows is named here. */
export interface Handler {
  name: string;
  ty?: "Exclusive" | "Shared" | "Workflow";
  documentation?: string;
  public?: boolean;
  input_description?: string;
  output_description?: string;
}

export interface Service {
  name: string;
  ty: "Service" | "VirtualObject" | "Workflow";
  handlers: Handler[];
  deployment_id: string;
  revision: number;
  public: boolean;
  documentation?: string;
  inactivity_timeout?: string;
  abort_timeout?: string;
  journal_retention?: string;
  idempotency_retention?: string;
  workflow_completion_retention?: string;
  info?: { code: string; message: string }[];
  retry_policy?: {
    initial_interval?: string;
    exponentiation_factor?: number;
    max_attempts?: number | null;
    max_interval?: string;
    on_max_attempts?: string;
  };
}

export interface Deployment {
  id: string;
  uri: string;
  protocol_type: string;
  http_version: string;
  created_at: string;
  min_protocol_version: number;
  max_protocol_version: number;
  sdk_version?: string;
  services: { name: string; revision: number }[];
}

export interface Registered {
  id: string;
  services: Service[];
  info?: { code: string; message: string }[];
}
