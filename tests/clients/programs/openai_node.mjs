// The official openai client of Node, over every API that it speaks.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { BASE, KEY, PARAMETERS, TROUBLES, WEATHER, begin, collected, headers, look, promptOf, retriesOf, tell } from "./telling.mjs";

const PLACE = z.object({ city: z.string(), river: z.string() });
const TOOL = { type: "function", function: { name: "get_weather", parameters: PARAMETERS, strict: true } };
const FLAT = { type: "function", name: "get_weather", parameters: PARAMETERS, strict: true };

const client = (name) =>
  new OpenAI({ baseURL: `${BASE}/v1`, apiKey: KEY, maxRetries: retriesOf(name), defaultHeaders: headers() });
const asked = (name) => [{ role: "user", content: promptOf(name) }];

async function whole(promise) {
  const { data, request_id: id } = await promise.withResponse();
  return [data, id];
}

const chat = (name) => whole(client(name).chat.completions.create({ model: "gpt-4o", messages: asked(name), logprobs: true }));
const chatStream = async (name) =>
  collected(
    await client(name).chat.completions.create({
      model: "gpt-4o", messages: asked(name), stream: true, stream_options: { include_usage: true },
    }),
  );
async function chatTools(name) {
  const runner = client(name).chat.completions.runTools({
    model: "gpt-4o",
    messages: [{ role: "user", content: WEATHER }],
    tools: [{ type: "function", function: { name: "get_weather", parameters: PARAMETERS, parse: JSON.parse, function: ({ city }) => look(city) } }],
  });
  return [await runner.finalContent(), runner.messages];
}
async function chatParse(name) {
  const parsed = await client(name).chat.completions.parse({
    model: "gpt-4o", messages: asked(name), response_format: zodResponseFormat(PLACE, "place"),
  });
  if (parsed.choices[0].message.parsed.city !== "Vienna") throw new Error("was not parsed");
  return parsed;
}
async function chatHelper(name) {
  const stream = client(name).chat.completions.stream({ model: "gpt-4o", messages: asked(name), tools: [TOOL] });
  return [await collected(stream), await stream.finalChatCompletion()];
}

const responses = (name) => whole(client(name).responses.create({ model: "gpt-4o", input: promptOf(name) }));
const responsesStream = async (name) =>
  collected(await client(name).responses.create({ model: "gpt-4o", input: promptOf(name), stream: true }));
async function responsesTools(name) {
  const input = [{ role: "user", content: WEATHER }];
  const api = client(name).responses;
  const first = await api.create({ model: "gpt-4o", input, tools: [FLAT], store: false });
  input.push(...first.output, { type: "function_call_output", call_id: first.output[0].call_id, output: look("Vienna") });
  return [first, await api.create({ model: "gpt-4o", input, tools: [FLAT], store: false })];
}
async function responsesParse(name) {
  const parsed = await client(name).responses.parse({
    model: "gpt-4o", input: promptOf(name), text: { format: zodTextFormat(PLACE, "place") },
  });
  if (parsed.output_parsed.city !== "Vienna") throw new Error("was not parsed");
  return parsed;
}

const text = (name) => whole(client(name).completions.create({ model: "gpt-3.5-turbo-instruct", prompt: promptOf(name) }));
const textStream = async (name) =>
  collected(await client(name).completions.create({ model: "gpt-3.5-turbo-instruct", prompt: promptOf(name), stream: true }));

begin("openai Node", "openai");
for (const [api, plain, streamed] of [["chat", chat, chatStream], ["responses", responses, responsesStream], ["completions", text, textStream]]) {
  for (const name of ["plain", "reasoning", "misrouted", "corrected", ...TROUBLES, "broken"]) await tell(api, name, false, () => plain(name));
  for (const name of ["plain", "reasoning", "misrouted", "corrected", "broken", "complaint", "limited", "exhausted", "refused"])
    await tell(api, name, true, () => streamed(name));
}
await tell("chat", "tools", false, () => chatTools("tools"));
await tell("chat", "structured", false, () => chatParse("structured"));
await tell("chat", "tools", true, () => chatHelper("tools"));
await tell("responses", "tools", false, () => responsesTools("tools"));
await tell("responses", "structured", false, () => responsesParse("structured"));
await tell("responses", "tools", true, () => responsesStream("tools"));
await tell("passed", "delete response", false, () => client("plain").responses.delete("resp_1"));
await tell("passed", "embeddings", false, () => client("plain").embeddings.create({ model: "text-embedding-3-small", input: "Vienna" }));
