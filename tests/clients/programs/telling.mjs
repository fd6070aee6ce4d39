// How a Node program of the matrix tells what it saw: the twin of telling.py, line for line.
import { createRequire } from "node:module";

export const BASE = process.env.CLIENT_BASE;
export const KEY = "sk-client";
export const RIVER = "Which river runs through Vienna?";
export const WEATHER = "How is the weather in Vienna?";
export const TROUBLES = ["limited", "exhausted", "failing", "refused", "unauthorised", "overloaded"];
export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const HEADERS = ["retry-after", "x-request-id", "request-id", "x-ratelimit-remaining-requests"];
let now = "";

export const promptOf = (name) =>
  ["misrouted", "corrected"].includes(name) ? "Is 5+8=13?" : name === "tools" ? WEATHER : RIVER;
export const headers = () => ({ "x-case": now });
export const retriesOf = (name) => (["exhausted", "overloaded", "broken"].includes(name) ? 0 : 1);

export function look(city) {
  if (city !== "Vienna") throw new Error(`no weather of ${city}`);
  return "21 degrees, sunny";
}

// Every item of a stream; an error in the middle is one of them.
export async function collected(stream) {
  const items = [];
  try {
    for await (const item of stream) items.push(item);
  } catch (error) {
    items.push({ broke: error.constructor.name, said: error.error ?? error.data ?? null });
  }
  return items;
}

function picked(found) {
  const get = typeof found?.get === "function" ? (name) => found.get(name) : (name) => found?.[name];
  return Object.fromEntries(HEADERS.map((name) => [name, get(name)]).filter(([, value]) => value != null));
}

function errorOf(error) {
  if (error == null) return null;
  return {
    type: error.constructor?.name,
    name: error.name,
    status: error.status ?? error.statusCode,
    code: error.code,
    request: error.requestID,
    body: error.error ?? error.responseBody,
    retryable: error.isRetryable,
    reason: error.reason,
    headers: picked(error.headers ?? error.responseHeaders),
    behind: errorOf(error.lastError ?? error.cause),
  };
}

export function begin(client, name) {
  const find = createRequire(import.meta.url);
  console.log(JSON.stringify({ client, version: find(`../node_modules/${name}/package.json`).version }));
}

export async function tell(api, name, stream, act) {
  now = `${api}/${name}/${stream ? "True" : "False"}`;
  let seen;
  try {
    seen = { seen: await act() };
  } catch (error) {
    seen = { error: errorOf(error) };
  }
  console.log(JSON.stringify({ api, case: name, stream, ...seen }));
}
