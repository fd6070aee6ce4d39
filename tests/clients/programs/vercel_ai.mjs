// The Vercel AI SDK over OpenAI's chat completions and responses, and over Anthropic's messages.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { BASE, KEY, begin, headers, look, promptOf, retriesOf, tell } from "./telling.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const PLACE = z.object({ city: z.string(), river: z.string() });
const TOOLS = {
  get_weather: tool({ description: "The weather of a city.", inputSchema: z.object({ city: z.string() }), execute: ({ city }) => look(city) }),
};

function model(api) {
  if (api === "messages") return createAnthropic({ baseURL: `${BASE}/v1`, apiKey: KEY, headers: headers() })("claude-sonnet-4-5");
  const openai = createOpenAI({ baseURL: `${BASE}/v1`, apiKey: KEY, headers: headers() });
  return api === "responses" ? openai.responses("gpt-4o") : openai.chat("gpt-4o");
}

// What the SDK dates, numbers or times itself is left out.
const OWN = new Set(["timestamp", "headers", "request", "id", "callId", "messageId", "stepId", "performance", "responseTimeMs", "modelTimeMs"]);
function settled(thing) {
  if (Array.isArray(thing)) return thing.map(settled);
  if (thing === null || typeof thing !== "object") return thing;
  if (thing instanceof Error) return { broke: thing.constructor.name, said: thing.data ?? null };
  return Object.fromEntries(Object.entries(thing).filter(([key]) => !OWN.has(key) && !/Ms$|PerSecond$/.test(key)).map(([key, value]) => [key, settled(value)]));
}

const asking = (api, name) => ({
  model: model(api), prompt: promptOf(name), maxRetries: retriesOf(name),
  ...(name === "tools" ? { tools: TOOLS, stopWhen: stepCountIs(3) } : {}),
});

async function plain(api, name) {
  const result = await generateText(asking(api, name));
  return settled([result.text, result.reasoningText, result.finishReason, result.usage, result.toolCalls, result.steps.map((step) => step.content), result.response.messages]);
}
async function structured(api, name) {
  const result = await generateText({ ...asking(api, name), output: Output.object({ schema: PLACE }) });
  if (result.output.city !== "Vienna") throw new Error("was not parsed");
  return settled([result.output, result.usage]);
}
async function streamed(api, name) {
  const parts = [];
  const result = streamText({ ...asking(api, name), onError: () => {} });
  try {
    for await (const part of result.fullStream) parts.push(settled(part));
  } catch (error) {
    parts.push({ broke: error.constructor.name, retryable: error.isRetryable });
  }
  return parts;
}

begin("Vercel AI SDK", "ai");
for (const api of ["chat", "responses", "messages"]) {
  for (const name of ["plain", "reasoning", "tools", "misrouted", "corrected", "limited", "exhausted", "failing", "refused", "unauthorised"])
    await tell(api, name, false, () => plain(api, name));
  for (const name of ["plain", "reasoning", "tools", "misrouted", "corrected", "broken", "complaint", "limited"])
    await tell(api, name, true, () => streamed(api, name));
  await tell(api, "structured", false, () => structured(api, "structured"));
}
