/** What surrounds every page: navigation, the state of the connection, the theme. */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { api } from "./api/client";
import { connection, reconnect } from "./api/stream";
import { Empty } from "./components/basics";
import { Icon, type IconName } from "./components/icon";
import { choose, type Theme, theme } from "./lib/theme";
import { DeploymentsPage } from "./pages/deployments";
import { InvocationPage } from "./pages/invocation";
import { InvocationsPage } from "./pages/invocations";
import { ServicesPage } from "./pages/services";
import { links, page } from "./router";

/** A broken connection that is back at once is nobody's business. */
const BANNER_AFTER_MS = 1_200;

const version = signal("");

export function App() {
  useEffect(() => {
    api.version().then(
      (answer) => {
        version.value = answer.version;
      },
      () => undefined,
    );
  }, []);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href={links.invocations()}>
          <Mark />
          Holdfast
        </a>
        <nav class="nav" aria-label="Pages">
          <NavLink
            to={links.invocations()}
            here={["invocations", "invocation"]}
            icon="invocation"
            text="Invocations"
          />
          <NavLink to={links.services()} here={["services"]} icon="services" text="Services" />
          <NavLink to={links.deployments()} here={["deployments"]} icon="server" text="Deployments" />
        </nav>
        <div class="top-end">
          <ConnectionMark />
          <ThemeSwitch />
          {version.value !== "" && <span class="version num">{version.value}</span>}
        </div>
      </header>
      <Banner />
      <main id="main" class="main" tabIndex={-1}>
        <CurrentPage />
      </main>
    </div>
  );
}

function CurrentPage() {
  const current = page.value;
  switch (current.name) {
    case "invocations":
      return <InvocationsPage />;
    case "invocation":
      return <InvocationPage key={current.id} id={current.id} />;
    case "services":
      return <ServicesPage />;
    case "deployments":
      return <DeploymentsPage />;
    case "unknown":
      return (
        <Empty icon="search" title="No such page">
          <a href={links.invocations()}>All invocations</a>
        </Empty>
      );
  }
}

function Mark() {
  return (
    <svg class="mark" width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M10 8v16M22 8v16M10 16h12" />
      <circle cx="22" cy="24" r="3.2" />
    </svg>
  );
}

function NavLink({ to, here, icon, text }: { to: string; here: string[]; icon: IconName; text: string }) {
  return (
    <a class="nav-link" href={to} aria-current={here.includes(page.value.name) ? "page" : undefined}>
      <Icon name={icon} size={18} />
      {text}
    </a>
  );
}

const CONNECTION_WORDS = { connecting: "Connecting", live: "Live", lost: "Offline", resting: "Resting" };

function ConnectionMark() {
  const current = connection.value;
  const watching = page.value.name === "invocations" || page.value.name === "invocation";
  if (!watching) return null;
  return (
    <span class={`connection connection-${current}`} data-connection={current}>
      <span class="connection-dot" aria-hidden="true" />
      {CONNECTION_WORDS[current]}
    </span>
  );
}

function Banner() {
  const lost = connection.value === "lost";
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!lost) {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), BANNER_AFTER_MS);
    return () => clearTimeout(timer);
  }, [lost]);
  if (!shown) return null;
  return (
    <div class="banner" role="status">
      <Icon name="alert" size={15} />
      <span>
        The connection to the server is broken. What you see may be out of date; it is being tried again.
      </span>
      <button type="button" class="button button-small" onClick={reconnect}>
        Try now
      </button>
    </div>
  );
}

const THEMES: { theme: Theme; icon: IconName; label: string }[] = [
  { theme: "light", icon: "sun", label: "Light" },
  { theme: "system", icon: "system", label: "As the system" },
  { theme: "dark", icon: "moon", label: "Dark" },
];

function ThemeSwitch() {
  return (
    <fieldset class="switch">
      <legend class="sr-only">Theme</legend>
      {THEMES.map((choice) => (
        <button
          key={choice.theme}
          type="button"
          class="switch-part"
          aria-pressed={theme.value === choice.theme}
          aria-label={choice.label}
          title={choice.label}
          onClick={() => choose(choice.theme)}
        >
          <Icon name={choice.icon} size={14} />
        </button>
      ))}
    </fieldset>
  );
}
