// The members of a message that hashing and forwarding look at.
#pragma once

#include "core/json_tape.hpp"

namespace satchel::prompt_cache {

// Each does not exist where the message has none; of several of one name the last counts.
struct MessageMembers {
  core::JsonValue role;
  core::JsonValue content;
  core::JsonValue tool_calls;
};

// One walk for the three of them.
inline MessageMembers message_members(core::JsonValue message) {
  MessageMembers found;
  for (core::JsonCursor cursor(message); cursor.valid(); cursor.next()) {
    const core::JsonValue key = cursor.key();
    if (key.text_equals("content")) {
      found.content = cursor.value();
    } else if (key.text_equals("role")) {
      found.role = cursor.value();
    } else if (key.text_equals("tool_calls")) {
      found.tool_calls = cursor.value();
    }
  }
  return found;
}

}  // namespace satchel::prompt_cache
