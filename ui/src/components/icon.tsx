/** Line icons on a 16 pixel grid, drawn in the colour of the text beside them. */

const PATHS = {
  model: "M8 1.8 9.6 6.4 14.2 8 9.6 9.6 8 14.2 6.4 9.6 1.8 8 6.4 6.4Z",
  tool: "M9.8 3.2a3.4 3.4 0 0 1 3.9-.9L11.6 4.4l.3 1.7 1.7.3 2-2a3.4 3.4 0 0 1-4.7 4.1L5.3 14a1.7 1.7 0 0 1-2.4-2.4L8.5 6a3.4 3.4 0 0 1 1.3-2.8Z",
  step: "M3 3.5h10v9H3zM5.8 8.1l1.6 1.6 3-3.2",
  call: "M2.5 3.5v4a2 2 0 0 0 2 2h8M9.5 6.5l3 3-3 3",
  wait: "M4.5 2h7M4.5 14h7M5 2v2.6c0 1.4 3 2.5 3 3.4s-3 2-3 3.4V14M11 2v2.6C11 6 8 7.1 8 8s3 2 3 3.4V14",
  sleep: "M13 9.8A5.6 5.6 0 0 1 6.2 3 5.6 5.6 0 1 0 13 9.8Z",
  send: "M14 2 2 7l4.8 2.2L9 14Z M6.8 9.2 14 2",
  state:
    "M3 4.2C3 3 5.2 2.2 8 2.2s5 .8 5 2-2.2 2-5 2-5-.8-5-2ZM3 4.2v7.6c0 1.2 2.2 2 5 2s5-.8 5-2V4.2M3 8c0 1.2 2.2 2 5 2s5-.8 5-2",
  io: "M6 3H3v10h3M10 3h3v10h-3M5.5 8h5",
  invocation: "M2.5 8h3l2-4.5 2.5 9 1.8-4.5h1.7",
  chevron: "m6 4 4 4-4 4",
  back: "M10 3 5 8l5 5",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  check: "m3 8.5 3.2 3.2L13 5",
  alert: "M8 2 1.8 13h12.4ZM8 6.5v3M8 11.3v.1",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  moon: "M13 9.8A5.6 5.6 0 0 1 6.2 3 5.6 5.6 0 1 0 13 9.8Z",
  system: "M2 3h12v8H2zM6 13.5h4M8 11v2.5",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.3 10.3 13.5 13.5",
  close: "m4 4 8 8M12 4l-8 8",
  stop: "M4 4h8v8H4z",
  kill: "M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3ZM6 6l4 4M10 6l-4 4",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3v10l8-5Z",
  restart: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  inbox: "M2 9.5 4 3h8l2 6.5V13H2ZM2 9.5h3.5L6.5 11h3l1-1.5H14",
  external: "M9 2.5h4.5V7M13.5 2.5 7.5 8.5M11.5 9v4.5h-9v-9H7",
  services: "M2.5 2.5h4.5v4.5H2.5zM9 2.5h4.5v4.5H9zM2.5 9h4.5v4.5H2.5zM9 9h4.5v4.5H9z",
  filter: "M2 4h12M4.5 8h7M6.5 12h3",
  server: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5v.1M5 11v.1",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
