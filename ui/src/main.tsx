import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/list.css";
import "./styles/timeline.css";
import "./styles/detail.css";
import "./styles/catalog.css";
import "./styles/phone.css";
import { render } from "preact";
import { App } from "./app";

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
