/**
 * The effects log: one line for everything the agent's code really did, in the same format as the Python agent's
 * (`examples/claim_demo/effects.py` explains the fields). Written synchronously, so a kill -9 cannot take it back.
 */
import { appendFileSync } from "node:fs";
import type { LanguageModelMiddleware } from "ai";
import type { Context } from "@restatedev/restate-sdk";

type Event = "attempt" | "started" | "finished" | "replayed";

/** The steps of one attempt, which leave their lines in the log. */
export class Steps {
  private turn = 0;
  private readonly ran = new Set<string>();

  constructor(private readonly ctx: Context) {
    this.log("attempt");
  }

  /** A durable step. A service of your own would call `ctx.run` directly; the log is the only thing this adds. */
  async run<T>(name: string, body: () => Promise<T>): Promise<T> {
    const result = await this.ctx.run(name, () => this.noticed(name, name, body));
    this.noticeReplay(name, name);
    return result;
  }

  /**
   * Two middlewares to put around the durable one: the outer sees every model call the agent makes, the inner only
   * those that really go out, because on replay the durable one answers from the journal.
   */
  aroundModel(durable: LanguageModelMiddleware): LanguageModelMiddleware[] {
    const current = (provider: string) => [`model turn ${this.turn}`, `calling ${provider}`] as const;
    return [
      {
        specificationVersion: "v4",
        wrapGenerate: async ({ doGenerate, model }) => {
          this.turn += 1;
          const [step, journal] = current(model.provider);
          const answer = await doGenerate();
          this.noticeReplay(step, journal);
          return answer;
        },
      },
      durable,
      {
        specificationVersion: "v4",
        wrapGenerate: async ({ doGenerate, model }) => {
          const [step, journal] = current(model.provider);
          return this.noticed(step, journal, async () => doGenerate());
        },
      },
    ];
  }

  private async noticed<T>(step: string, journal: string, body: () => Promise<T>): Promise<T> {
    this.ran.add(step);
    this.log("started", step, journal);
    const result = await body();
    this.log("finished", step, journal);
    return result;
  }

  private noticeReplay(step: string, journal: string): void {
    if (!this.ran.has(step)) this.log("replayed", step, journal);
  }

  private log(event: Event, step = "", journal = ""): void {
    const effect = {
      time_s: Date.now() / 1000,
      pid: process.pid,
      invocation: this.ctx.request().id,
      event,
      step,
      journal,
    };
    appendFileSync(process.env.CLAIM_EFFECTS ?? "effects.jsonl", JSON.stringify(effect) + "\n");
  }
}
