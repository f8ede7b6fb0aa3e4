/** The legend, which also hides kinds, and how the axis is drawn. */

import { Icon } from "../components/icon";
import { count } from "../lib/format";
import { KINDS, type Kind } from "../lib/kinds";

export function Toolbar(props: {
  counts: ReadonlyMap<Kind, number>;
  hidden: ReadonlySet<Kind>;
  onHide: (hidden: ReadonlySet<Kind>) => void;
  shortened: boolean;
  canShorten: boolean;
  onShorten: (shortened: boolean) => void;
  zoomed: boolean;
  /** Nearer, farther, or 0: everything. */
  onZoom: (direction: number) => void;
}) {
  const { counts } = props;
  const toggle = (kind: Kind): void => {
    const hidden = new Set(props.hidden);
    if (!hidden.delete(kind)) hidden.add(kind);
    props.onHide(hidden);
  };
  return (
    <div class="toolbar">
      <fieldset class="legend">
        <legend class="sr-only">Kinds shown</legend>
        {KINDS.filter(({ kind }) => counts.has(kind)).map(({ kind, label, about }) => (
          <button
            key={kind}
            type="button"
            class={`legend-item kind-${kind}`}
            aria-pressed={!props.hidden.has(kind)}
            title={`Show or hide ${about}`}
            onClick={() => toggle(kind)}
          >
            <span class="legend-mark" aria-hidden="true" />
            {label}
            <span class="num faint">{count(counts.get(kind) ?? 0)}</span>
          </button>
        ))}
      </fieldset>
      <div class="toolbar-end">
        {props.canShorten && (
          <button
            type="button"
            class="button button-small button-toggle"
            aria-pressed={props.shortened}
            title="Draw stretches in which nothing runs shorter than they were"
            onClick={() => props.onShorten(!props.shortened)}
          >
            <Icon name="wait" size={13} /> Shorten waits
          </button>
        )}
        <div class="button-group">
          <button
            type="button"
            class="icon-button"
            aria-label="Zoom out"
            title="Zoom out (−)"
            onClick={() => props.onZoom(-1)}
          >
            <Icon name="minus" size={14} />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label="Zoom in"
            title="Zoom in (+)"
            onClick={() => props.onZoom(1)}
          >
            <Icon name="plus" size={14} />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label="Show all"
            title="Show all (0)"
            disabled={!props.zoomed}
            onClick={() => props.onZoom(0)}
          >
            <Icon name="fit" size={14} />
          </button>
        </div>
      </div>
    </div>
  );
}
