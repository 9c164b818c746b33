// Keys, metas, calls and places of the caller, checked and copied into the engine's terms.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"
#include "satchel/satchel.h"
#include "tool_cache/tool_cache.hpp"

namespace satchel::abi {

// 64 lowercase hexadecimal digits; `name` stands in the message.
core::Result<tool_cache::Key> read_key(const char* key, std::size_t len, const char* name = "key");

// Bytes without a NUL: the operating system would stop at it and look at another file.
core::Result<std::string_view> read_path(const char* path, std::size_t len, const char* name);

core::Result<tool_cache::Meta> read_tool_meta(const satchel_tool_meta* meta);
core::Result<tool_cache::Call> read_tool_call(const satchel_tool_call* call);

}  // namespace satchel::abi
