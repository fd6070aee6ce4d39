// The official Anthropic client of Node.
import Anthropic from "@anthropic-ai/sdk";
import { BASE, KEY, PARAMETERS, TROUBLES, WEATHER, begin, collected, headers, look, promptOf, retriesOf, tell } from "./telling.mjs";

const TOOL = { name: "get_weather", input_schema: PARAMETERS };
const client = (name) => new Anthropic({ baseURL: BASE, apiKey: KEY, maxRetries: retriesOf(name), defaultHeaders: headers() });
const asking = (name) => ({
  model: "claude-sonnet-4-5", max_tokens: 100, messages: [{ role: "user", content: promptOf(name) }],
});

async function plain(name) {
  const { data, request_id: id } = await client(name).messages.create(asking(name)).withResponse();
  return [data, id];
}
const streamed = async (name) => collected(await client(name).messages.create({ ...asking(name), stream: true }));
async function helper(name) {
  const stream = client(name).messages.stream({ ...asking(name), tools: [TOOL] });
  return [await collected(stream), await stream.finalMessage()];
}
async function tools(name) {
  const messages = [{ role: "user", content: WEATHER }];
  const api = client(name).messages;
  const first = await api.create({ ...asking(name), messages, tools: [TOOL] });
  const [use] = first.content;
  messages.push({ role: "assistant", content: first.content });
  messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: look(use.input.city) }] });
  return [first, await api.create({ ...asking(name), messages, tools: [TOOL] })];
}

begin("anthropic Node", "@anthropic-ai/sdk");
for (const name of ["plain", "reasoning", "misrouted", "corrected", ...TROUBLES, "broken"]) await tell("messages", name, false, () => plain(name));
for (const name of ["plain", "reasoning", "misrouted", "corrected", "broken", "complaint", "limited", "exhausted", "refused"])
  await tell("messages", name, true, () => streamed(name));
await tell("messages", "tools", false, () => tools("tools"));
await tell("messages", "tools", true, () => helper("tools"));
await tell("passed", "count tokens", false, () =>
  client("plain").messages.countTokens({ model: "claude-sonnet-4-5", messages: asking("plain").messages }));
