/** Requests to the admin interface. Every failure is an `ApiError` whose message can be shown. */

import { setClockSkew } from "../lib/clock";
import { type Filters, filterParameters } from "../lib/filters";
import type { Deployment, InvocationPage, Json, Registered, Service, Summary, Timeline } from "./types";

const ANSWER_WITHIN_MS = 30_000;

export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0: the server was not reached. */
    readonly status: number,
  ) {
    super(message);
  }
}

async function request<T>(method: string, path: string, body?: Json): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(late ? "The server did not answer in time." : "The server cannot be reached.", 0);
  }
  setClockSkew(response.headers.get("date"));
  const text = await response.text();
  if (!response.ok) throw new ApiError(refusal(text, response), response.status);
  return (text === "" ? null : JSON.parse(text)) as T;
}

/** What to show of whatever a request failed with. */
export function messageOf(failure: unknown): string {
  return failure instanceof Error ? failure.message : String(failure);
}

function refusal(text: string, response: Response): string {
  try {
    const parsed = JSON.parse(text) as { message?: unknown };
    if (typeof parsed.message === "string") return parsed.message;
  } catch {
    // Some refusals are plain text.
  }
  return text.trim() || `The server answered ${response.status} ${response.statusText}`.trim();
}

const part = encodeURIComponent;

export const api = {
  invocations(filters: Filters, limit: number, before: string | null): Promise<InvocationPage> {
    const parameters = filterParameters(filters);
    parameters.set("limit", String(limit));
    if (before !== null) parameters.set("before", before);
    return request("GET", `/invocations?${parameters}`);
  },
  invocation: (id: string) => request<Summary>("GET", `/invocations/${part(id)}`),
  /** Entries after an index; -1: from the start. */
  timeline: (id: string, after: number) =>
    request<Timeline>("GET", `/invocations/${part(id)}/timeline?after=${after}`),
  services: () => request<{ services: Service[] }>("GET", "/services").then((answer) => answer.services),
  deployments: () =>
    request<{ deployments: Deployment[] }>("GET", "/deployments").then((answer) => answer.deployments),
  register: (uri: string, options: { force: boolean; use_http_11: boolean }) =>
    request<Registered>("POST", "/deployments", { uri, ...options }),
  operate: (id: string, operation: "cancel" | "kill" | "pause" | "resume" | "purge") =>
    request<null>("PATCH", `/invocations/${part(id)}/${operation}`),
  restart: (id: string) =>
    request<{ new_invocation_id: string }>("PATCH", `/invocations/${part(id)}/restart-as-new`),
  resolve: (id: string, index: number, value: Json) =>
    request<Json>("POST", `/invocations/${part(id)}/entries/${index}/resolve`, { value }),
  reject: (id: string, index: number, message: string) =>
    request<Json>("POST", `/invocations/${part(id)}/entries/${index}/reject`, { message }),
  version: () => request<{ version: string; ingress_endpoint: string }>("GET", "/version"),
  /** The address of the whole bytes of an entry's payload. */
  wholePayload: (id: string, index: number, which: "input" | "value") =>
    `/invocations/${part(id)}/entries/${index}/${which}`,
};
