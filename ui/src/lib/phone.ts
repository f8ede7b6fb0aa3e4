/** Whether the page is as small as on a phone, upright or lying; `styles/phone.css` asks the same. */

import { signal } from "@preact/signals";

const asked = matchMedia("(max-width: 640px), (max-height: 480px)");

export const phone = signal(asked.matches);

asked.addEventListener("change", () => {
  phone.value = asked.matches;
});
