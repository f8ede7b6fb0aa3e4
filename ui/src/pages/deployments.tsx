/** Deployments, what each serves in which revision, and registering one. */

import { useEffect, useRef, useState } from "preact/hooks";
import { api, messageOf } from "../api/client";
import type { Deployment, Registered, Service } from "../api/types";
import { Ago, CopyButton, Empty, Notice } from "../components/basics";
import { Icon } from "../components/icon";
import { plural } from "../lib/format";

export function DeploymentsPage() {
  const [deployments, setDeployments] = useState<Deployment[] | null>(null);
  const [services, setServices] = useState<Service[]>([]);
  const [error, setError] = useState("");
  const load = (): void => {
    api.deployments().then(
      (found) => setDeployments([...found].sort((a, b) => (a.created_at < b.created_at ? 1 : -1))),
      (failure: unknown) => setError(messageOf(failure)),
    );
    api.services().then(setServices, () => undefined);
  };
  useEffect(() => {
    document.title = "Deployments · Holdfast";
    load();
  }, []);
  const shown = location.hash.slice(1);
  useEffect(() => {
    if (deployments !== null && shown !== "")
      document.getElementById(shown)?.scrollIntoView({ block: "center" });
  }, [deployments, shown]);
  const newest = new Map(services.map((service) => [service.name, service.revision]));
  return (
    <div class="page scroll-page">
      <div class="page-head">
        <h1>Deployments</h1>
        {deployments !== null && deployments.length > 0 && (
          <span class="quiet">{plural(deployments.length, "deployment")}</span>
        )}
      </div>
      <RegisterForm onRegistered={load} />
      {error !== "" && <Notice kind="error">{error}</Notice>}
      {deployments?.length === 0 && (
        <Empty icon="server" title="No deployments yet">
          <p>A deployment is the address where your handlers listen. Register one above.</p>
        </Empty>
      )}
      <div class="cards">
        {deployments?.map((deployment) => (
          <article
            class={`card${deployment.id === shown ? " card-shown" : ""}`}
            key={deployment.id}
            id={deployment.id}
          >
            <header class="card-head">
              <h2 class="mono">{deployment.uri}</h2>
              <span class="tag">
                {deployment.protocol_type === "BidiStream" ? "streaming" : "request/response"}
              </span>
              <span class="tag">{deployment.http_version}</span>
            </header>
            <ul class="revisions">
              {deployment.services.map((service) => {
                const current = newest.get(service.name) === service.revision;
                return (
                  <li key={service.name} class={current ? "revision" : "revision revision-old"}>
                    <span class="strong">{service.name}</span>
                    <span class="num quiet">revision {service.revision}</span>
                    {current ? <span class="tag tag-good">newest</span> : <span class="tag">older</span>}
                  </li>
                );
              })}
              {deployment.services.length === 0 && <li class="quiet">serves nothing any more</li>}
            </ul>
            <dl class="facts card-facts">
              <div>
                <dt>Id</dt>
                <dd class="mono">
                  {deployment.id} <CopyButton text={deployment.id} what="deployment id" />
                </dd>
              </div>
              <div>
                <dt>Registered</dt>
                <dd>
                  <Ago time={deployment.created_at} />
                </dd>
              </div>
              <div>
                <dt>Protocol</dt>
                <dd class="num">
                  {deployment.min_protocol_version}–{deployment.max_protocol_version}
                </dd>
              </div>
              {deployment.sdk_version !== undefined && (
                <div>
                  <dt>SDK</dt>
                  <dd>{deployment.sdk_version}</dd>
                </div>
              )}
            </dl>
          </article>
        ))}
      </div>
    </div>
  );
}

function RegisterForm({ onRegistered }: { onRegistered: () => void }) {
  const uri = useRef<HTMLInputElement>(null);
  const [force, setForce] = useState(false);
  const [http11, setHttp11] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [done, setDone] = useState<Registered | null>(null);
  const register = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError("");
    setDone(null);
    try {
      setDone(await api.register(uri.current?.value.trim() ?? "", { force, use_http_11: http11 }));
      onRegistered();
    } catch (failure) {
      setError(messageOf(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="card register" onSubmit={(event) => void register(event)}>
      <div class="register-line">
        <label class="field field-grow">
          <span class="field-name">address</span>
          <input
            ref={uri}
            class="field-input mono"
            name="uri"
            required
            placeholder="http://localhost:9080"
            autocomplete="off"
            spellcheck={false}
          />
        </label>
        <button type="submit" class="button button-primary" disabled={busy}>
          <Icon name="plus" size={14} />
          {busy ? "Asking…" : "Register"}
        </button>
      </div>
      <div class="register-options">
        <label class="check">
          <input
            type="checkbox"
            checked={force}
            onChange={(event) => setForce(event.currentTarget.checked)}
          />
          Replace what this address served before
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={http11}
            onChange={(event) => setHttp11(event.currentTarget.checked)}
          />
          HTTP/1.1 only
        </label>
      </div>
      {error !== "" && <Notice kind="error">{error}</Notice>}
      {done !== null && (
        <Notice kind={done.info === undefined ? "good" : "info"}>
          {done.info?.map((notice) => notice.message).join(" ") ??
            `Registered: ${done.services.map((service) => `${service.name} (revision ${service.revision})`).join(", ")}`}
        </Notice>
      )}
    </form>
  );
}
