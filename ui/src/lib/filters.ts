/** Which invocations are looked at: in the address, in requests, and of what events bring. */

import type { Summary } from "../api/types";

export interface Filters {
  status: string[];
  service: string;
  handler: string;
  key: string;
  id: string;
}

export function filterParameters(filters: Filters): URLSearchParams {
  const parameters = new URLSearchParams();
  if (filters.status.length > 0) parameters.set("status", filters.status.join(","));
  for (const name of ["service", "handler", "key", "id"] as const) {
    if (filters[name] !== "") parameters.set(name, filters[name]);
  }
  return parameters;
}

export function matches(row: Summary, filters: Filters): boolean {
  return (
    (filters.status.length === 0 || filters.status.includes(row.status)) &&
    (filters.service === "" || row.service === filters.service) &&
    (filters.handler === "" || row.handler === filters.handler) &&
    (filters.key === "" || row.key === filters.key) &&
    (filters.id === "" || row.id === filters.id)
  );
}
