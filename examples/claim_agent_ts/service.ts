/**
 * The agent of `examples/claim_demo`, in TypeScript: the Vercel AI SDK runs the loop, `durableCalls` makes its model
 * calls durable, and every tool body is a durable step. It serves the same workflow, so the same demo drives it.
 *
 *   POST /ClaimAgent/{claim}/run       {"policy", "amount", "text"}   decide a claim; once per claim id
 *   POST /ClaimAgent/{claim}/approve   {"approved", "by"}             a human's answer
 *
 * Two rules are kept in code, not left to the model: more than APPROVAL_ABOVE EUR needs a human, and nobody is paid
 * more than was claimed. A step that is killed half way runs again, because nobody can know how far it came; that is
 * why `payOut` gives the bank an idempotency key.
 */
import { setTimeout as pause } from "node:timers/promises";
import { openai } from "@ai-sdk/openai";
import * as restate from "@restatedev/restate-sdk";
import { durableCalls, getTerminalToolSteps, hasTerminalToolError, rethrowTerminalToolError } from "@restatedev/vercel-ai-middleware";
import { generateText, isStepCount, tool, wrapLanguageModel } from "ai";
import { z } from "zod";
import { Steps } from "./effects.ts";

const APPROVAL_ABOVE = 1000;
const TURNS_MAX = 8;
const POLICIES: Record<string, string> = { "home-77": "water damage", "car-12": "collision" };
const INSTRUCTIONS =
  "You decide insurance claims. First look up the policy and check for fraud, both at once. If the claim is covered " +
  "and not suspicious, call pay_out with the claimed amount; approval is handled for you. If it is refused, or you " +
  "cannot pay, decline. End with one sentence that begins with Approved or Declined.";

type Claim = { policy: string; amount: number; text: string };
type Approval = { approved: boolean; by: string };
type Decision = { claim: string; decision: string; paid: number; approved_by: string | null };

/** Decides one claim; the AI SDK asks the model and runs its tools until it answers without asking for any. */
async function run(ctx: restate.WorkflowContext, claim: Claim): Promise<Decision> {
  const steps = new Steps(ctx);
  let paid = 0;
  let approvedBy: string | null = null;

  const model = wrapLanguageModel({
    model: openai(process.env.OPENAI_MODEL ?? "gpt-4o-mini"),
    middleware: steps.aroundModel(durableCalls(ctx)),
  });

  const { text, steps: turns } = await generateText({
    model,
    maxRetries: 0, // the server retries, and remembers
    toolCallConcurrency: 1, // the SDK lets a handler wait for one durable result at a time
    stopWhen: [isStepCount(TURNS_MAX), hasTerminalToolError],
    instructions: INSTRUCTIONS,
    prompt: `Policy ${claim.policy}, ${claim.amount} EUR: ${claim.text}`,
    tools: {
      look_up_policy: tool({
        description: "Says whether a policy exists and what it covers.",
        inputSchema: z.object({ policy: z.string() }),
        execute: () => steps.run("look_up_policy", () => lookUpPolicy(claim.policy)),
      }),
      check_fraud: tool({
        description: "Says whether a claim of this amount looks suspicious.",
        inputSchema: z.object({ amount: z.number() }),
        execute: () => steps.run("check_fraud", () => checkFraud(claim.amount)),
      }),
      pay_out: tool({
        description: "Pays the customer this amount in EUR.",
        inputSchema: z.object({ amount: z.number() }),
        execute: async ({ amount }) => {
          if (paid > 0 || !(amount > 0 && amount <= claim.amount)) {
            return { refused: `a claim is paid once, and at most the ${claim.amount} EUR claimed` };
          }
          if (amount > APPROVAL_ABOVE) {
            const approval = await ctx.promise<Approval>("approval"); // days are fine
            if (!approval.approved) return { refused: `${approval.by} did not approve` };
            approvedBy = approval.by;
          }
          paid = amount;
          return steps.run("pay_out", () => payOut(ctx.key, amount));
        },
      }),
    },
  });
  getTerminalToolSteps(turns).forEach(rethrowTerminalToolError); // a tool that failed for good fails the claim
  return { claim: ctx.key, decision: text, paid, approved_by: approvedBy };
}

/** A human's answer, which wakes the workflow. Only the first one counts. */
async function approve(ctx: restate.WorkflowSharedContext, approval: Approval): Promise<string> {
  await ctx.promise<Approval>("approval").resolve(approval);
  return "thank you";
}

// The step bodies: plain functions that touch the world. One that is killed half way will run again.

async function lookUpPolicy(policy: string) {
  await pause(200);
  return { policy, covered: policy in POLICIES, cover: POLICIES[policy] ?? null };
}

async function checkFraud(amount: number) {
  await pause(200);
  return { suspicious: amount > 50_000 };
}

/** Pays under a key that is the same whenever this step runs again for this claim. */
async function payOut(claim: string, amount: number): Promise<{ receipt: string }> {
  const response = await fetch(`${process.env.BANK_URL ?? "http://127.0.0.1:8901"}/payments`, {
    method: "POST",
    body: JSON.stringify({ account: claim, amount }),
    headers: { "content-type": "application/json", "idempotency-key": `${claim}/payout` },
  });
  if (!response.ok) throw new Error(`the bank answered ${response.status}`);
  return (await response.json()) as { receipt: string };
}

const claimAgent = restate.workflow({
  name: "ClaimAgent",
  handlers: { run, approve },
  options: {
    inactivityTimeout: { seconds: 1 }, // a handler that has waited this long leaves memory
    retryPolicy: { initialInterval: { milliseconds: 100 }, maxInterval: { seconds: 1 } },
  },
});

await restate.serve({ services: [claimAgent], port: Number(process.env.PORT ?? 9080) });
