/** Services as they are registered now: their handlers, revisions and settings. */

import { useEffect, useState } from "preact/hooks";
import { api, messageOf } from "../api/client";
import type { Service } from "../api/types";
import { Empty, Notice } from "../components/basics";
import { Icon } from "../components/icon";
import { plural } from "../lib/format";
import { links } from "../router";

const TYPE_WORDS = { Service: "service", VirtualObject: "virtual object", Workflow: "workflow" };

export function ServicesPage() {
  const [services, setServices] = useState<Service[] | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    document.title = "Services · Holdfast";
    api.services().then(setServices, (failure: unknown) => setError(messageOf(failure)));
  }, []);
  return (
    <div class="page scroll-page">
      <div class="page-head">
        <h1>Services</h1>
        {services !== null && services.length > 0 && (
          <span class="quiet">{plural(services.length, "service")}</span>
        )}
      </div>
      {error !== "" && <Notice kind="error">{error}</Notice>}
      {services?.length === 0 && (
        <Empty icon="server" title="No services yet">
          <p>They come with a deployment: the address where handlers listen.</p>
          <a class="button button-primary" href={links.deployments()}>
            Register a deployment
          </a>
        </Empty>
      )}
      <div class="cards">
        {services?.map((service) => (
          <ServiceCard key={service.name} service={service} />
        ))}
      </div>
    </div>
  );
}

function ServiceCard({ service }: { service: Service }) {
  const retry = service.retry_policy;
  const facts: [string, string | undefined][] = [
    ["Inactivity timeout", service.inactivity_timeout],
    ["Abort timeout", service.abort_timeout],
    ["Journal kept", service.journal_retention],
    ["Idempotency kept", service.idempotency_retention],
    ["Workflow kept", service.workflow_completion_retention],
    [
      "Attempts",
      retry?.max_attempts == null
        ? "unlimited"
        : `${retry.max_attempts}, then ${retry.on_max_attempts?.toLowerCase()}`,
    ],
  ];
  return (
    <article class="card">
      <header class="card-head">
        <h2>{service.name}</h2>
        <span class="tag">{TYPE_WORDS[service.ty]}</span>
        <span class="tag num">revision {service.revision}</span>
        {!service.public && <span class="tag tag-warned">private</span>}
        <a
          class="card-link"
          href={links.invocations(new URLSearchParams({ service: service.name }).toString())}
        >
          Invocations <Icon name="chevron" size={13} />
        </a>
      </header>
      {service.documentation !== undefined && <p class="card-text">{service.documentation}</p>}
      {service.info?.map((notice) => (
        <Notice key={notice.message} kind="info">
          {notice.message} <span class="quiet">{notice.code}</span>
        </Notice>
      ))}
      <div class="table-wrap">
        <table class="table">
          <thead>
            <tr>
              <th>Handler</th>
              <th>Takes</th>
              <th>Gives</th>
              <th>
                <span class="sr-only">More</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {service.handlers.map((handler) => (
              <tr key={handler.name}>
                <td>
                  <span class="strong">{handler.name}</span>
                  {handler.documentation !== undefined && (
                    <div class="quiet clamp">{handler.documentation}</div>
                  )}
                </td>
                <td class="quiet" data-label="Takes">
                  {handler.input_description}
                </td>
                <td class="quiet" data-label="Gives">
                  {handler.output_description}
                </td>
                <td class="end">
                  {handler.ty === "Shared" && <span class="tag">shared</span>}
                  {handler.public === false && <span class="tag tag-warned">private</span>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <dl class="facts card-facts">
        {facts.map(([name, value]) =>
          value === undefined ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
        <div>
          <dt>Deployment</dt>
          <dd>
            <a class="mono" href={`${links.deployments()}#${service.deployment_id}`}>
              {service.deployment_id}
            </a>
          </dd>
        </div>
      </dl>
    </article>
  );
}
