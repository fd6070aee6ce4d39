-- wrk script: POST the prepared bodies in turn, each naming its reply in the Authorization header; prints one JSON line.
local bodies = {}
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
local next_body = 0
function request()
  next_body = next_body % #bodies + 1
  local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer sk-bench-" .. (next_body - 1) }
  return wrk.format("POST", "/v1/chat/completions", headers, bodies[next_body])
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('JSON {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d,"non2xx":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout, e.status))
end
