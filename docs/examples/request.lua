-- luajit request.lua LIBRARY HEADER: the C header is the binding.
local ffi = require("ffi")
local header = assert(io.open(arg[2])):read("*a"):gsub("#ifdef __cplusplus.-#endif", "")
ffi.cdef((header:gsub("\\\n", " "):gsub("\n%s*#[^\n]*", ""):gsub("SATCHEL_API", "")))
local satchel = ffi.load(arg[1])
local failure = ffi.new("satchel_error[1]", {{ffi.sizeof("satchel_error")}})
local function check(status)
  if status < 0 then error(ffi.string(failure[0].message)) end
  return status
end
local function sized(name) return ffi.new(name .. "[1]", {{ffi.sizeof(name)}}) end
local function text(view) return ffi.string(view.data, view.len) end

local library, cache = ffi.new("satchel_library*[1]"), ffi.new("satchel_prompt_cache*[1]")
local config = '{"models": {"*": {"enabled": true, "min_prefix_tokens": 16}}}'
check(satchel.satchel_open(nil, nil, 0, library, failure))
check(satchel.satchel_prompt_cache_open(library[0], nil, config, #config, cache, failure))

local prompt = ("You are careful. "):rep(8)
local body = '{"model":"any","messages":[{"role":"user","content":[{"type":"text","text":"' ..
  prompt .. '","cache_control":{"type":"ephemeral"}}]}]}'
local answer = '{"choices":[],"usage":{"prompt_tokens":40}}'
for _ = 1, 2 do
  local request, plan = ffi.new("satchel_request*[1]"), ffi.new("int32_t[1]")
  local head, forward = sized("satchel_request_head"), sized("satchel_forward")
  local method, target, key = "POST", "/v1/chat/completions", "sk-1"
  head[0].method, head[0].target, head[0].api_key = {method, #method}, {target, #target}, {key, #key}
  check(satchel.satchel_request_new(cache[0], head, request, failure))
  check(satchel.satchel_request_body(request[0], body, #body, forward, failure))
  -- Here text(forward[0].body) goes upstream, and `answer` comes back.
  local out = ffi.new("satchel_view[1]")
  check(satchel.satchel_request_response(request[0], 200, nil, 0, nil, 0, plan, failure))
  check(satchel.satchel_request_write(request[0], answer, #answer, out, failure))
  check(satchel.satchel_request_end(request[0], out, failure))
  print(text(out[0]))
  check(satchel.satchel_request_free(request))
end
check(satchel.satchel_prompt_cache_close(cache))
check(satchel.satchel_close(library))
